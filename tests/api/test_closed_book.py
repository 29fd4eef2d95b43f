"""What the front door says of a book that takes nothing more: a refusal with its remedy, not a failing workflow."""

import asyncio
from pathlib import Path

import asyncpg

from ledger.archive import export_book
from ledger.closing import close_book
from ledger.detaching import detach_book
from ledger.seal import Sealer, public_key_of
from settings import key_bytes
from tests.api.front_door import API, BUREAU, COUNTY, SCHOOL
from tests.api.nominations import nominated, nomination

WHO = ("operator:ci", "the year is over")

LOOKS = 200


async def test_commands_of_a_closed_and_of_a_detached_campaign_are_refused_and_those_before_still_answered(
    stack: API, database_url: str, tmp_path: Path
) -> None:
    number = await nominated(stack, 1)
    approved = await stack.post(COUNTY, f"/v1/trainees/{number}/approve", key="approve-1")
    assert approved.status_code == 200, approved.text
    await stack.seen()
    key = key_bytes(stack.settings.signing_key)
    actor, reason = WHO
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        sealer = Sealer(pool, key, "test", tmp_path / "checkpoints")
        await close_book(pool, sealer, stack.plan.id, actor=actor, reason=reason)
        head = await stack.services.ledger.head(stack.plan.id)

        refused = await stack.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": "h001"})
        assert (refused.status_code, stack.problem(refused)) == (409, "book-closed"), refused.text
        another = await stack.post(SCHOOL, "/v1/nominations", nomination(stack, 2))
        assert stack.problem(another) == "book-closed", another.text
        again = await stack.post(COUNTY, f"/v1/trainees/{number}/approve", key="approve-1")
        assert (again.status_code, again.json()) == (200, approved.json())
        assert await stack.services.ledger.head(stack.plan.id) == head

        await export_book(pool, stack.plan.id, tmp_path / "export")
        await detach_book(
            pool, stack.plan.id, tmp_path / "export", public_key_of(key), actor=actor, reason=reason, drop=True
        )
    late = await stack.post(BUREAU, f"/v1/trainees/{number}/approve", {"host": "h001"})
    assert stack.problem(late) in ("book-closed", "book-detached"), late.text
    seen = await stack.get(COUNTY, f"/v1/trainees/{number}")
    for _ in range(LOOKS):
        # Who has read it before believes for a few seconds that it is here; events never change, so that is no lie.
        if seen.status_code != 200:
            break
        await asyncio.sleep(0.2)
        seen = await stack.get(COUNTY, f"/v1/trainees/{number}")
    assert (seen.status_code, stack.problem(seen)) == (409, "book-detached")
    assert str(tmp_path) not in seen.text, "where it stands concerns operators only"
    listed = await stack.get(COUNTY, f"/v1/trainees?campaign={stack.plan.id}")
    assert [each["number"] for each in listed.json()["items"]] == [number], "the views still have it"
