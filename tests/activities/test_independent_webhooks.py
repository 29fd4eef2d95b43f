"""What we post, verified by the reference library of Standard Webhooks for Go, during a rotation of the secret too.

`tests/independent/webhooks` is built here. Where Go is missing or its module cannot be had, a user's machine skips this
with the reason and CI fails.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.activities.post_office import SECRET, PostOffice
from tests.activities.test_asked import OTHER_SECRET, ask_for_test, rotate
from tests.go_programs import built

PROGRAM = Path(__file__).parent.parent / "independent" / "webhooks"
OLDEST_GO = (1, 21)


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(PROGRAM, tmp_path_factory.mktemp("independent"), OLDEST_GO)


def verify(program: Path, secret: str, messages: list[dict[str, Any]]) -> "subprocess.CompletedProcess[str]":
    given = json.dumps({"secret": secret, "messages": messages})
    return subprocess.run([program], input=given, capture_output=True, text=True, check=False)


async def test_gos_library_verifies_what_is_posted_and_nothing_else(office: PostOffice, verifier: Path) -> None:
    endpoint = await office.endpoint("s1")
    office.webhooks.keep_requests = True
    await office.tell("s1", "leave.requested", leave=1, place="郑州")
    await office.deliver("s1")
    await rotate(office, endpoint, "clock_timestamp() + interval '1 hour'")
    await office.tell("s1", "leave.granted")
    await ask_for_test(office, "s1", endpoint)
    await office.deliver("s1")
    messages = [{"headers": headers, "body": body.decode()} for body, headers in office.webhooks.requests]

    former = verify(verifier, SECRET, messages)
    assert (former.returncode, former.stdout.split()) == (0, ["leave.requested", "leave.granted", "webhook.test"])
    current = verify(verifier, OTHER_SECRET, messages[1:])
    assert (current.returncode, current.stdout.split()) == (0, ["leave.granted", "webhook.test"])
    forged = verify(verifier, SECRET, [{**messages[0], "body": f"{messages[0]['body']} "}])
    assert (forged.returncode, forged.stdout) == (1, "")
    assert verify(verifier, OTHER_SECRET, messages[:1]).returncode == 1
