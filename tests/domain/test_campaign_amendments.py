"""Deadlines and what the bureau changes in a running campaign: holidays, escalation, reopening, removed hosts."""

from datetime import timedelta

import pytest

from docgen.lifecycles.plan import NUMBER
from docgen.lifecycles.trainee_events import NOMINATED
from domain import campaign, trainee
from domain.calendar import local_instant, off_holidays
from domain.campaign import (
    ESCALATED,
    Facts,
    OpenCampaign,
    PassCampaignDeadline,
    SelectionClosed,
    SelectionReminderSent,
    SettleSelection,
    case_of,
    fold,
)
from domain.campaign_amendments import (
    HostCases,
    HostRemoved,
    OffersEnded,
    RemoveHost,
    Reopen,
    ReopeningClosed,
    SelectionReopened,
    Settled,
)
from domain.decision import SYSTEM, Actor, Decision
from domain.seat_rules import SeatRules, offers_end
from domain.trainee_context import Facts as TraineeFacts
from domain.trainee_messages import Approve, Lapse, NominationApproved, NominationRejected, TraineeNominated
from domain.trainee_state import fold as fold_trainee
from tests.domain.nominations import NOMINATION
from tests.specification import Specification, specification, the_plan

PLAN = the_plan()
BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
SCHOOLS = ("410181-s01", "410182-s01")
FACTS = Facts(PLAN, waiting_counties=("410181",), schools=SCHOOLS)
CITY_CUT_OFF = PLAN.selection_deadline("city")
TIMER = PassCampaignDeadline()


def opened() -> Specification:
    empty = specification(campaign, PLAN.id, fold)
    decision = empty.when(OpenCampaign(plan_sha256=PLAN.sha256()), BUREAU, local_instant("2022-08-25 09:00"), FACTS)
    assert isinstance(decision.outcome, Decision)
    return empty.given(*decision.outcome.events)


def done(given: Specification, *keys: str) -> Specification:
    return given.given(*(SelectionReminderSent(key=key, stale=False) for key in keys))


@pytest.mark.parametrize(
    ("policy", "deadline", "moved"),
    [
        ("keep", "2022-10-01 24:00", "2022-10-01 24:00"),
        # 1 October to 7 October were days off, 8 and 9 October make-up workdays.
        ("next-working-day", "2022-10-01 24:00", "2022-10-08 24:00"),
        ("next-working-day", "2022-10-03 18:00", "2022-10-08 18:00"),
        ("previous-working-day", "2022-10-03 23:59:59", "2022-09-30 23:59:59"),
        ("next-working-day", "2022-10-08 24:00", "2022-10-08 24:00"),
        ("next-working-day", "2022-08-31 24:00", "2022-08-31 24:00"),
        # 24:00 belongs to the day that it ends: Friday the 2nd, not Saturday the 3rd.
        ("next-working-day", "2022-09-02 24:00", "2022-09-02 24:00"),
    ],
)
def test_case_42_a_deadline_on_a_day_off_moves_by_policy_and_keeps_its_hour(
    policy: str, deadline: str, moved: str
) -> None:
    rules = SeatRules.model_validate({"deadline_on_holiday": policy})
    assert off_holidays(local_instant(deadline), rules.deadline_on_holiday) == local_instant(moved)


def test_case_42_the_last_second_of_the_day_is_in_time_and_24_00_is_late() -> None:
    given = specification(trainee, NUMBER, fold_trainee)
    facts = TraineeFacts(PLAN)
    school = Actor(organisation="410181-s01", role="school")
    cut_off = PLAN.selection_deadline("county")
    assert cut_off == local_instant("2022-08-30 24:00")
    approve = given.given(NOMINATED)
    approve.when(Approve(), COUNTY, local_instant("2022-08-30 23:59:59"), facts).then(NominationApproved)
    approve.when(Approve(), COUNTY, cut_off, facts).refused("deadline_passed")
    given.when(NOMINATION, school, PLAN.selection_deadline("school"), facts).refused("deadline_passed")


