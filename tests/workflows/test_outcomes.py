"""What comes after a training, on real workflows: days, corrections after closing, a frozen nomination, a waiver, a
lost restriction that ends by its date, and bulletins on a schedule.
"""

import base64
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.bulletins import BulletinActivities
from activities.dispatch import Dispatcher
from activities.facts import LedgerFacts
from activities.outbox import Outbox
from activities.overdue import OverdueSweep
from projections import bulletins, training_days
from projections.checkpoints import Checkpoints
from schedules import BULLETINS, bulletins_schedule, ensure_schedules
from settings import Settings
from tests.workflows.conftest import (
    BUREAU,
    COUNTY,
    HOST,
    SCHOOL,
    Core,
    CoreFactory,
    Refused,
    SetClock,
    at,
    nomination,
    open_campaign,
    until,
)
from tests.workflows.test_overdue import SlowClock
from workflows.bulletins import Bulletins
from workflows.messages import BulletinRun, Receipt, workflow_id

CLASS = {"host": "h001", "project_type": "gp5", "starts": "2022-10-10", "ends": "2022-10-16", "place": "A"}
DECISION = {"decided_by": "staff-07", "reasons": "r"}
CORRECTION = {"decided_by": "staff-07", "reason": "the wrong list", "document": "doc 5"}


async def in_training(core: Core, clock: SetClock, number: str, class_number: str, person: UUID) -> None:
    """Nominated, selected, enrolled, confirmed and registered."""
    await core.send("trainee", number, "nominate", SCHOOL, nomination(person), new=True)
    await core.send("trainee", number, "approve", COUNTY)
    await core.send("trainee", number, "approve", BUREAU, {"host": "h001"})
    await core.send("class", class_number, "plan", HOST, {**CLASS, "capacity": 2}, new=True)
    await core.send("trainee", number, "enroll", HOST, {"training_class": class_number})
    await core.send("trainee", number, "confirm", SCHOOL)
    clock.at = at(10, 10)
    await core.send("trainee", number, "register", HOST)


async def days_of(core: Core, person: UUID) -> list[tuple[int, int, int]]:
    """The amounts of every entry in the person's cycle."""
    recorded = await core.ledger.read_stream("people", f"training-days/{person}:2021-2025")
    keys = ("centralised_days", "online_days", "hours")
    return [tuple(int(str(each.data[key])) for key in keys) for each in recorded]  # type: ignore[misc]


