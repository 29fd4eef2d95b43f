"""Another city, another year, other rules: the second plan runs whole lifecycles on unchanged code."""

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from uuid import UUID

from domain import campaign, restriction, trainee, training_class
from domain.agenda import Item
from domain.decision import Actor, Block, Count
from domain.history import History, TrainingRecord
from domain.plan import Plan
from domain.plan_loader import load_plan
from domain.restriction_messages import Impose, RestrictionImposed, RestrictionProposed, RestrictionServed, Serve
from domain.trainee_context import Facts
from domain.trainee_messages import (
    Approve,
    AttendanceConfirmed,
    Confirm,
    Enroll,
    Nominate,
    NominationApproved,
    PersonReference,
    Register,
    TraineeEnrolled,
    TraineeNominated,
    TraineeRegistered,
)
from domain.trainee_outcome_messages import (
    Complete,
    Dismiss,
    FollowUpAssigned,
    TraineeDismissed,
    TrainingCompleted,
)
from domain.trainee_state import fold
from domain.training_class import TrainingClass
from tests.specification import Specification, specification

PLAN_FILE = Path(__file__).parents[2] / "plans" / "2024-luoyang.yaml"
NUMBER = "ly24-410323-00001"
PERSON = UUID("00000000-0000-7000-8000-000000000009")
SCHOOL = Actor(organisation="410323-s01", role="school")
COUNTY = Actor(organisation="410323", role="county")
BUREAU = Actor(organisation="lyedu", role="bureau")
HOST = Actor(organisation="h002", role="host")
STARTS, ENDS = date(2024, 5, 13), date(2024, 5, 18)


@cache
def luoyang() -> Plan:
    return load_plan(PLAN_FILE.read_text(encoding="utf-8"))


def on(month: int, day: int, hour: int = 2) -> datetime:
    return datetime(2024, month, day, hour, tzinfo=UTC)


NOMINATION = Nominate(
    project_type="digital",
    county="410323",
    school="410323-s01",
    person=PersonReference(id=PERSON, sealed="sealed"),
    stage="junior",
    subject="science",
)


def facts(**more: object) -> Facts:
    return Facts(luoyang(), 1, **more)  # type: ignore[arg-type]


def the_class() -> TrainingClass:
    return TrainingClass(
        campaign="2024-luoyang",
        host="h002",
        project_type="digital",
        starts=STARTS,
        ends=ENDS,
        place="洛阳",
        mode="centralised",
        capacity=20,
        agenda=(Item("open", on(5, 12)),),
    )


def in_training() -> Specification:
    """From the nomination to the first day, each step decided by the plan."""
    spec = specification(trainee, NUMBER, fold)
    nominated = spec.when(NOMINATION, SCHOOL, on(3, 10), facts(history=History())).then(TraineeNominated)
    spec = spec.given(*nominated.events)
    approved = spec.when(Approve(), COUNTY, on(3, 21), facts()).then(NominationApproved)
    assert approved.claims == (Count("seat:2024-luoyang:digital:410323", +1),)
    spec = spec.given(*approved.events)
    spec = spec.given(*spec.when(Approve(host="h002"), BUREAU, on(3, 28), facts()).then(NominationApproved).events)
    enrolled = spec.when(Enroll(training_class="ly24-c-h002-01"), HOST, on(4, 10), facts(training_class=the_class()))
    event = enrolled.then(TraineeEnrolled).events[0]
    assert isinstance(event, TraineeEnrolled) and event.confirm_by == datetime(2024, 5, 10, 16, tzinfo=UTC)
    spec = spec.given(event)
    spec = spec.given(*spec.when(Confirm(), SCHOOL, on(4, 12), facts()).then(AttendanceConfirmed).events)
    return spec.given(*spec.when(Register(), HOST, on(5, 13), facts()).then(TraineeRegistered).events)


def test_the_second_plan_says_that_it_is_invented_and_differs() -> None:
    plan = luoyang()
    assert plan.year == 2024 and plan.quotas.invented
    assert "虚构" in plan.title_zh and "invented" in plan.title_en
    assert {level.id for level in plan.levels} == {"provincial", "municipal"}
    assert plan.rules.restriction_years == 2 and plan.rules.restriction_starts == "incident"


