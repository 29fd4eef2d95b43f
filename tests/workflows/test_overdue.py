"""The second way past a deadline: by the ledger's own dates, when the timer was wrong or is lost."""

from datetime import datetime

from temporalio.client import Client

from activities.overdue import AGAIN_AFTER_SWEEPS, OverdueSweep
from tests.workflows.conftest import HOST, Core, CoreFactory, SetClock, at, until
from workflows.messages import Receipt, workflow_id

CLASS = {"host": "h001", "project_type": "gp5", "starts": "2022-10-10", "ends": "2022-10-16", "place": "A"}


class SlowClock(SetClock):
    """Says of every instant that it is an hour away."""

    async def real_seconds_until(self, instant: datetime) -> float:
        return 3_600.0


def sweep_of(core: Core, clock: SetClock) -> OverdueSweep:
    return OverdueSweep(core.pool, core.client, clock, task_queue=core.task_queue)


async def planned(core: Core, clock: SetClock) -> tuple[str, Receipt]:
    """A class whose host must be reminded before it starts; the campaign's own dates are over."""
    clock.at = at(9, 10)
    number = core.number("c1")
    receipt = await core.send("class", number, "plan", HOST, {**CLASS, "capacity": 2}, new=True)
    await core.projector.wait_for(core.book, await core.ledger.head(core.book))
    return number, receipt


async def test_a_case_whose_timer_was_wrong_is_woken_at_the_second_sight(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SlowClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        number, receipt = await planned(core, clock)
        sweep = sweep_of(core, clock)
        assert await sweep.sweep() == 0, "nothing is overdue"
        assert receipt.deadline is not None
        clock.at = receipt.deadline
        assert await sweep.sweep() == 0, "its own timer may be just about to fire"
        assert await sweep.sweep() == 1

        async def passed() -> bool:
            return "class.reminder" in await core.events("class", number)

        await until(passed)
        assert await core.events("class", number) == ["class.planned", "class.reminder"]


async def test_a_lost_workflow_that_is_overdue_is_started_and_passes_its_deadline(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SlowClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        number, receipt = await planned(core, clock)
        await temporal_client.get_workflow_handle(workflow_id("class", number)).terminate("lost")
        assert receipt.deadline is not None
        clock.at = receipt.deadline
        sweep = sweep_of(core, clock)
        await sweep.sweep()
        assert await sweep.sweep() == 1

        async def passed() -> bool:
            return "class.reminder" in await core.events("class", number)

        await until(passed)


async def test_a_wake_before_the_deadline_changes_nothing(temporal_client: Client, core_on: CoreFactory) -> None:
    clock = SlowClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        number, receipt = await planned(core, clock)
        handle = temporal_client.get_workflow_handle(workflow_id("class", number))
        await handle.signal("wake")
        # A command behind the wake shows that the wake is done with.
        later = await core.send("class", number, "announce", HOST)
        assert later.version == receipt.version + 1
        assert await core.events("class", number) == ["class.planned", "class.announced"]


async def test_a_case_that_stays_overdue_is_woken_again_only_after_many_sweeps(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SlowClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        _, receipt = await planned(core, clock)
        assert receipt.deadline is not None
        sweep = OverdueSweep(core.pool, core.client, _Ahead(receipt.deadline), task_queue=core.task_queue)
        woken = [await sweep.sweep() for _ in range(AGAIN_AFTER_SWEEPS + 2)]
        assert woken == [0, 1, *[0] * (AGAIN_AFTER_SWEEPS - 1), 1]


class _Ahead(SetClock):
    """The sweep's clock is ahead of the worker's, for whom nothing is due yet."""
