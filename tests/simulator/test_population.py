"""The population is made of the seed alone, keeps the plan's rules, and holds every kind of fate and mess."""

import os
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendar import local_date, start_of_day
from domain.decision import Reason
from domain.eligibility import ineligible
from domain.identity import IdentityNumberError, parse_identity_number
from domain.plan import Plan
from domain.plan_loader import load_plan
from domain.trainee_messages import Nominate, PersonReference
from simulator.allocation import MAX_NOMINATIONS, MIN_NOMINATIONS
from simulator.attempts import ATTEMPT_KINDS, Attempt
from simulator.nominations import Nomination
from simulator.population import Figures, PlannedClass, Population, classes, generate
from simulator.script import FATE_KINDS, WITHDRAWAL_PHASES, class_days
from simulator.teachers import DIVISIONS_NEVER_ASSIGNED, UNASSIGNED_TELEPHONES

ROOT = Path(__file__).parents[2]
NATIONAL_DAY = {date(2022, 10, day) for day in range(1, 8)}

sizes = st.integers(MIN_NOMINATIONS, 150)
seeds = st.integers(0, 2**32)


@cache
def plan() -> Plan:
    return load_plan((ROOT / "plans" / "2022-zhengzhou.yaml").read_text(encoding="utf-8"))


@cache
def population(nominations: int = 600, seed: int = 2022) -> Population:
    return generate(plan(), nominations, seed)


def reasons_against(entry: Nomination | Attempt) -> tuple[Reason, ...]:
    """What the domain's own rule says about a nomination, at noon of its day."""
    command = Nominate(
        project_type=entry.project_type,
        county=entry.county,
        school=entry.school,
        person=PersonReference(id=UUID(int=1), sealed="sealed"),
        stage=entry.teacher.stage,
        subject=entry.teacher.subject,
        position=entry.teacher.position,
        rural=entry.teacher.rural,
        years_of_service=entry.teacher.years_of_service,
    )
    return ineligible(plan(), command, start_of_day(entry.nominated_on) + timedelta(hours=12))


def identity(entry: Nomination | Attempt) -> str:
    return parse_identity_number(entry.teacher.identity_number).text


# ------------------------------------------------------------------------------------------------ determinism


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    again = generate(plan(), 600, 2022)
    assert again.canonical() == population().canonical()
    assert classes(plan(), again) == classes(plan(), population())
    assert generate(plan(), 600, 2023).canonical() != population().canonical()
    assert generate(plan(), 599, 2022).canonical() != population().canonical()


