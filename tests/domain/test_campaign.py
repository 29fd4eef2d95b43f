"""A campaign's shared dates: given its events, when a command, then events or a refusal."""

from datetime import timedelta

from domain import campaign
from domain.calendar import end_of_day, start_of_day
from domain.campaign import (
    BulletinIssued,
    CampaignClosed,
    CampaignOpened,
    Facts,
    OpenCampaign,
    PassCampaignDeadline,
    SelectionClosed,
    SelectionReminderSent,
    SelectionSettled,
    SettleSelection,
    SoftEndPassed,
    case_of,
    fold,
)
from domain.decision import SYSTEM, Actor, Count, Decision, Limit
from tests.specification import Specification, specification, the_plan

PLAN = the_plan()
BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
FACTS = Facts(PLAN, waiting_counties=("410181",), open_cases=3)
OPENS = start_of_day(PLAN.dates.opens)
TIMER = PassCampaignDeadline()


def a_campaign() -> Specification:
    return specification(campaign, PLAN.id, fold)


def opened() -> Specification:
    decision = a_campaign().when(OpenCampaign(plan_sha256=PLAN.sha256()), BUREAU, OPENS, FACTS).outcome
    assert isinstance(decision, Decision)
    return a_campaign().given(*decision.events)


def test_case_46_a_campaign_that_was_down_to_its_end_still_owes_its_cases_what_they_missed() -> None:
    late = end_of_day(PLAN.dates.closes)
    decision = opened().when(TIMER, SYSTEM, late, FACTS).outcome
    assert isinstance(decision, Decision) and isinstance(decision.events[-1], CampaignClosed)
    given = opened().given(*decision.events)
    state = fold(given.events)
    assert state is not None
    case = case_of(PLAN.id, state)
    assert (case.phase, case.closed) == ("closed", False)
    assert case.reach is not None and case.reach.done_by == SettleSelection.name
    while state.unsettled:
        settled = given.when(SettleSelection(), SYSTEM, late, FACTS).outcome
        assert isinstance(settled, Decision)
        given = given.given(*settled.events)
        state = fold(given.events)
        assert state is not None and state.phase == "closed", "nothing opens it again"
    assert case_of(PLAN.id, state).closed
    given.when(SettleSelection(), SYSTEM, late, FACTS).refused("not_allowed_in_phase")


def test_opening_issues_every_quota_line_and_registers_every_organisation() -> None:
    decision = a_campaign().when(OpenCampaign(plan_sha256=PLAN.sha256()), BUREAU, OPENS, FACTS).then(CampaignOpened)
    lines = {part.stream for part in decision.others if part.stream.startswith("quota/")}
    city = {f"quota/{project_type}:zzedu" for project_type in PLAN.quotas.city_totals}
    assert lines == {f"quota/{line.key}" for line in PLAN.lines()} | city
    organisations = [part for part in decision.others if part.stream.startswith("institution/")]
    assert len(organisations) == 1 + len(PLAN.recipients) + len(PLAN.hosts)
    limits = [claim for claim in decision.claims if isinstance(claim, Limit)]
    handed_out = sum(line.seats for line in PLAN.lines())
    assert sum(claim.limit for claim in limits) == handed_out + sum(PLAN.quotas.city_totals.values())
    assert sum(claim.delta for claim in decision.claims if isinstance(claim, Count)) == handed_out


def test_an_organisation_of_an_earlier_campaign_is_not_registered_again() -> None:
    facts = Facts(PLAN, registered=frozenset({"410181", "h001"}))
    decision = a_campaign().when(OpenCampaign(plan_sha256=PLAN.sha256()), BUREAU, OPENS, facts).then(CampaignOpened)
    assert not {"institution/410181", "institution/h001"} & {part.stream for part in decision.others}


def test_only_the_bureau_opens_and_only_once() -> None:
    command = OpenCampaign(plan_sha256=PLAN.sha256())
    a_campaign().when(command, COUNTY, OPENS, FACTS).refused("not_your_part")
    opened().when(command, BUREAU, OPENS, FACTS).refused("already_exists")
    opened().when(TIMER, BUREAU, OPENS, FACTS).refused("not_your_part")


def test_the_first_date_is_a_reminder_three_days_before_the_schools_cut_off() -> None:
    first = PLAN.selection_deadline("school") - timedelta(hours=72)
    opened().when(TIMER, SYSTEM, first - timedelta(seconds=1), FACTS).refused("too_early")
    decision = opened().when(TIMER, SYSTEM, first, FACTS).then(SelectionReminderSent)
    assert {each.recipient for each in decision.notices} == {each.id for each in PLAN.recipients}


def test_case_46_a_campaign_that_was_down_over_all_cut_offs_catches_up_without_stale_reminders() -> None:
    decision = opened().when(TIMER, SYSTEM, end_of_day(PLAN.dates.opens) + timedelta(days=30), FACTS).outcome
    assert isinstance(decision, Decision)
    closed = [each.level for each in decision.events if isinstance(each, SelectionClosed)]
    assert closed == ["school", "county", "city"]
    reminders = [each for each in decision.events if isinstance(each, SelectionReminderSent)]
    assert len(reminders) == 9
    assert all(each.stale for each in reminders)
    assert {each.type for each in decision.notices} == {"campaign.selection_closed"}


def test_case_43_each_cut_off_lapses_what_waits_for_that_level() -> None:
    at = PLAN.selection_deadline("county")
    decision = opened().when(TIMER, SYSTEM, at, FACTS).outcome
    assert isinstance(decision, Decision)
    specified = opened().given(*decision.events)
    state = fold(specified.events)
    assert state is not None and state.unsettled == ("school", "county")
    after_school = specified.when(SettleSelection(), SYSTEM, at, FACTS).then(SelectionSettled)
    state = fold((*specified.events, *after_school.events))
    assert state is not None
    reach = case_of(PLAN.id, state).reach
    assert reach is not None and reach.command_by_phase == {"nominated": "lapse"}


def test_the_selection_is_over_when_the_citys_cut_off_is_settled() -> None:
    given = opened().given(SelectionClosed(level="city"))
    given.given(SelectionSettled(level="city")).when(SettleSelection(), SYSTEM, OPENS, FACTS).refused(
        "not_allowed_in_phase"
    )
    state = fold((*given.events, SelectionSettled(level="city")))
    assert state is not None and state.phase == "training"


def test_the_soft_end_warns_and_blocks_nothing() -> None:
    decision = opened().when(TIMER, SYSTEM, end_of_day(PLAN.dates.soft_end), FACTS).outcome
    assert isinstance(decision, Decision)
    (passed,) = (each for each in decision.events if isinstance(each, SoftEndPassed))
    assert passed.open_cases == 3


def test_closing_issues_both_bulletins() -> None:
    decision = opened().when(TIMER, SYSTEM, end_of_day(PLAN.dates.closes), FACTS).outcome
    assert isinstance(decision, Decision)
    assert [each.kind for each in decision.events if isinstance(each, BulletinIssued)] == ["counties", "hosts"]
    assert isinstance(decision.events[-1], CampaignClosed)
    opened().given(*decision.events).when(TIMER, SYSTEM, end_of_day(PLAN.dates.closes), FACTS).refused(
        "not_allowed_in_phase"
    )
