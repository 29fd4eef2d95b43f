"""docs/webhooks.md says what is true: its examples verify a real message, and its table names every type."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from standardwebhooks import WebhookVerificationError

from activities import asked, letters, mailbox, outbox, ways, webhooks
from tests.activities.post_office import SECRET, PostOffice
from workflows.mailbox import JITTER, PAUSE, SCHEDULE

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def example(name: str) -> Callable[[str, bytes, dict[str, str]], dict[str, Any]]:
    """A function out of the page's Python blocks, as a reader would copy it."""
    (source,) = (block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S) if f"def {name}(" in block)
    names: dict[str, Any] = {}
    exec(compile(source, "docs/webhooks.md", "exec"), names)
    function: Callable[[str, bytes, dict[str, str]], dict[str, Any]] = names[name]
    return function


@pytest.mark.parametrize(("name", "error"), [("receive", WebhookVerificationError), ("receive_by_hand", ValueError)])
async def test_the_examples_take_what_is_really_sent_and_nothing_else(
    office: PostOffice, name: str, error: type[Exception]
) -> None:
    await office.endpoint("s1")
    office.webhooks.keep_requests = True
    await office.tell("s1", "leave.requested", leave=1)
    assert (await office.deliver("s1")).delivered == 1
    ((body, headers),) = office.webhooks.requests

    verified = example(name)(SECRET, body, headers)

    assert verified["type"] == "leave.requested"
    assert set(verified) == {"type", "timestamp", "data"}
    for wrong_secret, wrong_body in ((SECRET, body + b" "), ("whsec_" + "A" * 32, body)):
        with pytest.raises(error):
            example(name)(wrong_secret, wrong_body, headers)


def test_every_type_is_in_the_table_with_its_words() -> None:
    words = yaml.safe_load((letters.TEMPLATES / "words.yaml").read_text(encoding="utf-8"))["notices"]
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.+) \| (.+) \|$", TEXT, re.M)
    assert {type_: {"zh": zh, "en": en} for type_, zh, en in rows if type_ != "type"} == words


def test_the_numbers_of_the_page_are_the_numbers_of_the_code() -> None:
    waits = [f"{wait.seconds // 60} min" for wait in SCHEDULE[2:4]]
    waits += [f"{int(wait.total_seconds()) // 3600} h" for wait in SCHEDULE[4:-1]]
    page = " ".join(TEXT.split())
    last = int(SCHEDULE[-1].total_seconds()) // 3600
    assert f"after {SCHEDULE[1].seconds} s, {', '.join(waits)} and {last} h" in page
    assert JITTER == 0.1
    assert f"at most every {PAUSE.seconds} s" in page
    assert f"within {webhooks.TIMEOUT_S:.0f} seconds" in page
    assert webhooks.RETRY_AFTER_MAX_S == 3600
    assert sum(SCHEDULE, start=SCHEDULE[0]) == ways.GIVE_UP_AFTER
    assert mailbox.ENDPOINT_GIVE_UP_AFTER.days == asked.GIVE_UP_AFTER.days == 5 and "for five days" in page
    assert f"(up to {outbox.NOTICES_PER_BATCH} notices)" in page and outbox.NOTICES_PER_BATCH == 500