async def test_case_72_a_closed_case_is_corrected_and_its_workflow_starts_again_from_the_ledger(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SlowClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number, person = core.number("t1"), uuid4()
        await in_training(core, clock, number, core.number("c1"), person)
        clock.at = at(10, 17)
        body = {"centralised_days": 7, "online_days": 2, "hours": 72}
        done = await core.send("trainee", number, "complete", HOST, body)
        assert done.phase == "following-up"
        assert await days_of(core, person) == [(7, 2, 72)]
        await core.send("trainee", number, "submit-follow-up", SCHOOL, {"evidence": "lesson 7"})
        closed = await core.send("trainee", number, "review-follow-up", HOST, {"accepted": True})
        assert closed.closed
        handle = core.client.get_workflow_handle(workflow_id("trainee", number), result_type=Receipt)
        await handle.result()

        failed = await core.send(
            "trainee", number, "correct", BUREAU, {**CORRECTION, "becomes": "not-completed", "reasons": ["attendance"]}
        )
        assert (failed.phase, failed.closed) == ("not-completed", True)
        assert await days_of(core, person) == [(7, 2, 72), (-7, -2, -72)]
        assert await core.events("restriction", f"{number}-r1", "restrictions") == ["restriction.proposed"]

        back = await core.send("trainee", number, "correct", BUREAU, {**CORRECTION, "becomes": "in-training"})
        assert (back.phase, back.closed) == ("in-training", False)
        assert (await core.events("restriction", f"{number}-r1", "restrictions"))[-1] == "restriction.dropped"
        again = await core.send("trainee", number, "complete", HOST, {"centralised_days": 7, "hours": 64})
        assert again.phase == "following-up"
        assert await days_of(core, person) == [(7, 2, 72), (-7, -2, -72), (7, 0, 64)]
        await core.projector.wait_for("people", await core.ledger.head("people"))
        (row,) = (await training_days.page(core.pool, cycle="2021-2025", person=person)).items
        assert (row.centralised_days, row.online_days, row.hours) == (7, 0, 64)
        late = {"answer": "completed", "said_on": "2022-10-17", "document": "letter 9"}
        kept = await core.send("trainee", number, "record-late-answer", COUNTY, late)
        assert (kept.phase, kept.version) == ("following-up", again.version + 1)


async def imposed(core: Core, clock: SetClock, person: UUID, name: str) -> str:
    """A restriction of the person in force, from his dismissal to the decision."""
    number = core.number(name)
    await in_training(core, clock, number, core.number(f"c-{name}"), person)
    dismissal = {"reason": "conduct", "evidence": "record 3"}
    await core.send("trainee", number, "dismiss", HOST, dismissal)
    restriction = f"{number}-r1"
    await core.send("restriction", restriction, "serve", BUREAU, {"via": "mail"})
    clock.at = at(11, 20)
    assert (await core.send("restriction", restriction, "impose", BUREAU, DECISION)).phase == "imposed"
    return restriction


async def test_cases_36_37_38_frozen_in_flight_waived_once_and_thawed_by_a_reversal(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SlowClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        person, flying = uuid4(), core.number("t2")
        other = nomination(person, project_type="gp1", rural=True)
        await core.send("trainee", flying, "nominate", SCHOOL, other, new=True)
        await core.send("trainee", flying, "approve", COUNTY)
        restriction = await imposed(core, clock, person, "t1")
        assert (await core.events("trainee", flying))[-1] == "nomination.frozen"
        with pytest.raises(Refused) as frozen:
            await core.send("trainee", flying, "approve", BUREAU, {"host": "h001"})
        assert frozen.value.code == "nomination_frozen"
        # The dispatcher wakes the frozen case's workflow, which then knows its new version.
        dispatcher = Dispatcher(core.pool, core.client, task_queue=core.task_queue)
        await dispatcher.poll(Outbox(core.pool))
        handle = core.client.get_workflow_handle(workflow_id("trainee", flying))

        async def knows() -> bool:
            receipt = await handle.query("case", result_type=Receipt)
            return receipt is not None and receipt.waiting_for.startswith("the county's answer")

        await until(knows)
        # A nomination that rests on a waiver: not without one, once, and not twice.
        clock.at = at(8, 27)
        third = core.number("t3")
        body = nomination(person, project_type="gp2", waiver=restriction, rural=True)
        with pytest.raises(Refused) as unknown:
            await core.send("trainee", third, "nominate", SCHOOL, body, new=True)
        assert unknown.value.code == "waiver_unknown"
        waiver = {**DECISION, "document": "doc 3", "campaign": core.book, "project_type": "gp1"}
        await core.send("restriction", restriction, "waive", BUREAU, waiver)
        resumed = await core.send("trainee", flying, "resume", BUREAU, {"waiver": restriction})
        assert resumed.phase == "county-approved"
        with pytest.raises(Refused) as used:
            await core.send("trainee", flying, "resume", BUREAU, {"waiver": restriction})
        assert used.value.code == "not_frozen"
        reversed_ = await core.send("restriction", restriction, "reverse", BUREAU, {**DECISION, "document": "doc 8"})
        assert (reversed_.phase, reversed_.closed) == ("reversed", True)
        assert await core.pool.fetchval("SELECT count(*) FROM ledger.blocks WHERE owner = $1", restriction) == 0
        fresh = nomination(person, project_type="gp2", rural=True)
        with pytest.raises(Refused) as late:
            await core.send("trainee", core.number("t4"), "nominate", SCHOOL, {**fresh, "stage": "nowhere"}, new=True)
        assert "restricted_until" not in [each.code for each in late.value.refusal.reasons]


async def test_a_restriction_whose_workflow_was_lost_ends_by_its_date(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SlowClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        number = core.number("prior")
        record = {
            "person": str(uuid4()),
            "sealed": "sealed",
            "starts": "2021-05-01",
            "until": "2024-05-01",
            "document": "doc 88",
        }
        receipt = await core.send("restriction", number, "record", BUREAU, record, new=True)
        await core.projector.wait_for("restrictions", await core.ledger.head("restrictions"))
        await temporal_client.get_workflow_handle(workflow_id("restriction", number)).terminate("lost")
        assert receipt.deadline is not None
        clock.at = receipt.deadline + timedelta(days=40)
        sweep = OverdueSweep(core.pool, core.client, clock, task_queue=core.task_queue)
        await sweep.sweep()
        assert await sweep.sweep() == 1

        async def expired() -> bool:
            return (await core.events("restriction", number, "restrictions"))[-1] == "restriction.expired"

        await until(expired)


def settings_of(core: Core, directory: Path, **changes: Any) -> Settings:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    keys = dict.fromkeys(("master_key", "index_key", "signing_key", "link_key"), key)
    fixed = {"database_url": "postgresql://nobody", "task_queue": core.task_queue, "state_dir": directory}
    return Settings.model_validate({**keys, **fixed, **changes})


async def test_case_48_bulletins_come_on_a_schedule_and_a_correction_makes_a_second_version(
    temporal_client: Client, core_on: CoreFactory, tmp_path: Path
) -> None:
    clock = SlowClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        checkpoints = Checkpoints(core.pool)
        facts = LedgerFacts(core.pool, core.ledger, checkpoints)
        publisher = Worker(
            core.client,
            task_queue=f"{core.task_queue}-bulletins",
            workflows=[Bulletins],
            activities=[BulletinActivities(core.ledger, clock, facts).publish_bulletins],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        settings = settings_of(core, tmp_path, task_queue=f"{core.task_queue}-bulletins")
        prefix = f"{core.prefix}-"
        await ensure_schedules(core.client, settings, prefix=prefix)
        await ensure_schedules(core.client, settings, prefix=prefix)
        schedule = core.client.get_schedule_handle(prefix + BULLETINS)
        described = await schedule.describe()
        assert described.schedule.spec.time_zone_name == "Asia/Shanghai"

        async def run() -> BulletinRun:
            result: BulletinRun = await core.client.execute_workflow(
                Bulletins.run, id=f"{core.prefix}-{uuid4()}", task_queue=settings.task_queue
            )
            return result

        async def periods() -> list[tuple[str, int, str]]:
            await core.projector.wait_for(core.book, await core.ledger.head(core.book))
            return [(each.period, each.version, each.reason) for each in await bulletins.issued(core.pool, core.book)]

        async with publisher:
            number, person = core.number("t1"), uuid4()
            await in_training(core, clock, number, core.number("c1"), person)
            assert (await run()).published == (f"{core.book}:2022-09-25:1",)
            assert (await run()).published == (), "once"
            clock.at = at(10, 17)
            await core.send("trainee", number, "complete", HOST, {"centralised_days": 7, "hours": 56})
            correction = {**CORRECTION, "becomes": "not-completed", "reasons": ["attendance"]}
            await core.send("trainee", number, "correct", BUREAU, correction)
            await schedule.trigger()

            async def second() -> bool:
                return ("2022-09-25", 2, "corrected") in await periods()

            await until(second)
            assert ("2022-09-25", 1, "scheduled") in await periods()
            first = await bulletins.one_issued(core.pool, core.book, "hosts", "2022-09-25", 1)
            later = await bulletins.one_issued(core.pool, core.book, "hosts", "2022-09-25", 2)
            assert first is not None and later is not None
            assert (first.rows[0].completed, later.rows[0].completed, later.rows[0].not_completed) == (0, 0, 1)
        await schedule.delete()
        await checkpoints.close()


def test_the_demo_looks_often_and_production_once_a_day(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(32)).decode()
    keys = dict.fromkeys(("master_key", "index_key", "signing_key", "link_key"), key)
    for clock, often in (("demo", True), ("system", False)):
        settings = Settings.model_validate({**keys, "database_url": "x", "clock": clock, "state_dir": tmp_path})
        spec = bulletins_schedule(settings).spec
        assert (bool(spec.intervals), bool(spec.calendars)) == (often, not often)