def test_pythons_hashes_change_nothing() -> None:
    script = (
        "from pathlib import Path\n"
        "from domain.plan_loader import load_plan\n"
        "from simulator.population import classes, generate\n"
        "plan = load_plan(Path('plans/2022-zhengzhou.yaml').read_text(encoding='utf-8'))\n"
        "population = generate(plan, 600, 2022)\n"
        "print(population.sha256(), classes(plan, population))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert population().sha256() in outputs.pop()


# ---------------------------------------------------------------------------------------------------- figures


def test_figures_of_600() -> None:
    """What `make demo` must come to with its usual seed; a change of the plan or the generator changes them."""
    assert population().figures() == Figures(
        nominated=600,
        county_approved=472,
        selected=452,
        enrolled=448,
        confirmed=426,
        registered=390,
        completed=366,
        restrictions_imposed=36,
        restrictions_dropped=4,
        refused_nominations=54,
        refused_approvals=40,
    )


def test_600_hold_every_variety_of_fate() -> None:
    fates = [each.fate for each in population().nominations]
    kinds = Counter(fate.kind for fate in fates)
    assert all(kinds[kind] > 0 for kind in FATE_KINDS)
    assert sum(kinds.values()) == 600
    assert {fate.withdrawn_at for fate in fates if fate.kind == "withdrawn"} == set(WITHDRAWAL_PHASES)
    assert {fate.follow_up for fate in fates if fate.kind == "completed"} == {"none", "on_time", "late", "never"}
    assert {fate.leave.granted for fate in fates if fate.leave} == {True, False}
    assert {fate.returned for fate in fates} == {True, False}
    barred = [fate for fate in fates if fate.restriction != "none"]
    assert {fate.objection for fate in barred} == {"none", "upheld", "rejected"}
    assert {fate.restriction for fate in barred} == {"imposed", "dropped"}


def test_600_fill_some_lines_over_and_some_under() -> None:
    counts = population().line_counts()
    over = [line for line in plan().lines() if counts[line.key] > line.seats]
    under = [line for line in plan().lines() if counts[line.key] < line.seats]
    assert len(over) >= 20
    assert len(under) >= 10


def test_some_have_no_email_some_share_a_telephone_and_some_are_typed_badly() -> None:
    teachers = [each.teacher for each in population().nominations]
    assert 30 < sum(teacher.email is None for teacher in teachers) < 200
    assert max(Counter(teacher.phone for teacher in teachers).values()) > 1
    typed = [each.teacher.identity_number for each in population().nominations]
    assert any("１" in number for number in typed)
    assert any(" " in number for number in typed)
    assert any(number.endswith("x") for number in typed)


def test_the_largest_population() -> None:
    largest = population(MAX_NOMINATIONS)
    figures = largest.figures()
    assert figures.nominated == MAX_NOMINATIONS
    assert 400 < figures.county_approved <= 520
    assert any(largest.line_counts()[line.key] < line.seats for line in plan().lines())
    assert len({identity(each) for each in largest.nominations}) == MAX_NOMINATIONS


@pytest.mark.parametrize("nominations", [MIN_NOMINATIONS - 1, 0, -1, MAX_NOMINATIONS + 1])
def test_other_sizes_are_refused(nominations: int) -> None:
    with pytest.raises(ValueError, match="nominations"):
        generate(plan(), nominations, 1)


# ------------------------------------------------------------------------------------------- any size and seed


@given(sizes, seeds)
@settings(deadline=None, max_examples=60)
def test_every_kind_of_fate_occurs_however_few(nominations: int, seed: int) -> None:
    fates = [each.fate for each in generate(plan(), nominations, seed).nominations]
    assert {fate.kind for fate in fates} == set(FATE_KINDS)
    assert {"on_time", "late"} <= {fate.follow_up for fate in fates}
    assert {True, False} <= {fate.leave.granted for fate in fates if fate.leave}
    assert {"none", "upheld", "rejected"} <= {fate.objection for fate in fates if fate.restriction != "none"}
    if nominations > MIN_NOMINATIONS:
        assert "never" in {fate.follow_up for fate in fates}


@given(sizes, seeds)
@settings(deadline=None, max_examples=40)
def test_nominations_add_up_and_no_line_approves_more_than_its_seats(nominations: int, seed: int) -> None:
    made = generate(plan(), nominations, seed)
    assert len(made.nominations) == nominations
    approved = Counter(each.line for each in made.nominations if each.fate.takes_seat)
    assert all(count <= plan().quota(line) for line, count in approved.items())
    # An approval over the quota must be refused: so all seats of its line are taken at that time.
    over = {each.line for each in made.nominations if each.fate.kind == "over_quota"}
    assert over
    assert all(approved[line] == plan().quota(line) for line in over)


@given(sizes, seeds)
@settings(deadline=None, max_examples=25)
def test_good_nominations_meet_the_plan_and_their_people_are_invented(nominations: int, seed: int) -> None:
    made = generate(plan(), nominations, seed)
    schools = {school.id: school for school in made.schools}
    last_day = local_date(plan().selection_deadline("school"))
    for each in made.nominations:
        assert reasons_against(each) == ()
        assert schools[each.school].county == each.county
        assert plan().dates.opens <= each.nominated_on < last_day
        number = parse_identity_number(each.teacher.identity_number, plan().dates.opens)
        assert number.division in DIVISIONS_NEVER_ASSIGNED
        assert 22 <= plan().dates.opens.year - number.birth_date.year <= 60
        assert each.teacher.phone.startswith(UNASSIGNED_TELEPHONES)
        assert len(each.teacher.phone) == 11
        assert each.teacher.email is None or each.teacher.email.endswith(".example.invalid")
    assert len({identity(each) for each in made.nominations}) == nominations
    assert len({each.key for each in made.nominations}) == nominations


@given(sizes, seeds)
@settings(deadline=None, max_examples=25)
def test_classes_have_a_fitting_host_fitting_dates_and_every_enrolled_trainee_once(nominations: int, seed: int) -> None:
    made = generate(plan(), nominations, seed)
    planned = classes(plan(), made)
    by_key = {each.key: each for each in made.nominations}
    members = Counter(key for each in planned for key in each.members)
    assert members == Counter(each.key for each in made.nominations if each.fate.enrolled)
    for each in planned:
        assert_fits(each)
        assert {by_key[key].host for key in each.members} == {each.host}
        assert {by_key[key].project_type for key in each.members} == {each.project_type}
    assert all(bool(each.host) == each.fate.selected for each in made.nominations)


def assert_fits(planned: PlannedClass) -> None:
    project_type = plan().project_type(planned.project_type)
    host = plan().host(planned.host)
    assert project_type.level in host.levels
    assert host.generated
    days = [planned.starts + timedelta(days=n) for n in range((planned.ends - planned.starts).days + 1)]
    assert date(2022, 9, 19) <= planned.starts <= planned.ends <= date(2022, 12, 10)
    assert not NATIONAL_DAY & set(days)
    assert len(days) == planned.centralised_days >= project_type.centralised_days_required
    assert len(planned.members) <= planned.capacity


def test_600_make_classes_of_about_twenty() -> None:
    sizes = [len(each.members) for each in classes(plan(), population())]
    assert 20 <= len(sizes) <= 35
    assert 15 <= sum(sizes) / len(sizes) <= 25
    assert len({each.key for each in classes(plan(), population())}) == len(sizes)


def test_fates_stay_within_their_class() -> None:
    for each in population().nominations:
        project_type = plan().project_type(each.project_type)
        days = class_days(project_type)
        assert 0 <= each.fate.on_day < days
        if each.fate.leave:
            assert 0 < each.fate.leave.day < days - 1
        if each.fate.completion:
            assert each.fate.completion.centralised_days >= project_type.centralised_days_required
            absent = 1 if each.fate.leave and each.fate.leave.granted else 0
            assert each.fate.completion.centralised_days == days - absent
        if each.fate.kind == "completed":
            assert (each.fate.follow_up == "none") == (project_type.follow_up is None)
        assert each.fate.follow_up_days <= plan().rules.follow_up_grace_days - 2
        assert (each.fate.follow_up == "late") == (each.fate.follow_up_days > 0)
        assert (each.fate.follow_up == "on_time") == (each.fate.follow_up_days < 0)


# ---------------------------------------------------------------------------------------------------- schools


def test_every_recipient_has_two_to_four_schools_named_after_it() -> None:
    made = population().schools
    per_county = Counter(school.county for school in made)
    assert set(per_county) == {recipient.id for recipient in plan().recipients}
    assert set(per_county.values()) <= {2, 3, 4}
    assert all(school.id == f"{school.county}-s{school.id[-2:]}" for school in made)
    assert all(school.name_zh.endswith("（示例）") for school in made)
    assert len({school.id for school in made}) == len(made)


def test_every_quota_line_has_a_school_that_can_use_it() -> None:
    for line in plan().lines():
        project_type = plan().project_type(line.project_type)
        assert any(school.posts(project_type) for school in population().schools if school.county == line.recipient), (
            line.key
        )


# --------------------------------------------------------------------------------------- what must be refused


@given(sizes, seeds)
@settings(deadline=None, max_examples=25)
def test_every_kind_of_attempt_occurs_and_is_wrong_in_one_way_only(nominations: int, seed: int) -> None:
    made = generate(plan(), nominations, seed)
    assert {attempt.kind for attempt in made.attempts} == set(ATTEMPT_KINDS)
    for attempt in made.attempts:
        codes = [reason.code for reason in reasons_against(attempt)]
        try:
            identity(attempt)
        except IdentityNumberError as error:
            codes.append(error.code)
        by_state = {"duplicate_nomination", "restricted_until"} & {attempt.expected_code}
        assert codes == ([] if by_state else [attempt.expected_code])


def test_six_attempts_of_each_kind_for_600() -> None:
    assert Counter(attempt.kind for attempt in population().attempts) == dict.fromkeys(ATTEMPT_KINDS, 6)


def test_duplicates_follow_a_nomination_that_stays() -> None:
    by_key = {each.key: each for each in population().nominations}
    duplicates = [attempt for attempt in population().attempts if attempt.kind.startswith("duplicate")]
    for attempt in duplicates:
        original = by_key[attempt.follows]
        assert identity(attempt) == identity(original)
        assert attempt.project_type == original.project_type
        assert attempt.nominated_on >= original.nominated_on
        assert original.fate.registered
        assert (attempt.school == original.school) == (attempt.kind == "duplicate_same_school")
    assert all(not attempt.follows for attempt in population().attempts if attempt not in duplicates)


def test_the_restricted_are_barred_while_nominations_are_open() -> None:
    records = {record.teacher.key: record for record in population().earlier_restrictions}
    last_day = local_date(plan().selection_deadline("city"))
    restricted = [attempt for attempt in population().attempts if attempt.kind.startswith("restricted")]
    for attempt in restricted:
        record = records[attempt.teacher.key]
        assert record.starts < plan().dates.opens
        assert record.until > last_day
        assert (record.county == attempt.county) == (attempt.kind == "restricted_same_county")
        assert (record.starts.year + 3, record.starts.month) == (record.until.year, record.until.month)
        assert record.document.startswith("示例")


def test_an_expired_restriction_bars_nobody() -> None:
    good = {each.teacher.key for each in population().nominations}
    records = population().earlier_restrictions
    expired = [record for record in records if record.teacher.key in good]
    assert expired
    assert all(record.until <= plan().dates.opens for record in expired)
    assert [record.number for record in records] == [f"prior-{n:05d}" for n in range(1, len(records) + 1)]


def test_nobody_of_a_refused_attempt_is_a_good_nominee_but_for_duplicates() -> None:
    good = {identity(each) for each in population().nominations}
    fresh = [attempt for attempt in population().attempts if attempt.expected_code == "restricted_until"]
    assert fresh
    assert not {identity(attempt) for attempt in fresh} & good
