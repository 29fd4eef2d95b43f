"""Branches of what many cases share: classes, the campaign, quota lines, bulletins. Played to be recorded."""

from uuid import uuid4

from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.bulletins import BulletinActivities
from activities.facts import LedgerFacts
from domain.decision import Actor
from projections.checkpoints import Checkpoints
from tests.histories.stage import EVER, Stage
from tests.workflows.conftest import BUREAU, COUNTY, HOST, at, until
from workflows.bulletins import Bulletins
from workflows.messages import Receipt, workflow_id

NEXT = Actor(organisation="410182", role="county")
LATER = {"starts": "2022-11-14", "ends": "2022-11-20", "reason": "疫情"}
SESSIONS = [{"day": "2022-10-10", "session": "morning", "units": 4}]
DUTIES = [{"staff": "t-01", "duty": "design", "hours": 12}]
LINE, CITY = "gp5:410181", "gp5:zzedu"


async def class_run(s: Stage) -> None:
    """A class from its plan to its report by its own timers: one trainee completes, one has never answered."""
    await s.open()
    s.clock.near = EVER
    number = await s.planned("c1")
    here, silent = await s.confirmed("t1", number), await s.selected("t2")
    await s.trainee(silent, "enroll", HOST, training_class=number)
    await s.training_class(number, "announce")
    await s.let_pass("class", number, "class.registration_opened")
    await s.trainee(here, "register", HOST)
    await s.training_class(number, "confirm-check-in")
    await s.recorded("trainee", silent, "nomination.withdrawn")
    await s.let_pass("class", number, "class.closed")
    s.clock.near = None
    await s.training_class(number, "record-duties", duties=DUTIES)
    await s.refused("outcomes_missing", s.training_class(number, "report"))
    await s.trainee(here, "complete", HOST, centralised_days=7, hours=56)
    await s.training_class(number, "report")
    await s.keep("class-run", "class", number)


async def class_changed(s: Stage) -> None:
    """Every change of a class, and the trainee who follows it until it is cancelled."""
    await s.open()
    number = await s.planned("c1")
    trainee = await s.confirmed("t1", number)
    await s.training_class(number, "set-timetable", sessions=SESSIONS)
    await s.training_class(number, "change-capacity", capacity=5)
    for command, body in (
        ("postpone", LATER),
        ("move", {"place": "B", "reason": "疫情"}),
        ("go-online", {"mode": "mixed", "centralised_days": 3, "reason": "疫情"}),
    ):
        await s.training_class(number, command, **body)
        await told(s, number)
    await s.training_class(number, "cancel", reason="疫情")
    await s.keep("class-cancelled", "class", number)
    await s.keep("trainee-class-changed", "trainee", trainee, ended=False)


async def class_merged(s: Stage) -> None:
    """A class that is split in two and then merged into a third."""
    await s.open()
    number, other, third = [await s.planned(name) for name in ("c1", "c2", "c3")]
    stays, goes = [await s.confirmed(name, number) for name in ("t1", "t2")]
    await s.training_class(number, "split", into=other, trainees=[goes], reason="two levels")
    await told(s, number)
    await s.keep("trainee-split-off", "trainee", goes, ended=False)
    await s.training_class(number, "merge", into=third, reason="too few")
    await s.keep("class-merged", "class", number)
    await s.keep("trainee-merged", "trainee", stays, ended=False)


async def told(s: Stage, number: str) -> None:
    """Wait until the class owes its trainees nothing."""
    handle = s.core.client.get_workflow_handle(workflow_id("class", number))

    async def nothing_owed() -> bool:
        receipt: Receipt | None = await handle.query("case", result_type=Receipt)
        return receipt is not None and receipt.reach is None

    await until(nothing_owed)


