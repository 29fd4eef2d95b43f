"""Branches of a nomination and of the restriction that may follow from it, played to be recorded."""

import asyncio
from datetime import timedelta
from unittest import mock
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowUpdateFailedError

from domain.decision import SYSTEM, Actor
from tests.histories.stage import EVER, Stage
from tests.workflows.conftest import BUREAU, COUNTY, HOST, SCHOOL, at, until
from workflows.messages import Receipt, workflow_id

DECISION = {"decided_by": "staff-07", "reasons": "r"}
CORRECTION = {"decided_by": "staff-07", "reason": "the wrong list", "document": "doc 5"}
DISMISSAL = {"reason": "conduct", "evidence": "record 3"}
COMPLETION = {"centralised_days": 7, "online_days": 1, "hours": 64}
BOOK = "restrictions"


async def completed(s: Stage) -> None:
    """The whole road, with everything that may be asked twice, and a correction after the case was closed."""
    await s.open()
    number, training_class = await s.nominated("t1"), await s.planned("c1")
    await s.trainee(number, "return", COUNTY, reason="the form")
    await s.trainee(number, "resubmit", SCHOOL)
    await s.trainee(number, "approve", COUNTY)
    await s.refused("host_unknown", s.trainee(number, "approve", BUREAU, host="h999"))
    await s.trainee(number, "approve", BUREAU, host="h001")
    await s.trainee(number, "enroll", HOST, training_class=training_class)
    await s.trainee(number, "confirm", SCHOOL)
    s.clock.at = at(10, 10)
    await s.trainee(number, "register", HOST)
    for leave, day in ((1, "2022-10-12"), (2, "2022-10-13")):
        await s.trainee(number, "request-leave", SCHOOL, first_day=day, last_day=day, reason="ill")
        command, more = ("grant-leave", {}) if leave == 1 else ("refuse-leave", {"reason": "the test"})
        await s.trainee(number, command, HOST, leave=leave, **more)
    s.clock.at = at(10, 17)
    await s.trainee(number, "complete", HOST, **COMPLETION)
    for accepted in (False, True):
        await s.trainee(number, "submit-follow-up", SCHOOL, evidence="lesson 7")
        await s.trainee(number, "review-follow-up", HOST, accepted=accepted, comment="as seen")
    await s.keep("trainee-completed", "trainee", number)
    await s.trainee(number, "correct", BUREAU, **CORRECTION, becomes="not-completed", reasons=["attendance"])
    await s.trainee(number, "correct", BUREAU, **CORRECTION, becomes="in-training")
    await s.trainee(number, "complete", HOST, **COMPLETION)
    await s.trainee(number, "reissue-certificate", BUREAU, reason="name", document="doc 6")
    late = {"answer": "completed", "said_on": "2022-12-01", "document": "letter 9"}
    await s.trainee(number, "record-late-answer", COUNTY, **late)
    await s.keep("trainee-corrected", "trainee", number, ended=False)


async def rejected(s: Stage) -> None:
    """Turned down: by the rules before there is a case, by the city, and by nobody in time."""
    await s.open()
    unfit, turned_down, late = s.number("t1"), await s.nominated("t2"), await s.nominated("t3")
    body = s.body(stage="senior")
    await s.refused("stage_not_eligible", s.core.send("trainee", unfit, "nominate", SCHOOL, body, new=True))
    await s.keep("trainee-refused", "trainee", unfit)
    await s.trainee(turned_down, "approve", COUNTY)
    await s.trainee(turned_down, "reject", BUREAU, reasons=["subject_mismatch"])
    await s.keep("trainee-rejected", "trainee", turned_down)
    s.clock.at = at(9, 1)
    await s.wake("campaign", s.core.book)
    await s.recorded("trainee", late, "nomination.rejected")
    await s.keep("trainee-lapsed", "trainee", late)
    await s.core.start("trainee", s.number("nobody"))
    await s.keep("trainee-without-stream", "trainee", s.number("nobody"))


async def withdrawn(s: Stage) -> None:
    """Taken back when selected, and declined when enrolled."""
    await s.open()
    ill, declines, training_class = await s.selected("t1"), await s.selected("t2"), await s.planned("c1")
    await s.trainee(ill, "withdraw", SCHOOL, reason="ill")
    await s.keep("trainee-withdrawn", "trainee", ill)
    await s.trainee(declines, "enroll", HOST, training_class=training_class)
    await s.trainee(declines, "decline", SCHOOL, reason="family")
    await s.keep("trainee-declined", "trainee", declines)


