"""A token opens one thing, for one purpose, until a moment, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signed_links import OBJECT, LinkInvalid, SignedLinks

LINKS = SignedLinks(bytes(range(32)), "https://xunji.example.invalid")
UNTIL = datetime(2022, 10, 28, 16, tzinfo=UTC)
BEFORE = UNTIL - timedelta(seconds=1)
NUMBER = "zz22-410181-00001-r1"


def test_a_link_leads_to_what_it_was_made_for_until_it_ends() -> None:
    token = LINKS.objection(NUMBER, UNTIL).removeprefix("https://xunji.example.invalid/objections/")
    assert LINKS.read(OBJECT, token, BEFORE) == (NUMBER, UNTIL)
    with pytest.raises(LinkInvalid, match="expired"):
        LINKS.read(OBJECT, token, UNTIL)
    with pytest.raises(LinkInvalid, match="made for"):
        LINKS.read("something else", token, BEFORE)
    with pytest.raises(LinkInvalid, match="not signed"):
        SignedLinks(bytes(32), "").read(OBJECT, token, BEFORE)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_token_is_refused(place: int, character: str) -> None:
    token = LINKS.token(OBJECT, NUMBER, UNTIL)
    changed = token[: place % len(token)] + character + token[place % len(token) + 1 :]
    try:
        found = LINKS.read(OBJECT, changed, BEFORE)
    except LinkInvalid:
        return
    # The last character of base64 has bits that nothing depends on; what is read is the same all the same.
    assert found == (NUMBER, UNTIL)


@given(st.text(max_size=400))
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(LinkInvalid):
        LINKS.read(OBJECT, text, BEFORE)
