"""Three years on one timer: a restriction's workflow on a Temporal whose time can be skipped."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.bounces import read_report, record_bounce
from activities.service_of_notice import ServiceOfNotice
from tests.activities.delivery_reports import report
from tests.activities.post_office import RETURN_PATHS, open_post_office
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
from workflows.messages import Receipt, workflow_id


class SkippingClock:
    """The campaign's time is the server's: what the server skips has passed for the ledger too."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment

    async def now(self) -> datetime:
        return await self._environment.get_current_time()

    async def real_seconds_until(self, instant: datetime) -> float:
        return max(0.0, (instant - await self.now()).total_seconds())


async def test_a_restriction_ends_by_itself_after_three_years(
    time_skipping_environment: WorkflowEnvironment, core_on: CoreFactory
) -> None:
    clock = SkippingClock(time_skipping_environment)
    began = await clock.now()
    async with core_on(time_skipping_environment.client, clock) as core:
        last = (began + timedelta(days=3 * 365 + 1)).date()
        number = core.number("prior")
        record = {
            "person": str(uuid4()),
            "sealed": "sealed",
            "starts": str(began.date()),
            "until": str(last),
            "document": "doc 88",
        }
        await core.send("restriction", number, "record", BUREAU, record, new=True)
        handle = core.client.get_workflow_handle(workflow_id("restriction", number), result_type=Receipt)
        await time_skipping_environment.sleep(timedelta(days=3 * 365 + 2))

        async def expired() -> bool:
            return (await core.events("restriction", number, "restrictions"))[-1] == "restriction.expired"

        await until(expired)
        assert await core.events("restriction", number, "restrictions") == [
            "restriction.recorded",
            "restriction.expired",
        ]
        assert await clock.now() - began >= timedelta(days=3 * 365)
        history = await handle.fetch_history()
        assert sum(each.HasField("timer_started_event_attributes") for each in history.events) == 1


async def test_an_unexcused_absence_becomes_a_restriction_that_runs_its_procedure(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number, class_number = core.number("t1"), core.number("c1")
        await absent_trainee(core, clock, number, class_number)
        clock.at = at(10, 18)  # The excuse window has passed: the workflow's own timer closes it.
        trainee = core.client.get_workflow_handle(workflow_id("trainee", number), result_type=Receipt)
        assert (await trainee.result()).phase == "absent"
        assert (await core.events("trainee", number))[-1] == "absence.unexcused"
        restriction = f"{number}-r1"
        await core.start("restriction", restriction)
        decision = {"decided_by": "staff-07", "reasons": "no reason was shown"}
        with pytest.raises(Refused) as early:
            await core.send("restriction", restriction, "impose", BUREAU, decision)
        assert early.value.code == "not_yet_served"
        await core.send("restriction", restriction, "serve", BUREAU, {"via": "mail"})
        await core.send("restriction", restriction, "object", SCHOOL, {"statement": "letter 5"})
        with pytest.raises(Refused) as open_window:
            await core.send("restriction", restriction, "impose", BUREAU, decision)
        assert open_window.value.code == "objection_window_open"
        clock.at = at(11, 20)
        imposed = await core.send("restriction", restriction, "impose", BUREAU, decision)
        assert imposed.phase == "imposed"
        assert imposed.deadline == datetime(2025, 11, 19, 16, tzinfo=UTC)


@pytest.mark.parametrize("way", ["refused", "no address", "came back"])
async def test_case_41_a_notice_that_no_mail_can_bring_begins_no_window(
    database_url: str, temporal_client: Client, core_on: CoreFactory, way: str
) -> None:
    clock, email = SetClock(at(8, 26)), "wang@school.example.org"
    async with core_on(temporal_client, clock) as core, open_post_office(database_url) as office:
        office.activities.service = ServiceOfNotice(core.client, core.task_queue)
        await office.pool.execute("DELETE FROM view.institutions WHERE id = $1", SCHOOL.organisation)
        await office.organisation(SCHOOL.organisation)
        person = await office.person(name="王", email="" if way == "no address" else email)
        if way == "refused":
            office.mails.refuse(email)
        await open_campaign(core)
        number, class_number = core.number("t1"), core.number("c1")
        await absent_trainee(core, clock, number, class_number, person)
        clock.at = at(10, 18)
        trainee = core.client.get_workflow_handle(workflow_id("trainee", number), result_type=Receipt)
        await trainee.result()
        restriction = f"{number}-r1"
        await core.start("restriction", restriction)
        await core.send("restriction", restriction, "serve", BUREAU, {"via": "mail"})
        await office.deliver(SCHOOL.organisation)
        if way == "came back":
            assert (await core.events("restriction", restriction, "restrictions"))[-1] == "restriction.served"
            sender = office.mails.received(email)[-1].sender
            await record_bounce(office.pool, read_report(report(sender), RETURN_PATHS))
        while (await office.deliver(SCHOOL.organisation)).left:
            pass

        assert (await core.events("restriction", restriction, "restrictions"))[-2:] == [
            "restriction.served",
            "restriction.service_failed",
        ]
        clock.at = at(11, 20)
        with pytest.raises(Refused) as never_served:
            await core.send("restriction", restriction, "impose", BUREAU, {"decided_by": "s", "reasons": "r"})
        assert never_served.value.code == "not_yet_served"
        sent = office.mails.received(f"{SCHOOL.organisation}@example.org")
        (told,) = [each for each in sent if restriction in each.text]
        assert "未能送达，请转交教师本人" in told.text, "the school hands it over, and the county serves it anew"
        assert "拟限制参训告知书" not in told.text, "nobody hands over a window that has not begun"
        served = await core.send("restriction", restriction, "serve", COUNTY, {"via": "school"})
        assert served.phase == "served"


async def absent_trainee(
    core: Core, clock: SetClock, number: str, class_number: str, person: UUID | None = None
) -> None:
    """Nominated, selected, enrolled, confirmed, and not there when the list was confirmed."""
    await core.send("trainee", number, "nominate", SCHOOL, nomination(person), new=True)
    await core.send("trainee", number, "approve", COUNTY)
    await core.send("trainee", number, "approve", BUREAU, {"host": "h001"})
    body = {"host": "h001", "project_type": "gp5", "starts": "2022-10-10", "ends": "2022-10-16", "place": "A"}
    await core.send("class", class_number, "plan", HOST, {**body, "capacity": 2}, new=True)
    await core.send("trainee", number, "enroll", HOST, {"training_class": class_number})
    await core.send("trainee", number, "confirm", SCHOOL)
    clock.at = at(10, 10)

    async def opened() -> bool:
        return "class.registration_opened" in await core.events("class", class_number)

    async def absent() -> bool:
        return "trainee.no_show" in await core.events("trainee", number)

    await until(opened)
    await core.send("class", class_number, "confirm-check-in", HOST)
    await until(absent)