def test_case_42_the_policy_moves_every_use_of_the_deadline() -> None:
    plan = PLAN.model_copy(
        update={
            "seat_rules": SeatRules(deadline_on_holiday="next-working-day"),
            "dates": PLAN.dates.model_copy(
                update={
                    "selection": PLAN.dates.selection.model_copy(
                        update={
                            "city": PLAN.dates.selection.city.model_copy(
                                update={"at": local_instant("2022-09-03 24:00")}
                            )
                        }
                    )
                }
            ),
        }
    )
    assert plan.selection_deadline("city") == local_instant("2022-09-05 24:00")
    assert plan.sha256() != PLAN.sha256()


def test_case_43_a_reminder_goes_to_those_with_open_work_and_then_to_the_level_above() -> None:
    given = opened()
    school, county = PLAN.selection_deadline("school"), PLAN.selection_deadline("county")
    first = given.when(TIMER, SYSTEM, school - timedelta(hours=72), FACTS).then(SelectionReminderSent)
    assert {each.recipient for each in first.notices} == {each.id for each in PLAN.recipients} | set(SCHOOLS)
    last = done(given, "school-72h", "school-24h", "county-72h", "county-24h", "city-72h", "city-24h")
    by_school = last.when(TIMER, SYSTEM, school - timedelta(hours=3), FACTS).then(SelectionReminderSent)
    assert [each.recipient for each in by_school.notices if each.type == ESCALATED] == ["zzedu"]
    before = done(given, "school-72h", "school-24h", "school-3h", "county-72h", "city-72h", "city-24h")
    after = before.given(SelectionClosed(level="school"))
    by_county = after.when(TIMER, SYSTEM, county - timedelta(hours=24), FACTS).then(SelectionReminderSent)
    assert [(each.recipient, each.type) for each in by_county.notices] == [
        ("410181", "campaign.selection_reminder"),
        ("zzedu", ESCALATED),
    ]
    assert by_county.notices[1].data["counties"] == ["410181"]


def test_case_44_one_county_is_open_again_until_a_date_of_its_own() -> None:
    until = local_instant("2022-09-05 24:00")
    command = Reopen(county="410181", until=until, reason="flood")
    now = local_instant("2022-09-01 09:00")
    given = opened()
    given.when(command, COUNTY, now, FACTS).refused("not_your_part")
    given.when(command.model_copy(update={"county": "nobody"}), BUREAU, now, FACTS).refused("no_such_recipient")
    given.when(command.model_copy(update={"until": now}), BUREAU, now, FACTS).refused("reopening_dates")
    decision = given.when(command, BUREAU, now, FACTS).then(SelectionReopened)
    assert [each.recipient for each in decision.notices] == ["410181"]
    reopened = given.given(*decision.events)
    state = fold(reopened.events)
    assert state is not None
    assert state.reopened_until("410181") == until and state.reopened_until("410182") is None
    passed = reopened.when(TIMER, SYSTEM, until, FACTS).outcome
    assert isinstance(passed, Decision)
    assert ReopeningClosed(key="reopened-1") in passed.events
    state = fold((*reopened.events, ReopeningClosed(key="reopened-1")))
    assert state is not None
    reach = case_of(PLAN.id, state).reach
    assert reach is not None and set(reach.command_by_phase) == {"nominated", "county-approved"}
    closed = reopened.given(ReopeningClosed(key="reopened-1"))
    closed.when(SettleSelection(), SYSTEM, until, FACTS).then(Settled)


def test_case_44_a_reopened_countys_nominations_go_the_whole_way_and_lapse_at_its_own_date() -> None:
    until = local_instant("2022-09-05 24:00")
    facts = TraineeFacts(PLAN, reopened_until=until)
    now = local_instant("2022-09-02 09:00")
    school = Actor(organisation="410181-s01", role="school")
    given = specification(trainee, NUMBER, fold_trainee)
    nominated = given.when(NOMINATION, school, now, facts).then(TraineeNominated)
    (first,) = nominated.events
    assert isinstance(first, TraineeNominated) and first.deadline == until
    in_county = given.given(first)
    approved = in_county.when(Approve(), COUNTY, now, facts).then(NominationApproved)
    in_county.given(*approved.events).when(Approve(host="h001"), BUREAU, now, facts).then(NominationApproved)
    in_county.when(Lapse(), SYSTEM, now, facts).refused("too_early")
    in_county.when(Lapse(), SYSTEM, until, facts).then(NominationRejected)
    given.when(NOMINATION, school, until, facts).refused("deadline_passed")
    # A nomination from before a reopening that was granted in time does not lapse at the general cut-off.
    given.given(NOMINATED).when(Lapse(), SYSTEM, now, facts).refused("too_early")