async def absent(s: Stage) -> None:
    """Two who do not come: one is excused, the other one's window passes; then the restriction to its last day."""
    await s.open()
    training_class = await s.planned("c1", ends="2022-10-20")
    number, excused = [await s.confirmed(each, training_class) for each in ("t1", "t2")]
    s.clock.at = at(10, 10)
    await s.wake("class", training_class)
    await s.recorded("class", training_class, "class.registration_opened")
    # The window of five working days ends on the 17th, the class later.
    s.clock.near = (at(10, 16), at(10, 18))
    await s.training_class(training_class, "confirm-check-in")
    await s.recorded("trainee", number, "trainee.no_show")
    await s.recorded("trainee", excused, "trainee.no_show")
    await s.trainee(excused, "excuse", COUNTY, reason="ill", document="doc 2")
    await s.keep("trainee-excused", "trainee", excused)
    s.clock.at, s.clock.near = at(10, 18), None
    await s.keep("trainee-absent", "trainee", number)
    restriction = f"{number}-r1"
    await s.dispatched()
    await s.refused("not_yet_served", s.restriction(restriction, "impose", BUREAU, **DECISION))
    await s.restriction(restriction, "serve", BUREAU, via="mail")
    first = await s.newest_run("restriction", restriction)
    await s.restriction(restriction, "fail-service", COUNTY, reason="unknown_address")
    # A step back in the procedure is the beginning of a new run.
    await s.keep("restriction-service-failed", "restriction", restriction, run_id=first)
    await s.restriction(restriction, "serve", BUREAU, via="school")
    await s.restriction(restriction, "object", SCHOOL, statement="letter 5")
    await s.refused("objection_window_open", s.restriction(restriction, "impose", BUREAU, **DECISION))
    s.clock.at = at(11, 20)
    await s.wake("restriction", restriction)
    receipt = await s.restriction(restriction, "impose", BUREAU, **DECISION)
    assert receipt.deadline is not None
    s.clock.at = receipt.deadline
    await s.wake("restriction", restriction)
    await s.keep("restriction-expired", "restriction", restriction)


async def dismissed(s: Stage) -> None:
    """Dismissed; the teacher objects by his own link, and the objection is upheld."""
    await s.open()
    number = await s.in_training("t1", await s.planned("c1"))
    await s.trainee(number, "dismiss", HOST, **DISMISSAL)
    await s.keep("trainee-dismissed", "trainee", number)
    restriction = f"{number}-r1"
    await s.dispatched()
    served = await s.restriction(restriction, "serve", BUREAU, via="mail")
    assert served.deadline is not None
    first = await s.newest_run("restriction", restriction)
    window = served.deadline.isoformat()
    await s.restriction(restriction, "record-bounce", SYSTEM, until=window, reason="unknown_address")
    await s.keep("restriction-bounced", "restriction", restriction, run_id=first)
    await s.restriction(restriction, "serve", COUNTY, via="in-person")
    teacher = Actor(organisation=restriction, role="teacher", key="link")
    await s.restriction(restriction, "object-by-link", teacher, sealed=s.sealed)
    s.clock.at = at(11, 20)
    await s.restriction(restriction, "drop", BUREAU, **DECISION)
    await s.keep("restriction-dropped", "restriction", restriction)


async def not_completed(s: Stage) -> None:
    """Not completed; nobody objects: imposed, waived once, reversed. A nomination in flight is frozen and woken."""
    await s.open()
    person = uuid4()
    flying = await s.nominated("t2", person, project_type="gp1", rural=True)
    before = await s.nominated("t3", person, project_type="gp2", rural=True)
    number = await s.in_training("t1", await s.planned("c1"), person)
    s.clock.at = at(10, 17)
    await s.trainee(number, "fail", HOST, reasons=["attendance"])
    await s.keep("trainee-not-completed", "trainee", number)
    restriction = f"{number}-r1"
    s.clock.near = EVER
    await s.restriction(restriction, "serve", BUREAU, via="mail")
    s.clock.at, s.clock.near = at(11, 20), None
    await s.recorded("restriction", restriction, "restriction.window_closed", BOOK)
    await s.restriction(restriction, "impose", BUREAU, **DECISION)
    with mock.patch.object(workflow, "patched", return_value=False):
        # As the release before `read-when-woken` did: the wake is taken and nothing is read.
        await s.wake("trainee", before)
        await woken(s, before)
    await s.dispatched()
    await knows(s, flying, "the county's answer")
    waiver = {**DECISION, "document": "doc 3", "campaign": s.core.book, "project_type": "gp1"}
    await s.restriction(restriction, "waive", BUREAU, **waiver)
    await s.trainee(flying, "resume", BUREAU, waiver=restriction)
    await s.restriction(restriction, "reverse", BUREAU, **DECISION, document="doc 8")
    await s.keep("restriction-reversed", "restriction", restriction)
    await s.trainee(flying, "withdraw", SCHOOL, reason="work")
    await s.keep("trainee-frozen", "trainee", flying)


