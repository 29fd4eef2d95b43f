"""Who may be nominated, and who goes first: each rule by its facts, and what an explanation says afterwards."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import CLASS, NOMINATED, SELECTED
from domain import trainee
from domain.calendar import start_of_day
from domain.decision import Clear
from domain.eligibility import RULES, Candidate, judge, overlapping, restriction_tested_on
from domain.explanation import explain
from domain.history import Barred, Grounds, History, TrainingRecord, is_same_training
from domain.plan import Plan
from domain.plan_eligibility import Cycle, ProjectCountyList, Renaming, TrainingDates
from domain.priority import places, standings
from domain.refusals import WORDINGS
from domain.trainee_context import Facts
from domain.trainee_messages import Enroll, Nominate, TraineeEnrolled, TraineeNominated
from domain.trainee_state import fold
from tests.domain.nominations import HOST, NOMINATION, SCHOOL, a_class
from tests.specification import Specification, specification, the_plan

OTHER_RECORD = UUID("00000000-0000-7000-8000-000000000002")
YEAR = 2022


def plan_with(**eligibility: object) -> Plan:
    """The plan of the notice with another section on selection."""
    plan = the_plan()
    return plan.model_copy(update={"eligibility": plan.eligibility.model_copy(update=eligibility)})


def record(**changes: object) -> TrainingRecord:
    """A live nomination of this year for another project type."""
    values = {
        "campaign": "2022-zhengzhou",
        "year": YEAR,
        "project_type": "gp2",
        "subject": "chinese",
        "phase": "selected",
    }
    return TrainingRecord.model_validate(values | changes)


def completed(project_type: str = "gp5", on_day: date = date(2021, 11, 5), **changes: object) -> TrainingRecord:
    values = {"campaign": "2021-zhengzhou", "year": 2021, "project_type": project_type, "phase": "closed"}
    return record(**(values | {"completed_on": on_day, "centralised_days": 7} | changes))


def when_nominated(history: History, plan: Plan | None = None, nomination: Nominate = NOMINATION) -> Specification:
    facts = Facts(plan or the_plan(), 1, history=history)
    return specification(trainee, NUMBER, fold).when(nomination, SCHOOL, on(8, 26), facts)


def history_of(*records: TrainingRecord, barred: tuple[Barred, ...] = ()) -> History:
    return History(sequences={"people": 7}, records=records, barred=barred)


# -------------------------------------------------------------------------------------------------------- rules


def test_every_rule_has_words_in_both_languages_and_a_refusal() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes) == 13
    for rule in RULES:
        assert rule.code in WORDINGS
        assert rule.zh and rule.en and rule.__doc__


def test_a_history_without_anything_against_it_changes_nothing() -> None:
    when_nominated(history_of(record())).then(TraineeNominated)
    when_nominated(history_of(record(project_type="gp5", year=2021, campaign="2021-zhengzhou"))).then(TraineeNominated)


def test_all_failures_come_at_once_those_of_the_plan_and_those_of_the_history() -> None:
    history = history_of(completed(), barred=(Barred(starts=date(2021, 1, 1), until=date(2024, 1, 1)),))
    unfit = NOMINATION.model_copy(update={"stage": "senior", "years_of_service": 0})
    refusal = when_nominated(history, nomination=unfit).refused(
        "stage_not_eligible", "service_too_short", "ineffective_repeat", "restricted_until"
    )
    assert refusal.rule_version == the_plan().sha256()


def test_case_5_project_counties_are_those_of_the_list_in_force_on_the_day() -> None:
    lists = (
        ProjectCountyList(since=date(2021, 1, 1), recipients=("410122", "410181"), source="invented", document_zh="一"),
        ProjectCountyList(since=date(2022, 8, 27), recipients=("410122",), source="invented", document_zh="二"),
    )
    plan = the_plan().model_copy(update={"project_county_lists": lists})
    assert plan.is_project_county("410181", date(2022, 8, 26))
    assert not plan.is_project_county("410181", date(2022, 8, 27))
    assert not plan.is_project_county("410182", date(2022, 8, 26))
    nomination = NOMINATION.model_copy(update={"project_type": "gp7", "rural": True})
    before = specification(trainee, NUMBER, fold).when(nomination, SCHOOL, on(8, 26), Facts(plan, 1))
    before.then(TraineeNominated)
    after = specification(trainee, NUMBER, fold).when(nomination, SCHOOL, on(8, 27), Facts(plan, 1))
    refusal = after.refused("project_counties_only")
    assert refusal.facts["project_counties_only"] == {"only": True, "listed": False, "on": "2022-08-27"}


def test_case_5_before_the_first_list_the_flag_holds() -> None:
    later = ProjectCountyList(since=date(2023, 1, 1), recipients=(), source="invented", document_zh="一")
    plan = the_plan().model_copy(update={"project_county_lists": (later,)})
    assert plan.is_project_county("410181", date(2022, 12, 31))
    assert not plan.is_project_county("410181", date(2023, 1, 1))
    assert not plan.is_project_county("nowhere", date(2022, 12, 31))


RENAMED = Renaming(
    project_type="gp5", same_as=("gp3", "it"), campaign="2022-province", source="invented", note_zh="更名"
)


def test_case_73_a_renamed_project_is_the_same_training_for_the_duplicate_check() -> None:
    plan = plan_with(renamings=(RENAMED,))
    other = record(campaign="2022-province", project_type="it")
    refusal = when_nominated(history_of(other), plan).refused("duplicate_nomination")
    assert refusal.facts["duplicate_nomination"]["others"] == [
        {
            "campaign": "2022-province",
            "year": 2022,
            "project_type": "it",
            "subject": "chinese",
            "phase": "selected",
            "centralised_days": 0,
            "joined": False,
        }
    ]


@pytest.mark.parametrize(
    "other",
    [
        record(campaign="2022-province", project_type="it", subject="music"),
        record(campaign="2022-province", project_type="it", year=2021),
        record(campaign="2022-province", project_type="it", phase="withdrawn"),
        record(campaign="2022-province", project_type="gp1"),
        record(campaign="2022-elsewhere", project_type="it"),
    ],
)
def test_case_73_another_subject_year_campaign_or_training_is_none(other: TrainingRecord) -> None:
    when_nominated(history_of(other), plan_with(renamings=(RENAMED,))).then(TraineeNominated)


def test_case_73_renamings_hold_in_both_directions_and_within_a_plan() -> None:
    within = plan_with(renamings=(RENAMED.model_copy(update={"campaign": None}),))
    assert is_same_training(within, "gp5", "2022-zhengzhou", "gp3")
    assert is_same_training(within, "gp3", "2022-zhengzhou", "gp5")
    assert is_same_training(within, "gp3", "2022-zhengzhou", "it")
    assert not is_same_training(within, "gp1", "2022-zhengzhou", "gp3")
    # Another campaign's id says nothing of this plan's type of the same id, but what the renaming names.
    across = plan_with(renamings=(RENAMED,))
    assert not is_same_training(across, "gp3", "2022-province", "gp5")


def test_case_74_a_double_under_another_record_of_the_same_teacher_is_found() -> None:
    same_type = record(project_type="gp5")
    when_nominated(history_of(same_type)).then(TraineeNominated)
    joined = same_type.model_copy(update={"joined": True})
    when_nominated(history_of(joined)).refused("duplicate_nomination")


def test_case_74_nobody_who_is_barred_under_any_record_is_nominated() -> None:
    facts = Facts(the_plan(), 1, history=History(), records=(OTHER_RECORD,))
    decision = specification(trainee, NUMBER, fold).when(NOMINATION, SCHOOL, on(8, 26), facts).then(TraineeNominated)
    assert Clear(f"restriction:{OTHER_RECORD}", date(2022, 8, 26)) in decision.claims


def test_what_was_completed_in_this_cycle_is_not_repeated_and_in_the_one_before_it_may() -> None:
    refusal = when_nominated(history_of(completed())).refused("ineffective_repeat")
    assert "2021-11-05" in refusal.reasons[0].zh
    when_nominated(history_of(completed(on_day=date(2020, 12, 31)))).then(TraineeNominated)
    when_nominated(history_of(completed(subject="music"))).then(TraineeNominated)
    when_nominated(history_of(completed()), plan_with(no_repeat=False)).then(TraineeNominated)


def test_a_cycle_is_whole_years_and_the_next_one_begins_where_it_ends() -> None:
    cycle = Cycle(first_year=2021, years=5, source="ours", paragraph_zh="周期")
    assert cycle.around(date(2025, 12, 31)) == (date(2021, 1, 1), date(2026, 1, 1))
    assert cycle.around(date(2026, 1, 1)) == (date(2026, 1, 1), date(2031, 1, 1))
    assert cycle.around(date(2020, 12, 31)) == (date(2016, 1, 1), date(2021, 1, 1))


FIXED = TrainingDates(project_type="gp5", starts=date(2022, 10, 10), ends=date(2022, 10, 16), source="ours")


@pytest.mark.parametrize(
    ("starts", "ends", "overlaps"),
    [
        (date(2022, 10, 3), date(2022, 10, 9), False),
        (date(2022, 10, 3), date(2022, 10, 10), True),
        (date(2022, 10, 12), date(2022, 10, 13), True),
        (date(2022, 10, 16), date(2022, 10, 20), True),
        (date(2022, 10, 17), date(2022, 10, 20), False),
    ],
)
def test_case_23_overlapping_dates_are_found_at_nomination(starts: date, ends: date, overlaps: bool) -> None:
    plan, history = plan_with(training_dates=(FIXED,)), history_of(record(starts=starts, ends=ends))
    outcome = when_nominated(history, plan)
    if overlaps:
        assert str(starts) in outcome.refused("dates_overlap").reasons[0].en
    else:
        outcome.then(TraineeNominated)
    assert bool(overlapping(history, FIXED.starts, FIXED.ends)) is overlaps


def test_case_23_a_selection_that_came_to_nothing_overlaps_nothing() -> None:
    gone = record(starts=FIXED.starts, ends=FIXED.ends, phase="withdrawn")
    when_nominated(history_of(gone), plan_with(training_dates=(FIXED,))).then(TraineeNominated)


def test_case_23_overlapping_dates_are_found_again_when_a_class_is_chosen() -> None:
    other = record(starts=date(2022, 10, 16), ends=date(2022, 10, 20), phase="confirmed")
    facts = Facts(the_plan(), training_class=a_class(), history=history_of(other))
    given = specification(trainee, NUMBER, fold).given(*SELECTED)
    given.when(Enroll(training_class=CLASS), HOST, on(9, 20), facts).refused("dates_overlap")
    free = Facts(the_plan(), training_class=a_class(), history=history_of())
    given.when(Enroll(training_class=CLASS), HOST, on(9, 20), free).then(TraineeEnrolled)


def test_case_35_the_rule_states_which_day_is_tested_and_the_claim_tests_that_day() -> None:
    until = Barred(starts=date(2021, 10, 1), until=date(2022, 10, 10))
    of_day = when_nominated(history_of(barred=(until,)))
    # A restriction alone does not refuse by a fact that may be a moment old: the claim does, at the append.
    assert Clear(f"restriction:{NOMINATION.person.id}", date(2022, 8, 26)) in of_day.then(TraineeNominated).claims
    plan = plan_with(restriction_tested_on="first-day-of-training", training_dates=(FIXED,))
    later = when_nominated(history_of(barred=(until,)), plan).then(TraineeNominated)
    assert Clear(f"restriction:{NOMINATION.person.id}", date(2022, 10, 10)) in later.claims
    assert restriction_tested_on(plan, "gp1", on(8, 26)) == date(2022, 8, 26)
    verdicts = {each.rule: each for each in judge(Candidate(plan, NOMINATION, on(8, 26), history_of(barred=(until,))))}
    assert verdicts["restricted_until"].holds is True
    assert verdicts["restricted_until"].facts == {"tested_on": "2022-10-10", "by_policy": "first-day-of-training"}
    today = {
        each.rule: each for each in judge(Candidate(the_plan(), NOMINATION, on(8, 26), history_of(barred=(until,))))
    }
    assert today["restricted_until"].facts["not_eligible_until"] == "2022-10-10"


# ------------------------------------------------------------------------------------------------ explanation


def test_case_68_a_nomination_keeps_its_rules_and_facts_and_is_explained_by_them() -> None:
    history = history_of(completed("gp1"))
    event = when_nominated(history).then(TraineeNominated).events[0]
    assert isinstance(event, TraineeNominated)
    assert event.grounds == Grounds(rule_version=the_plan().sha256(), history=history, priority=(1, 1, 1))
    account = explain(
        NUMBER, event, the_plan(), [("nomination.approved", on(8, 27), {"level": "county", "by": "c", "host": ""})]
    )
    assert account.rule_version == the_plan().sha256()
    assert account.sequences == {"people": 7}
    assert [each.rule for each in account.verdicts] == [rule.code for rule in RULES]
    assert all(each.holds for each in account.verdicts)
    assert [step.data for step in account.decisions] == [{"level": "county", "by": "c"}]
    assert [(each.criterion, each.place) for each in account.priority] == [
        ("rural", 1),
        ("short-of-days", 1),
        ("first-training", 1),
    ]


def test_case_68_an_older_nomination_is_explained_as_far_as_its_facts_go() -> None:
    assert NOMINATED.grounds is None
    account = explain(NUMBER, NOMINATED, the_plan(), [])
    unknown = {each.rule for each in account.verdicts if each.holds is None}
    assert unknown == {"duplicate_nomination", "ineffective_repeat", "dates_overlap", "restricted_until"}
    assert not account.facts_kept
    assert account.priority == ()


def test_case_68_a_refusal_names_rule_version_and_facts_of_each_failed_rule() -> None:
    unfit = NOMINATION.model_copy(update={"years_of_service": 0})
    refusal = when_nominated(history_of(), nomination=unfit).refused("service_too_short")
    assert refusal.facts == {"service_too_short": {"years": 0, "required": 1}}
    assert refusal.rule_version == the_plan().sha256()


def test_case_15_no_fact_names_another_organisation_or_another_case() -> None:
    fields = set(TrainingRecord.model_fields) | set(Barred.model_fields) | set(History.model_fields)
    assert not fields & {"number", "county", "school", "host", "restriction", "person", "trainee"}


def test_case_15_what_came_to_no_training_elsewhere_is_not_kept() -> None:
    live = record()
    history = history_of(live, record(phase="dismissed"), record(phase="absent"), record(phase="rejected"))
    event = when_nominated(history).then(TraineeNominated).events[0]
    assert isinstance(event, TraineeNominated) and event.grounds is not None
    assert event.grounds.history.records == (live,)


# --------------------------------------------------------------------------------------------------- priority


def order(history: History, *, rural: bool = False, years: int = 5, county: str = "410181") -> tuple[int, ...]:
    now = datetime(2022, 8, 26, tzinfo=UTC)
    return places(the_plan(), history, now, county=county, rural=rural, years_of_service=years)


def test_the_rural_front_line_goes_first_by_a_declared_order_and_no_weight() -> None:
    rural_and_trained = order(history_of(completed()), rural=True)
    urban_and_new = order(history_of())
    assert sorted([urban_and_new, rural_and_trained]) == [rural_and_trained, urban_and_new]
    # Among equals the next step decides.
    assert order(history_of()) < order(history_of(completed()))
    assert order(history_of(completed(on_day=date(2019, 5, 1)))) == order(history_of())


def test_the_order_is_said_in_words_with_its_source() -> None:
    said = standings(the_plan(), (0, 1, 1))
    assert said[0].name_zh == "农村教学一线教师优先"
    assert said[0].source == "notice" and "倾斜" in said[0].paragraph_zh
    assert standings(the_plan(), ()) == ()


def test_days_of_a_cycle_are_counted_over_all_trainings() -> None:
    history = history_of(completed("gp1", centralised_days=3), completed("gp2", centralised_days=4))
    today = date(2022, 8, 26)
    assert history.days_in_cycle(the_plan(), today) == 7
    assert order(history)[1] == 1
    assert order(history_of(completed("gp1", centralised_days=6)))[1] == 0
    assert start_of_day(today) < on(8, 26)


def test_case_57_days_that_were_reversed_do_not_count_in_the_cycle() -> None:
    counted = history_of(completed("gp1")).model_copy(update={"days": {"2016-2020": 9, "2021-2025": 3}})
    assert counted.days_in_cycle(the_plan(), date(2022, 8, 26)) == 3
    assert counted.days_in_cycle(the_plan(), date(2020, 12, 31)) == 9
    assert counted.days_in_cycle(the_plan(), date(2026, 1, 1)) == 0
