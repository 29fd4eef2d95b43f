"""A campaign's and a class's workflow on real parts: one timer at a cut-off reaches every case that missed it."""

from temporalio.client import Client

from tests.workflows.conftest import (
    BUREAU,
    COUNTY,
    SCHOOL,
    CoreFactory,
    SetClock,
    at,
    nomination,
    open_campaign,
    until,
)
from workflows.messages import Receipt, workflow_id


async def test_what_missed_a_cut_off_lapses_and_the_rest_stays(temporal_client: Client, core_on: CoreFactory) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        late, unapproved, selected = (core.number(each) for each in ("t1", "t2", "t3"))
        for number in (late, unapproved, selected):
            await core.send("trainee", number, "nominate", SCHOOL, nomination(), new=True)
        for number in (unapproved, selected):
            await core.send("trainee", number, "approve", COUNTY)
        await core.send("trainee", selected, "approve", BUREAU, {"host": "h001"})
        clock.at = at(9, 1)

        async def settled() -> bool:
            events = await core.events("campaign", core.book)
            return events.count("campaign.selection_settled") == 3

        await until(settled)
        assert (await core.events("trainee", late))[-1] == "nomination.rejected"
        assert (await core.events("trainee", unapproved))[-1] == "nomination.rejected"
        assert (await core.events("trainee", selected))[-1] == "nomination.approved"
        # The seat of the one that the city did not approve in time is free again; the selected one's is not.
        assert (await core.ledger.counter(f"seat:{core.book}:gp5:410181")).used == 1


async def test_a_lost_campaign_still_owes_what_it_had_not_done(temporal_client: Client, core_on: CoreFactory) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number = core.number("t1")
        await core.send("trainee", number, "nominate", SCHOOL, nomination(), new=True)
        handle = core.client.get_workflow_handle(workflow_id("campaign", core.book))
        await handle.terminate("lost with its cluster")
        clock.at = at(9, 1)
        await core.start("campaign", core.book)

        async def lapsed() -> bool:
            return (await core.events("trainee", number))[-1] == "nomination.rejected"

        await until(lapsed)


async def test_the_campaign_shows_what_it_waits_for(temporal_client: Client, core_on: CoreFactory) -> None:
    async with core_on(temporal_client, SetClock(at(8, 26))) as core:
        await open_campaign(core)
        handle = core.client.get_workflow_handle(workflow_id("campaign", core.book))
        receipt = await handle.query("case", result_type=Receipt)
        assert receipt.deadline == core.plan.selection_deadline("school").replace(day=26, hour=10)
        metadata = await handle.query("__temporal_workflow_metadata")
        assert "waits for the selection's cut-offs" in metadata.current_details
        assert "410181" not in str(metadata)