async def woken(s: Stage, number: str) -> None:
    """Keep the history of a case that was woken, once the wake stands in it with the task that took it."""
    handle = s.core.client.get_workflow_handle(workflow_id("trainee", number))

    async def taken() -> bool:
        history = await handle.fetch_history()
        signalled = [
            each.event_id for each in history.events if each.HasField("workflow_execution_signaled_event_attributes")
        ]
        done = [each.event_id for each in history.events if each.HasField("workflow_task_completed_event_attributes")]
        return bool(signalled) and done[-1] > signalled[-1]

    await until(taken)
    await s.keep("trainee-woken-by-an-older-release", "trainee", number, ended=False)


async def knows(s: Stage, number: str, waiting_for: str) -> None:
    handle = s.core.client.get_workflow_handle(workflow_id("trainee", number))

    async def answered() -> bool:
        receipt: Receipt | None = await handle.query("case", result_type=Receipt)
        return receipt is not None and receipt.waiting_for.startswith(waiting_for)

    await until(answered)


async def recorded_before(s: Stage) -> None:
    """A restriction from before xunji, entered from its document, to its last day."""
    number = s.number("prior")
    body = {"person": str(uuid4()), "sealed": s.sealed, "starts": "2021-05-01", "until": "2024-05-01", "document": "d"}
    receipt = await s.core.send("restriction", number, "record", BUREAU, body, new=True)
    assert receipt.deadline is not None
    s.clock.at = receipt.deadline
    await s.wake("restriction", number)
    await s.keep("restriction-recorded", "restriction", number)


async def follow_up_lapsed(s: Stage) -> None:
    """A follow-up task that is never handed in: overdue, then over, each by the case's own timer."""
    await s.open()
    number = await s.in_training("t1", await s.planned("c1"))
    s.clock.at, s.clock.near = at(10, 17), EVER
    receipt = await s.trainee(number, "complete", HOST, **COMPLETION)
    assert receipt.deadline is not None
    s.clock.at = receipt.deadline
    await s.recorded("trainee", number, "follow_up.overdue")
    s.clock.at += timedelta(days=60)
    await s.keep("trainee-follow-up-lapsed", "trainee", number)


async def waiting(s: Stage) -> None:
    """A full line: one withdraws; the first who waits declines, the second lets the offer pass, the third takes it."""
    await s.open()
    line = "gp5:410181"
    await s.quota(line, "override", BUREAU, seats=1, reason="a small year", document="doc 1")
    seated = await s.nominated("t1")
    await s.trainee(seated, "approve", COUNTY)
    first, second, third = [await s.nominated(f"t{index}", rural=index == 2) for index in (2, 3, 4)]
    await s.refused("quota_exhausted", s.trainee(first, "approve", COUNTY))
    for each in (first, second, third):
        s.clock.at += timedelta(minutes=1)
        await s.trainee(each, "waitlist", COUNTY)
    s.clock.near = EVER
    await s.trainee(seated, "withdraw", SCHOOL, reason="ill")
    await offered(s, first)
    await s.trainee(first, "decline-seat", SCHOOL)
    await s.keep("trainee-offer-declined", "trainee", first)
    await offered(s, second)
    s.clock.at += timedelta(days=1, hours=1)
    await s.keep("trainee-offer-lapsed", "trainee", second)
    s.clock.near = None
    await offered(s, third)
    await s.trainee(third, "accept-seat", SCHOOL)
    await s.trainee(third, "approve", BUREAU, host="h001")
    await s.trainee(third, "withdraw", SCHOOL, reason="transferred")
    await s.keep("trainee-offer-accepted", "trainee", third)
    await s.keep("quota-filled", "quota", s.line(line))


async def offered(s: Stage, number: str) -> None:
    async def there() -> bool:
        await s.dispatched()
        return (await s.core.events("trainee", number))[-1] == "seat.offered"

    await until(there)