def test_a_life_to_completion_follows_the_second_plans_days_and_task() -> None:
    spec = in_training()
    short = spec.when(Complete(centralised_days=4, hours=30), HOST, on(5, 18), facts())
    assert "5" in short.refused("centralised_days_short").reasons[0].en
    done = spec.when(Complete(centralised_days=5, hours=40), HOST, on(5, 18), facts())
    task = done.then(TrainingCompleted, FollowUpAssigned).events[1]
    assert isinstance(task, FollowUpAssigned) and task.task == "上一节公开课"
    assert task.due.date() == date(2024, 6, 7)


def test_a_life_to_a_restriction_follows_the_second_plans_windows_and_years() -> None:
    spec = in_training()
    dismissed = spec.when(Dismiss(reason="conduct", evidence="记录"), HOST, on(5, 15), facts()).then(TraineeDismissed)
    (proposal,) = [event for part in dismissed.others for event in part.events]
    assert isinstance(proposal, RestrictionProposed)
    number = f"{NUMBER}-r1"
    process = specification(restriction, number, restriction.fold).given(proposal)
    of_plan = restriction.Facts(luoyang())
    served = process.when(Serve(via="school"), COUNTY, on(5, 16), of_plan).then(RestrictionServed).events[0]
    assert isinstance(served, RestrictionServed)
    # Five working days: 17, 20, 21, 22, 23 May.
    assert served.objection_until == datetime(2024, 5, 23, 16, tzinfo=UTC)
    decided = (
        process.given(served)
        .when(Impose(decided_by="b1", reasons="事实清楚"), BUREAU, on(5, 24), of_plan)
        .then(RestrictionImposed)
    )
    imposed = decided.events[0]
    assert isinstance(imposed, RestrictionImposed)
    assert (imposed.starts, imposed.until) == (date(2024, 5, 15), date(2026, 5, 15))
    assert decided.claims == (Block(f"restriction:{PERSON}", number, imposed.starts, imposed.until),)


def test_its_project_counties_changed_with_its_year() -> None:
    mountain = NOMINATION.model_copy(
        update={
            "project_type": "mountain",
            "stage": "primary",
            "subject": "chinese",
            "rural": True,
            "years_of_service": 3,
        }
    )
    spec = specification(trainee, NUMBER, fold)
    spec.when(mountain, SCHOOL, on(3, 10), facts()).then(TraineeNominated)
    assert luoyang().is_project_county("410325", date(2023, 12, 31))
    assert not luoyang().is_project_county("410325", date(2024, 1, 1))
    assert luoyang().is_project_county("410325", date(2025, 1, 1))


def test_case_73_the_training_of_zhengzhou_is_known_under_its_new_name() -> None:
    earlier = TrainingRecord(
        campaign="2022-zhengzhou",
        year=2022,
        project_type="gp5",
        subject="science",
        phase="closed",
        completed_on=date(2024, 1, 9),
        centralised_days=7,
    )
    spec = specification(trainee, NUMBER, fold)
    history = History(records=(earlier,))
    spec.when(NOMINATION, SCHOOL, on(3, 10), facts(history=history)).refused("ineffective_repeat")
    before_the_cycle = History(records=(earlier.model_copy(update={"completed_on": date(2023, 12, 1)}),))
    spec.when(NOMINATION, SCHOOL, on(3, 10), facts(history=before_the_cycle)).then(TraineeNominated)


def test_its_campaign_and_its_classes_open_by_its_own_dates() -> None:
    ids = {each.id for each in luoyang().recipients} | {each.id for each in luoyang().hosts}
    of_plan = campaign.Facts(luoyang(), registered=frozenset(ids))
    opened = specification(campaign, "2024-luoyang", campaign.fold).when(
        campaign.OpenCampaign(plan_sha256=luoyang().sha256()), BUREAU, on(3, 4), of_plan
    )
    agenda = opened.then(campaign.CampaignOpened).events[0]
    assert isinstance(agenda, campaign.CampaignOpened)
    assert max(item.at for item in agenda.agenda) <= datetime(2025, 1, 31, 16, tzinfo=UTC)
    planned = specification(training_class, "ly24-c-h002-01", training_class.fold).when(
        training_class.PlanClass(
            host="h002", project_type="digital", starts=STARTS, ends=ENDS, place="洛阳", mode="centralised", capacity=20
        ),
        HOST,
        on(4, 1),
        training_class.Facts(luoyang()),
    )
    planned.then(training_class.ClassPlanned)
