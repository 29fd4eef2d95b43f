"""A teacher whose restriction is taken back, and who is nominated again: who it is, and for which project type."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.plan import Plan, QuotaLine
from simulator.nominations import Nomination
from simulator.schools import School
from simulator.teachers import Teacher

KEY: Final = "again-1"


@dataclass(frozen=True, slots=True)
class Renomination:
    """The nomination `after` led to a restriction that is reversed; its teacher is then nominated for another type."""

    key: str
    after: str
    county: str
    school: str
    project_type: str
    host: str
    teacher: Teacher


def renomination(plan: Plan, nominations: Sequence[Nomination], schools: Sequence[School]) -> Renomination:
    """The first restricted teacher for whom another project type of his county has a seat. Raises ValueError."""
    taken = Counter(each.line for each in nominations)
    free = [line for line in plan.lines() if taken[line.key] < line.seats]
    restricted = [each for each in nominations if each.fate.restriction == "imposed"]
    # Who was dismissed is known earliest, and what was taken back is seen best.
    for of in sorted(restricted, key=lambda each: each.fate.kind != "dismissed"):
        for line in _fitting(plan, free, of, schools):
            host = next(each for each in plan.hosts_of(plan.project_type(line.project_type).level) if each.generated)
            subject = _subject(plan, line, of.teacher)
            teacher = replace(of.teacher, subject=subject)
            return Renomination(KEY, of.key, of.county, of.school, line.project_type, host.id, teacher)
    raise ValueError("no restricted teacher can be nominated for anything else: choose another seed")


def _fitting(plan: Plan, free: Sequence[QuotaLine], of: Nomination, schools: Sequence[School]) -> Iterator[QuotaLine]:
    school = next(each for each in schools if each.id == of.school)
    for line in free:
        project_type = plan.project_type(line.project_type)
        posts = school.posts(project_type)
        has_post = any((each.stage, each.position) == (of.teacher.stage, of.teacher.position) for each in posts)
        has_served = project_type.min_years_of_service <= of.teacher.years_of_service
        is_another = line.recipient == of.county and line.project_type != of.project_type
        if is_another and has_post and has_served:
            yield line


def _subject(plan: Plan, line: QuotaLine, teacher: Teacher) -> str:
    allowed = plan.project_type(line.project_type).subjects
    return teacher.subject if not allowed or teacher.subject in allowed else allowed[0]