async def substituted(s: Stage) -> None:
    """Another one takes the seat; and one whose name differs, who changes school and class, and somebody else comes."""
    await s.open()
    training_class, other_class = await s.planned("c1"), await s.planned("c2")
    old = await s.confirmed("t1", training_class)
    named = await s.nominated("t3", name_differs=True)
    await s.trainee(named, "review-identity", BUREAU, finding="same-person", **DECISION)
    await s.trainee(named, "change-school", COUNTY, school="410181-s02", document="doc 4")
    await s.trainee(named, "approve", COUNTY)
    await s.trainee(named, "approve", BUREAU, host="h001")
    await s.trainee(named, "enroll", HOST, training_class=training_class)
    await s.trainee(named, "change-class", HOST, training_class=other_class)
    s.clock.at = at(9, 20)
    new = s.number("t2")
    body = {key: value for key, value in s.body().items() if key not in ("project_type", "county", "position")}
    await s.trainee(old, "substitute", COUNTY, **body, number=new, reason="ill")
    await s.keep("trainee-substituted", "trainee", old)
    await s.dispatched()
    await s.trainee(new, "approve", COUNTY)
    await s.trainee(new, "approve", BUREAU, host="h001")
    await s.trainee(new, "enroll", HOST, training_class=training_class)
    await s.keep("trainee-substitute", "trainee", new, ended=False)
    s.clock.at = at(10, 10)
    await s.trainee(named, "report-impersonation", HOST, evidence="record 9")
    await s.keep("trainee-impersonated", "trainee", named, ended=False)


async def recovered(s: Stage) -> None:
    """A case goes on on a Temporal that knows nothing: it was lost in training and is completed and closed."""
    await s.open()
    number = await s.in_training("t1", await s.planned("c1"))
    async with s.on(s.servers.empty) as later:
        await later.core.start("trainee", number)
        later.clock.at = at(10, 17)
        await later.trainee(number, "complete", HOST, **COMPLETION)
        await later.trainee(number, "submit-follow-up", SCHOOL, evidence="lesson 7")
        await later.trainee(number, "review-follow-up", HOST, accepted=True)
        await later.keep("trainee-recovered", "trainee", number)


async def ledger_away(s: Stage) -> None:
    """The ledger does not answer for a while: the command goes to a regular activity, which waits for it."""
    await s.open()
    number = await s.nominated("t1")
    async with s.core.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE ledger.books IN ACCESS EXCLUSIVE MODE")
        sending = asyncio.create_task(s.trainee(number, "withdraw", SCHOOL, reason="ill"))
        await waits_for_the_ledger(s, number)
    await sending
    await s.keep("trainee-ledger-away", "trainee", number)


BROKEN = """
CREATE FUNCTION ledger.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON ledger.books EXECUTE FUNCTION ledger.broken();
"""


async def ledger_failing(s: Stage) -> None:
    """The ledger answers with an error for a while."""
    await s.open()
    number, older = await s.nominated("t1"), await s.nominated("t2")
    await s.core.pool.execute(BROKEN)
    with mock.patch.object(workflow, "patched", return_value=False), pytest.raises(WorkflowUpdateFailedError):
        # As the release before `wait-for-a-failing-ledger` did: the command fails.
        await s.trainee(older, "withdraw", SCHOOL, reason="ill")
    sending = asyncio.create_task(s.trainee(number, "withdraw", SCHOOL, reason="ill"))
    await waits_for_the_ledger(s, number)
    await s.core.pool.execute("DROP TRIGGER broken ON ledger.books")
    await sending
    await s.keep("trainee-ledger-failing", "trainee", number)
    await s.trainee(older, "withdraw", SCHOOL, reason="ill")
    await s.keep("trainee-ledger-failing-in-an-older-release", "trainee", older)


async def waits_for_the_ledger(s: Stage, number: str) -> None:
    """Until the command is a regular activity."""
    handle = s.core.client.get_workflow_handle(workflow_id("trainee", number))

    async def seen() -> bool:
        history = await handle.fetch_history()
        return any(each.HasField("activity_task_scheduled_event_attributes") for each in history.events)

    await until(seen)


async def continued(s: Stage) -> None:
    """A case with so long a history that Temporal wants a new one."""
    await s.open()
    async with s.on(s.servers.impatient) as later:
        number = await later.nominated("t1")
        first = await later.newest_run("trainee", number)
        for _ in range(8):
            await later.trainee(number, "return", COUNTY, reason="the form")
            await later.trainee(number, "resubmit", SCHOOL)
        await later.wake("trainee", number)
        await later.keep("trainee-continued-1", "trainee", number, run_id=first)
        await later.trainee(number, "withdraw", SCHOOL, reason="ill")
        await later.keep("trainee-continued-2", "trainee", number)


PLAYS = (
    completed,
    rejected,
    withdrawn,
    absent,
    dismissed,
    not_completed,
    recorded_before,
    follow_up_lapsed,
    waiting,
    substituted,
    recovered,
    ledger_away,
    ledger_failing,
    continued,
)