def test_case_46_after_an_outage_the_cut_off_is_done_and_no_reminder_is_sent() -> None:
    given = opened()
    decision = given.when(TIMER, SYSTEM, CITY_CUT_OFF + timedelta(days=1), FACTS).outcome
    assert isinstance(decision, Decision)
    assert [each.level for each in decision.events if isinstance(each, SelectionClosed)] == ["school", "county", "city"]
    assert not {each.type for each in decision.notices} & {"campaign.selection_reminder", ESCALATED}
    # Down over the first two reminders only: the one that is due now is sent, the ones before it are not.
    late = given.when(TIMER, SYSTEM, PLAN.selection_deadline("school") - timedelta(hours=2), FACTS).outcome
    assert isinstance(late, Decision)
    sent = [each.key for each in late.events if isinstance(each, SelectionReminderSent) and not each.stale]
    assert [key for key in sent if key.startswith("school")] == ["school-3h"]


def test_whoever_still_waits_after_the_last_useful_day_is_told_so_by_one_timer() -> None:
    ends = {offers_end(PLAN, each.id) for each in PLAN.project_types}
    state = fold(opened().events)
    assert state is not None
    items = [each for each in state.agenda if each.key.startswith("offers-end-")]
    assert {each.at for each in items} == ends
    passed = opened().when(TIMER, SYSTEM, min(ends), FACTS).outcome
    assert isinstance(passed, Decision) and OffersEnded(key=items[0].key) in passed.events
    given = opened().given(OffersEnded(key=items[0].key))
    state = fold(given.events)
    assert state is not None
    reach = case_of(PLAN.id, state).reach
    assert reach is not None and reach.command_by_phase == {"waitlisted": "lapse"}


def test_case_4_a_host_with_trainees_is_not_removed_without_somebody_who_takes_over() -> None:
    now = local_instant("2022-09-10 09:00")
    given = opened()
    host, other = [each.id for each in PLAN.hosts if each.levels == ("national",)][:2]
    command = RemoveHost(host=host, reason="fire")

    def with_cases(assigned: int, in_class: int) -> Facts:
        return Facts(PLAN, host_cases=HostCases(assigned=assigned, in_class=in_class))

    given.when(command, BUREAU, now, with_cases(2, 0)).refused("host_in_use")
    replaced = command.model_copy(update={"replacement": other})
    given.when(replaced, BUREAU, now, with_cases(2, 1)).refused("host_in_use")
    given.when(replaced.model_copy(update={"replacement": host}), BUREAU, now, with_cases(2, 0)).refused("host_unknown")
    alone = given.when(command, BUREAU, now, with_cases(0, 0)).then(HostRemoved)
    assert [each.recipient for each in alone.notices] == [host]
    decision = given.when(replaced, BUREAU, now, with_cases(2, 0)).then(HostRemoved)
    after = given.given(*decision.events)
    after.when(command, BUREAU, now, with_cases(0, 0)).refused("host_removed")
    state = fold(after.events)
    assert state is not None and state.removed_hosts == {host: other}
    reach = case_of(PLAN.id, state).reach
    assert reach is not None and reach.command_by_phase == {"selected": "reassign-host"}
    # Whoever is still to come over is not left behind with a host that is removed in its turn.
    alone_too = RemoveHost(host=other, reason="flood")
    after.when(alone_too, BUREAU, now, with_cases(0, 0)).refused("host_in_use")
    settled = after.when(SettleSelection(), SYSTEM, now, with_cases(0, 0)).then(Settled)
    after.given(*settled.events).when(alone_too, BUREAU, now, with_cases(0, 0)).then(HostRemoved)
