"""The seeded population of a campaign: schools, teachers, nominations with their fates, and what must be refused.

Everything here is invented and follows from the plan, a number and a seed: the same three give the same bytes on
every machine (`Population.canonical`). Nothing depends on a clock, on the order of a set or on Python's hashes.
"""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from random import Random

from domain.calendar import is_working_day, local_date
from domain.plan import Plan
from simulator.allocation import demand
from simulator.attempts import Attempt, AttemptSource, EarlierRestriction
from simulator.nominations import Nomination, good_nominations
from simulator.reallocation import Reallocation, reallocated
from simulator.renomination import Renomination, renomination
from simulator.scenarios import SCENARIOS, USUAL, Scenario
from simulator.schools import School, invented_schools
from simulator.script import class_days
from simulator.teachers import TeacherSource

CLASSES_BEGIN_DAYS_AFTER_SELECTION = 18
CLASSES_END_DAYS_BEFORE_SOFT_END = 21
LAST_STARTING_WEEKDAY = 2
"""Classes start on Monday, Tuesday or Wednesday."""

SPARE_PLACES = 2
POSTPONED_BY = timedelta(days=21)
"""At least so much later a postponed class is held."""


@dataclass(frozen=True, slots=True)
class PlannedClass:
    """A class that a host will run for `members` (keys of nominations). Both dates are training days.

    `key` is the simulator's own; the class's number is the system's to give. A class that is postponed was first
    planned for `first_starts`; one that goes `online` holds no centralised day. Its report
    comes `reports_after_days` days after its last one.
    """

    key: str
    project_type: str
    host: str
    starts: date
    ends: date
    centralised_days: int
    capacity: int
    place: str
    members: tuple[str, ...]
    first_starts: date | None = None
    online: bool = False
    reports_after_days: int = 1

    @property
    def planned_for(self) -> tuple[date, date]:
        """First and last day as the host plans it at first."""
        starts = self.first_starts or self.starts
        return starts, starts + (self.ends - self.starts)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the campaign must come to if nothing goes wrong, counted from the fates alone."""

    nominated: int
    county_approved: int
    selected: int
    enrolled: int
    confirmed: int
    registered: int
    completed: int
    restrictions_imposed: int
    restrictions_dropped: int
    refused_nominations: int
    refused_approvals: int
    restrictions_reversed: int = 0


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody and everything of one simulated campaign. `nominations` are all accepted; `attempts` never are."""

    plan: str
    plan_sha256: str
    seed: int
    schools: tuple[School, ...]
    nominations: tuple[Nomination, ...]
    attempts: tuple[Attempt, ...]
    earlier_restrictions: tuple[EarlierRestriction, ...]
    scenario: str = USUAL.name
    reallocation: Reallocation | None = None
    again: Renomination | None = None

    def figures(self) -> Figures:
        """The expected counts."""
        fates = [each.fate for each in self.nominations]
        return Figures(
            nominated=len(fates) + (self.again is not None),
            county_approved=sum(fate.takes_seat for fate in fates),
            selected=sum(fate.selected for fate in fates),
            enrolled=sum(fate.enrolled for fate in fates),
            confirmed=sum(fate.confirmed for fate in fates),
            registered=sum(fate.registered for fate in fates),
            completed=sum(fate.kind == "completed" for fate in fates),
            restrictions_imposed=sum(fate.restriction == "imposed" for fate in fates),
            restrictions_dropped=sum(fate.restriction == "dropped" for fate in fates),
            refused_nominations=len(self.attempts),
            refused_approvals=sum(fate.kind == "over_quota" or fate.waitlisted for fate in fates),
            restrictions_reversed=int(self.again is not None),
        )

    def line_counts(self) -> Counter[str]:
        """Nominations per quota line."""
        return Counter(each.line for each in self.nominations)

    def canonical(self) -> bytes:
        """The whole population as JSON with sorted keys, UTF-8."""
        return json.dumps(asdict(self), default=str, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        """Hex SHA-256 of `canonical()`."""
        return hashlib.sha256(self.canonical()).hexdigest()


def generate(plan: Plan, nominations: int, seed: int, scenario: Scenario = USUAL) -> Population:
    """A population with so many good nominations (MIN_NOMINATIONS to MAX_NOMINATIONS). Raises ValueError."""
    rng = Random(seed)
    demands = demand(plan, nominations, rng)
    given: Reallocation | None = None
    if scenario.reallocates:
        demands, given = reallocated(plan, demands)
    schools = invented_schools(plan)
    teachers = TeacherSource(plan, rng)
    given_to = given.taker if given is not None else ""
    good = good_nominations(plan, demands, schools, teachers, rng, scenario, given_to)
    attempts = AttemptSource(plan, schools, good, teachers, rng)
    refused = attempts.attempts() if scenario.is_messy else ()
    if scenario.is_messy:
        attempts.expire_some()
    return Population(
        plan=plan.id,
        plan_sha256=plan.sha256(),
        seed=seed,
        schools=schools,
        nominations=good,
        attempts=refused,
        earlier_restrictions=tuple(attempts.restrictions),
        scenario=scenario.name,
        reallocation=given,
        again=renomination(plan, good, schools) if scenario.reverses else None,
    )


def classes(plan: Plan, population: Population) -> tuple[PlannedClass, ...]:
    """A class for each project type and host that has trainees, after the selection and well before the soft end.

    No class has a public holiday among its weekdays. Members are those whom their fate lets be enrolled.
    """
    rng = Random(population.seed)
    members: dict[tuple[str, str], list[str]] = {}
    for nomination in population.nominations:
        if nomination.fate.enrolled:
            members.setdefault((nomination.project_type, nomination.host), []).append(nomination.key)
    planned = []
    for number, (project_type_id, host) in enumerate(sorted(members), start=1):
        days = class_days(plan.project_type(project_type_id))
        starts = rng.choice(_possible_starts(plan, days))
        keys = members[project_type_id, host]
        planned.append(
            PlannedClass(
                key=f"c-{number:03d}",
                project_type=project_type_id,
                host=host,
                starts=starts,
                ends=starts + timedelta(days=days - 1),
                centralised_days=days,
                capacity=len(keys) + SPARE_PLACES,
                place=f"{plan.host(host).name_zh}教学楼{rng.randint(101, 530)}室",
                members=tuple(keys),
            )
        )
    if SCENARIOS[population.scenario].changes_classes:
        planned = [_changed(plan, each, number) for number, each in enumerate(planned)]
    return tuple(planned)


def _changed(plan: Plan, planned: PlannedClass, number: int) -> PlannedClass:
    """Of three classes one is put off by weeks, one goes online, and one is held as it was planned."""
    if number % 3 == 1:
        return replace(planned, online=True)
    if number % 3 == 2:
        return planned
    possible = _possible_starts(plan, planned.centralised_days)
    first = possible[0]
    starts = max(planned.starts, next(day for day in possible if day >= first + POSTPONED_BY))
    return replace(
        planned, first_starts=first, starts=starts, ends=starts + timedelta(days=planned.centralised_days - 1)
    )


def _possible_starts(plan: Plan, days: int) -> list[date]:
    """First days of a class of so many days that fits the calendar; there is always one in a plan of months."""
    first = local_date(plan.selection_deadline("city")) + timedelta(days=CLASSES_BEGIN_DAYS_AFTER_SELECTION)
    last = plan.dates.soft_end - timedelta(days=CLASSES_END_DAYS_BEFORE_SOFT_END)
    starts = [first + timedelta(days=n) for n in range((last - first).days + 1 - (days - 1))]
    return [day for day in starts if day.weekday() <= LAST_STARTING_WEEKDAY and _without_holiday(plan, day, days)]


def _without_holiday(plan: Plan, first: date, days: int) -> bool:
    every = [first + timedelta(days=n) for n in range(days)]
    fallback = plan.rules.unpublished_calendar_year
    return all(is_working_day(day, fallback) for day in every if day.weekday() < 5)
