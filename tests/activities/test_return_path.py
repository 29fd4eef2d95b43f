"""The envelope's sender names a mail, nothing else, and nobody can make one up."""

from uuid import UUID, uuid4

import pytest

from activities.return_path import ReturnPaths

MAIL = UUID("0199e6b2-0000-7000-8000-000000000001")
PATHS = ReturnPaths("bounces@training.example.org", bytes(range(32)))


def test_a_return_path_is_a_short_address_that_tells_its_mail() -> None:
    path = PATHS.of(MAIL)
    assert path.startswith("bounces+")
    assert path.endswith("@training.example.org")
    assert len(path.partition("@")[0]) <= 64, "RFC 5321 allows no longer local part"
    for written in (path, path.upper(), f"<{path}>", f"Xunji <{path}>"):
        assert PATHS.mail_of(written) == MAIL


def test_what_was_not_made_here_tells_nothing() -> None:
    path = PATHS.of(MAIL)
    changed = [
        path[:at] + ("b" if path[at] == "a" else "a") + path[at + 1 :]
        for at in range(path.index("+") + 1, path.index("@"))
    ]
    # The last character holds two bits that say nothing.
    assert sum(PATHS.mail_of(each) is not None for each in changed) <= 1
    assert ReturnPaths(PATHS.address, bytes(32)).mail_of(path) is None
    assert PATHS.of(uuid4()) != path


@pytest.mark.parametrize("address", ["", "bounces@training.example.org", "bounces+x@y", "wang@school.example.org"])
def test_other_addresses_are_not_mistaken(address: str) -> None:
    assert PATHS.mail_of(address) is None
