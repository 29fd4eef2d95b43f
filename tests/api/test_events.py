"""The pull feed: an organisation's own notices, in order, none left out while others are still being written."""

import asyncio

import asyncpg
import httpx2

from api.app import describe_without_settings
from api.notices import notice_types
from ledger.store import Ledger
from tests.api.front_door import API, COUNTY, OTHER_COUNTY
from tests.api.notices import append_of, tell

WRITTEN = 100


async def test_it_brings_ones_own_notices_in_order_page_by_page(api: API) -> None:
    sent = []
    for index in range(5):
        sent.append(str(await tell(api, COUNTY, "trainee.selected", leave=index)))
        await tell(api, OTHER_COUNTY, "trainee.selected")
    await api.services.pool.execute("UPDATE ledger.outbox SET delivered_at = now() WHERE id = $1::uuid", sent[0])

    found, cursor = [], ""
    for more in (True, True, False):
        page = (await api.get(COUNTY, f"/v1/events?limit=2{cursor}")).json()
        assert page["more"] is more
        found += page["items"]
        cursor = f"&cursor={page['next']}"
    assert [each["id"] for each in found] == sent
    assert [each["data"]["leave"] for each in found] == list(range(5))
    assert set(found[0]) == {"id", "type", "timestamp", "data"}
    assert found[0]["timestamp"] == "2022-09-20T01:30:00Z"

    empty = (await api.get(COUNTY, f"/v1/events?limit=2{cursor}")).json()
    assert (empty["items"], f"&cursor={empty['next']}", empty["more"]) == ([], cursor, False)
    later = str(await tell(api, COUNTY, "leave.granted"))
    assert [each["id"] for each in (await api.get(COUNTY, f"/v1/events?{cursor[1:]}")).json()["items"]] == [later]


async def test_it_waits_for_a_notice_with_an_earlier_place_that_is_still_being_written(
    api: API, database_url: str
) -> None:
    """Of two transactions at once the later one commits first: nothing of it is shown before the earlier one is."""
    earlier = await asyncpg.connect(database_url)
    writing = earlier.transaction()
    await writing.start()
    # As an append does, in a transaction that has not ended.
    await earlier.execute(
        "INSERT INTO ledger.outbox (id, recipient, topic, dedup, body, created_at) "
        "VALUES (gen_random_uuid(), $1, 'leave.requested', '', convert_to('{\"data\": {}}', 'UTF8'), now())",
        COUNTY,
    )
    await tell(api, COUNTY, "leave.granted")
    reading = asyncio.create_task(api.get(COUNTY, "/v1/events"))
    held = await _first(reading, 0.3)
    await writing.commit()
    await earlier.close()
    assert held is None
    page = (await reading).json()
    assert [each["type"] for each in page["items"]] == ["leave.requested", "leave.granted"]


async def _first(reading: "asyncio.Task[httpx2.Response]", seconds: float) -> "httpx2.Response | None":
    """The answer if it comes so soon."""
    done, _ = await asyncio.wait([reading], timeout=seconds)
    return reading.result() if done else None


async def test_a_transaction_that_does_not_end_gives_an_empty_page_and_the_same_cursor(
    api: API, database_url: str
) -> None:
    await tell(api, COUNTY, "leave.granted")
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("LOCK TABLE ledger.outbox IN ROW EXCLUSIVE MODE")
        page = (await api.get(COUNTY, "/v1/events")).json()
    await other.close()
    assert (page["items"], page["more"]) == ([], False)
    again = (await api.get(COUNTY, f"/v1/events?cursor={page['next']}")).json()
    assert len(again["items"]) == 1


async def test_nothing_is_left_out_while_many_write(api: API) -> None:
    ledger = Ledger(api.services.pool)
    writing = asyncio.gather(*(ledger.append(append_of(COUNTY, "leave.granted")) for _ in range(WRITTEN)))
    found: list[str] = []
    cursor, last = "", False
    while not last:
        # What is asked for after everything was written must bring the rest.
        ended = writing.done()
        page = (await api.get(COUNTY, f"/v1/events?limit=7{cursor}")).json()
        found += [each["id"] for each in page["items"]]
        cursor = f"&cursor={page['next']}"
        last = ended and not page["items"]
    await writing
    await ledger.close()
    assert len(found) == len(set(found)) == WRITTEN


async def test_a_cursor_of_something_else_is_refused(api: API) -> None:
    assert api.problem(await api.get(COUNTY, "/v1/events?cursor=***")) == "invalid-request"


def test_every_type_of_notice_is_described_as_a_webhook() -> None:
    document = describe_without_settings()
    assert set(document["webhooks"]) == set(notice_types())
    assert len(document["webhooks"]) > 30
    operations = [each["post"] for each in document["webhooks"].values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert {name["name"] for name in each["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
