"""Good nominations: each meets the plan's conditions, and each has its fate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from domain.calendar import local_date
from domain.plan import Host, Plan, ProjectType, QuotaLine
from simulator.allocation import LineDemand
from simulator.scenarios import USUAL, Scenario
from simulator.schools import School
from simulator.script import Fate, Wish, draw_excess_wish, draw_fate, draw_seated_wish
from simulator.teachers import Post, Teacher, TeacherSource

CLASS_SIZE = 20
RURAL_WEIGHT = 3
"""Where the plan prefers rural teachers, a rural school nominates so many times as often (向农村教学一线教师倾斜)."""


@dataclass(frozen=True, slots=True)
class Nomination:
    """A nomination that is accepted, and what becomes of it.

    `nominated_on` lies before the schools' deadline. `host` is whom the city names at its approval, empty for those
    who do not get so far.
    """

    key: str
    county: str
    school: str
    project_type: str
    teacher: Teacher
    nominated_on: date
    host: str
    fate: Fate

    @property
    def line(self) -> str:
        """The key of its quota line."""
        return f"{self.project_type}:{self.county}"


@dataclass(frozen=True, slots=True)
class Candidacy:
    """A school and a post there whose holder the project type takes."""

    school: School
    post: Post


@dataclass(frozen=True, slots=True)
class _Slot:
    """A nomination before anything about it is drawn. `full`: its line has more nominations than seats."""

    line: QuotaLine
    project_type: ProjectType
    seated: bool
    full: bool


def candidacies(schools: Sequence[School], county: str, project_type: ProjectType) -> list[Candidacy]:
    """Who could be nominated for the project type in a county."""
    return [
        Candidacy(school, post) for school in schools if school.county == county for post in school.posts(project_type)
    ]


def choose(rng: Random, options: Sequence[Candidacy], project_type: ProjectType) -> Candidacy:
    """One of the options, rural ones more often where the plan prefers them."""
    preferred = project_type.rural == "preferred"
    weights = [RURAL_WEIGHT if preferred and option.post.rural else 1 for option in options]
    return rng.choices(options, weights)[0]


def nomination_days(plan: Plan) -> list[date]:
    """The whole days on which a school can nominate: from the opening to the day before its deadline."""
    days = (local_date(plan.selection_deadline("school")) - plan.dates.opens).days
    return [plan.dates.opens + timedelta(days=n) for n in range(days)]


def good_nominations(
    plan: Plan,
    demands: Sequence[LineDemand],
    schools: Sequence[School],
    source: TeacherSource,
    rng: Random,
    scenario: Scenario = USUAL,
    given_to: str = "",
) -> tuple[Nomination, ...]:
    """One nomination for each that is demanded, by line; every fate that the story wants occurs if there is room.

    `given_to` is the line that takes another one's seats over, if there is one.
    """
    slots = _slots(plan, demands, rng)
    wishes = _wishes(slots, rng, scenario, given_to)
    days = nomination_days(plan)
    nominations = []
    for number, (slot, wish) in enumerate(zip(slots, wishes, strict=True), start=1):
        options = candidacies(schools, slot.line.recipient, slot.project_type)
        chosen = choose(rng, options, slot.project_type)
        nominations.append(
            Nomination(
                key=f"n-{number:05d}",
                county=slot.line.recipient,
                school=chosen.school.id,
                project_type=slot.project_type.id,
                teacher=source.teacher(slot.project_type, chosen.post),
                nominated_on=rng.choice(days),
                host="",
                fate=draw_fate(rng, wish, slot.project_type, line_is_full=slot.full),
            )
        )
    return _with_hosts(plan, nominations, rng)


def _slots(plan: Plan, demands: Sequence[LineDemand], rng: Random) -> list[_Slot]:
    slots: list[_Slot] = []
    for each in demands:
        project_type = plan.project_type(each.line.project_type)
        seated = [number < each.seated for number in range(each.nominations)]
        rng.shuffle(seated)
        slots.extend(_Slot(each.line, project_type, has_seat, each.is_over) for has_seat in seated)
    return slots


def _wishes(slots: Sequence[_Slot], rng: Random, scenario: Scenario, given_to: str) -> list[Wish]:
    """What happens in each slot: first every wish once where it fits, then at random."""
    wishes: dict[int, Wish] = {
        index: Wish("completed", waitlisted=True)
        for index, slot in enumerate(slots)
        if slot.line.key == given_to and not slot.seated
    }
    order = list(range(len(slots)))
    rng.shuffle(order)
    for wish in scenario.wishes:
        for index in order:
            slot = slots[index]
            free = index not in wishes and slot.seated
            if free and wish.fits(slot.project_type) and not (slot.full and wish.spares_the_seat):
                wishes[index] = wish
                break
    excess = [index for index in order if not slots[index].seated and index not in wishes]
    if excess:
        wishes[excess[0]] = Wish("over_quota")
    for index, slot in enumerate(slots):
        if index not in wishes:
            seated = slot.seated
            often = scenario.weights
            wishes[index] = (
                draw_seated_wish(rng, line_is_full=slot.full, often=often) if seated else draw_excess_wish(rng)
            )
    return [wishes[index] for index in range(len(slots))]


def _with_hosts(plan: Plan, nominations: list[Nomination], rng: Random) -> tuple[Nomination, ...]:
    """Gives the selected of each project type to as many hosts as there will be classes."""
    hosts: dict[str, str] = {}
    for project_type in plan.project_types:
        selected = [each.key for each in nominations if each.project_type == project_type.id and each.fate.selected]
        rng.shuffle(selected)
        classes = max(1, round(len(selected) / CLASS_SIZE))
        chosen = rng.sample(_invented_hosts(plan, project_type), classes)
        hosts |= {key: chosen[number % classes].id for number, key in enumerate(selected)}
    return tuple(replace(each, host=hosts.get(each.key, "")) for each in nominations)


def _invented_hosts(plan: Plan, project_type: ProjectType) -> list[Host]:
    # No rate of a simulated class may ever be read as one of an institution that exists.
    return [host for host in plan.hosts_of(project_type.level) if host.generated]
