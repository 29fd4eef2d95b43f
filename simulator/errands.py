"""What an office does about its own access, by hand and seldom: another key, another secret, an endpoint less."""

from typing import Final

from simulator.client import Desk

ENDPOINTS: Final = "/v1/webhook-endpoints"
NEVER_SENT: Final = "institution.closed"
"""A type of notice that no host is ever sent: a second endpoint for it takes nothing twice."""


async def replace_key(desk: Desk, action: str) -> None:
    """Issue another key to the organisation itself and revoke it again: the one that it works with stays."""
    path = f"/v1/institutions/{desk.organisation}/keys"
    issued = await desk.post(action, path, {})
    await desk.delete(f"{path}/{issued['key_id']}")


async def rotate_secret(desk: Desk, action: str) -> None:
    """Replace the secret of the organisation's endpoint; the former one, which the receiver knows, signs on."""
    in_use = [each["id"] for each in (await desk.get(ENDPOINTS))["items"] if each["disabled_at"] is None]
    await desk.post(action, f"{ENDPOINTS}/{in_use[0]}/rotate-secret", {})


async def open_and_disable_endpoint(desk: Desk, action: str, url: str) -> None:
    """Have something posted to a second endpoint, and think better of it."""
    made = await desk.post(action, ENDPOINTS, {"url": f"{url}/second", "event_types": [NEVER_SENT]})
    await desk.delete(f"{ENDPOINTS}/{made['id']}")