async def class_recovered(s: Stage) -> None:
    """A class that owes its trainees a visit when its Temporal is lost pays it on an empty one."""
    await s.open()
    number = await s.planned("c1")
    trainee = await s.confirmed("t1", number)
    async with s.on(s.servers.empty) as later:
        await later.training_class(number, "cancel", reason="疫情")
        await later.recorded("trainee", trainee, "trainee.place_lost")
        await later.keep("class-recovered", "class", number)


async def campaign_closed(s: Stage) -> None:
    """A campaign from its opening to its bulletins, with a county that is reopened and a host that is removed."""
    s.clock.near = EVER
    await s.open()
    await s.selected("t1")
    await s.nominated("t2")
    other = next(each.id for each in s.core.plan.hosts if each.id != "h001" and len(each.levels) == 2)
    body = {"host": "h001", "replacement": other, "reason": "fire"}
    await s.core.send("campaign", s.core.book, "remove-host", BUREAU, body)
    await s.let_pass("campaign", s.core.book, "campaign.selection_settled")
    reopen = {"county": "410181", "until": s.clock.at.replace(day=5, month=9).isoformat(), "reason": "flood"}
    await s.core.send("campaign", s.core.book, "reopen", BUREAU, reopen)
    await s.let_pass("campaign", s.core.book, "campaign.closed")
    await s.keep("campaign-closed", "campaign", s.core.book)
    await s.keep("trainee-host-removed", "trainee", s.number("t1"), ended=False)


async def quotas(s: Stage) -> None:
    """Seats that are handed down, given back, offered and accepted, declined, recalled, and not answered in time."""
    await s.open()
    s.clock.at = at(9, 5)
    await s.quota(CITY, "override", BUREAU, seats=90, reason="r", document="doc 1")
    await s.quota(CITY, "delegate", BUREAU, to="410181", seats=2)
    await s.keep("quota-delegated", "quota", s.line(CITY))
    await s.quota(LINE, "return-seats", COUNTY, seats=1, reason="r")
    await s.keep("quota-returned", "quota", s.line(LINE))
    shortfall = {"reason": "too_few_eligible", "details": "r"}
    await s.quota(LINE, "report-shortfall", COUNTY, seats=1, **shortfall)
    offer = {"seats": 1, "candidates": ["410182"], "reason": "too few"}
    await s.quota(LINE, "offer-seats", COUNTY, **offer)
    await s.quota(LINE, "decline-seats", NEXT, offer=1)
    await s.quota(LINE, "offer-seats", COUNTY, **offer)
    await s.quota(LINE, "recall-offer", COUNTY, offer=2)
    await s.quota(LINE, "offer-seats", COUNTY, **offer)
    await s.quota(LINE, "accept-seats", NEXT, offer=3)
    await s.keep("quota-accepted", "quota", s.line(LINE))
    s.clock.near = EVER
    await s.quota(LINE, "offer-seats", COUNTY, **offer)
    s.clock.at = at(9, 8)
    await s.keep("quota-offer-lapsed", "quota", s.line(LINE))


async def bulletins(s: Stage) -> None:
    """A run of the schedule that publishes, and one for which nothing is due."""
    await s.open()
    await s.in_training("t1", await s.planned("c1"))
    checkpoints = Checkpoints(s.core.pool)
    facts = LedgerFacts(s.core.pool, s.core.ledger, checkpoints)
    queue = f"{s.core.task_queue}-bulletins"
    publisher = Worker(
        s.core.client,
        task_queue=queue,
        workflows=[Bulletins],
        activities=[BulletinActivities(s.core.ledger, s.clock, facts).publish_bulletins],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with publisher:
        for name in ("bulletins-published", "bulletins-nothing-due"):
            handle = await s.core.client.start_workflow(Bulletins.run, id=f"{name}-{uuid4()}", task_queue=queue)
            await handle.result()
            s.kept[name] = await handle.fetch_history()
    await checkpoints.close()


PLAYS = (class_run, class_changed, class_merged, class_recovered, campaign_closed, quotas, bulletins)
