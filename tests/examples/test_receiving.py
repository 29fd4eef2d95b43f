"""The example receivers take what is really posted, once, and nothing else."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx2
import pytest

from embedded.child_processes import free_port
from tests.activities.post_office import SECRET, PostOffice
from tests.go_programs import built

EXAMPLES = Path(__file__).parents[2] / "examples"
PAUSE_S = 0.02


@pytest.fixture(params=["python", "go"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """How the receiver is started; its port comes after."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "webhook_receiver.py")]
    return [str(built(EXAMPLES / "webhook_receiver_go", tmp_path, (1, 21)))]


async def test_a_receiver_takes_each_notice_once_and_nothing_forged(office: PostOffice, receiver: list[str]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/xunji"
    process = await asyncio.create_subprocess_exec(
        *receiver, str(port), stdout=PIPE, env={"XUNJI_WEBHOOK_SECRET": SECRET}
    )
    assert process.stdout is not None
    async with httpx2.AsyncClient() as http:
        while True:
            try:
                assert (await http.post(url, content=b"{}")).status_code == 401
                break
            except httpx2.TransportError:
                assert process.returncode is None
                await asyncio.sleep(PAUSE_S)
        # The same message goes to a receiver of ours as well, to have its bytes.
        await office.endpoint("s1", url=url)
        await office.endpoint("s1", receiver="witness")
        office.webhooks.keep_requests = True
        await office.tell("s1", "leave.requested", leave=1, place="郑州")
        await office.deliver("s1")
        ((body, headers),) = office.webhooks.requests
        notice = json.loads(await process.stdout.readline())
        assert notice == json.loads(body)
        assert notice["type"] == "leave.requested"

        # A repetition is taken and not told again; what was changed on the way is refused.
        sent = {name: value for name, value in headers.items() if name.lower().startswith("webhook-")}
        assert (await http.post(url, content=body, headers=sent)).status_code == 204
        assert (await http.post(url, content=body + b" ", headers=sent)).status_code == 401
        too_much = await http.post(url, content=b" " * 300_000, headers=sent)
        assert too_much.status_code == 413
    process.terminate()
    assert (await process.stdout.read()) == b""
    await process.wait()
