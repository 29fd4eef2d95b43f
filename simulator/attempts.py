"""The mess of real life: nominations that must be refused, each with the code it must be refused with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Literal, get_args

from domain.calendar import add_calendar_years
from domain.identity import parse_identity_number
from domain.plan import Plan, ProjectType, QuotaLine, Stage
from simulator.nominations import Nomination, candidacies, choose, nomination_days
from simulator.schools import School
from simulator.teachers import Post, Teacher, TeacherSource

AttemptKind = Literal[
    "duplicate_same_school",
    "duplicate_other_school",
    "restricted_same_county",
    "restricted_other_county",
    "wrong_check_digit",
    "fifteen_digits",
    "scientific_notation",
    "wrong_stage",
    "no_quota_line",
]
ATTEMPT_KINDS: tuple[AttemptKind, ...] = get_args(AttemptKind)

NOMINATIONS_PER_ATTEMPT = 100
"""One attempt of each kind for so many good nominations, and at least one."""

NOMINATIONS_PER_EXPIRED_RESTRICTION = 200


@dataclass(frozen=True, slots=True)
class EarlierRestriction:
    """A restriction imposed before xunji: `teacher` is barred from `starts` until the day before `until`.

    It is recorded from its document before nominations open. An expired one bars nobody.
    """

    number: str
    teacher: Teacher
    county: str
    starts: date
    until: date
    document: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A nomination that must be refused with `expected_code`, and must leave nothing behind.

    `follows` is the nomination that makes it a duplicate: it must be in before the attempt is made.
    """

    key: str
    kind: AttemptKind
    expected_code: str
    county: str
    school: str
    project_type: str
    teacher: Teacher
    nominated_on: date
    follows: str = ""


class AttemptSource:
    """Draws attempts and earlier restrictions for a plan's schools and good nominations."""

    def __init__(
        self,
        plan: Plan,
        schools: Sequence[School],
        nominations: Sequence[Nomination],
        teachers: TeacherSource,
        rng: Random,
    ) -> None:
        self._plan = plan
        self._schools = schools
        self._nominations = nominations
        self._teachers = teachers
        self._rng = rng
        self._days = nomination_days(plan)
        self.restrictions: list[EarlierRestriction] = []

    def attempts(self) -> tuple[Attempt, ...]:
        """Every kind as often as the number of nominations asks for; the restricted are added to `restrictions`."""
        times = max(1, len(self._nominations) // NOMINATIONS_PER_ATTEMPT)
        drawn = [attempt for kind in ATTEMPT_KINDS for _ in range(times) for attempt in self._attempts_of(kind)]
        return tuple(replace(attempt, key=f"a-{number:04d}") for number, attempt in enumerate(drawn, start=1))

    def expire_some(self) -> None:
        """Adds restrictions that are over by the opening to some good nominees, who must not be refused."""
        years = self._plan.rules.restriction_years
        times = max(1, len(self._nominations) // NOMINATIONS_PER_EXPIRED_RESTRICTION)
        for nomination in self._rng.sample(self._nominations, times):
            over_by = timedelta(days=self._rng.randint(30, 400))
            starts = add_calendar_years(self._plan.dates.opens - over_by, -years)
            self._restrict(nomination.teacher, nomination.county, starts)

    def _attempts_of(self, kind: AttemptKind) -> Iterator[Attempt]:
        draw: dict[AttemptKind, Callable[[AttemptKind], Attempt | None]] = {
            "duplicate_same_school": self._duplicate,
            "duplicate_other_school": self._duplicate,
            "restricted_same_county": self._restricted,
            "restricted_other_county": self._restricted,
            "wrong_check_digit": self._wrong_number,
            "fifteen_digits": self._wrong_number,
            "scientific_notation": self._wrong_number,
            "wrong_stage": self._wrong_stage,
            "no_quota_line": self._no_quota_line,
        }
        attempt = draw[kind](kind)
        if attempt is not None:
            yield attempt

    def _duplicate(self, kind: AttemptKind) -> Attempt | None:
        # Only of somebody who stays in the campaign: a withdrawn or rejected teacher may be nominated again.
        originals = [each for each in self._nominations if each.fate.registered]
        self._rng.shuffle(originals)
        for original in originals:
            schools = [original.school] if kind == "duplicate_same_school" else self._other_schools(original)
            if schools:
                school = self._rng.choice(schools)
                later = [day for day in self._days if day >= original.nominated_on]
                return Attempt(
                    key="",
                    kind=kind,
                    expected_code="duplicate_nomination",
                    county=school.rsplit("-", 1)[0],
                    school=school,
                    project_type=original.project_type,
                    teacher=original.teacher,
                    nominated_on=self._rng.choice(later),
                    follows=original.key,
                )
        return None

    def _other_schools(self, original: Nomination) -> list[str]:
        project_type = self._plan.project_type(original.project_type)
        return [
            school.id
            for school in self._schools
            if school.id != original.school
            and self._plan.seats(f"{project_type.id}:{school.county}") is not None
            and school.posts(project_type)
        ]

    def _restricted(self, kind: AttemptKind) -> Attempt:
        attempt = self._fresh(kind, "restricted_until")
        counties = [each.id for each in self._plan.recipients if each.id != attempt.county]
        by = attempt.county if kind == "restricted_same_county" else self._rng.choice(counties)
        years = self._plan.rules.restriction_years
        # Begun long enough ago to be known, and not over before the classes are.
        begun = timedelta(days=self._rng.randint(60, years * 365 - 180))
        self._restrict(attempt.teacher, by, self._plan.dates.opens - begun)
        return attempt

    def _wrong_number(self, kind: AttemptKind) -> Attempt:
        codes: dict[AttemptKind, str] = {
            "wrong_check_digit": "identity_check_digit",
            "fifteen_digits": "identity_15_digits",
            "scientific_notation": "identity_scientific_notation",
        }
        attempt = self._fresh(kind, codes[kind])
        number = parse_identity_number(attempt.teacher.identity_number).text
        wrong: dict[AttemptKind, str] = {
            "wrong_check_digit": number[:17] + ("1" if number[17] != "1" else "2"),
            # A right one would be completed; the fifteenth month makes it wrong.
            "fifteen_digits": number[:6] + number[8:10] + "15" + number[12:17],
            "scientific_notation": f"{number[0]}.{number[1:6]}E+17",
        }
        return replace(attempt, teacher=replace(attempt.teacher, identity_number=wrong[kind]))

    def _wrong_stage(self, kind: AttemptKind) -> Attempt | None:
        stages: tuple[Stage, ...] = ("preschool", "primary", "junior", "senior")
        lines = [
            line for line in self._plan.lines() if set(stages) - set(self._plan.project_type(line.project_type).stages)
        ]
        if not lines:
            return None
        line = self._rng.choice(lines)
        project_type = self._plan.project_type(line.project_type)
        wrong = self._rng.choice([stage for stage in stages if stage not in project_type.stages])
        chosen = choose(self._rng, candidacies(self._schools, line.recipient, project_type), project_type)
        post = replace(chosen.post, stage=wrong)
        return self._attempt(kind, "stage_not_eligible", chosen.school.id, project_type, post)

    def _no_quota_line(self, kind: AttemptKind) -> Attempt | None:
        pairs = [
            (school, project_type)
            for project_type in self._plan.project_types
            for school in self._schools
            if self._plan.seats(f"{project_type.id}:{school.county}") is None and school.posts(project_type)
        ]
        if not pairs:
            return None
        school, project_type = self._rng.choice(pairs)
        post = self._rng.choice(school.posts(project_type))
        return self._attempt(kind, "no_quota_line", school.id, project_type, post)

    def _fresh(self, kind: AttemptKind, code: str) -> Attempt:
        """An attempt with a new teacher on any quota line, in which nothing is wrong yet."""
        line: QuotaLine = self._rng.choice(self._plan.lines())
        project_type = self._plan.project_type(line.project_type)
        chosen = choose(self._rng, candidacies(self._schools, line.recipient, project_type), project_type)
        return self._attempt(kind, code, chosen.school.id, project_type, chosen.post)

    def _attempt(self, kind: AttemptKind, code: str, school: str, project_type: ProjectType, post: Post) -> Attempt:
        return Attempt(
            key="",
            kind=kind,
            expected_code=code,
            county=school.rsplit("-", 1)[0],
            school=school,
            project_type=project_type.id,
            teacher=self._teachers.teacher(project_type, post),
            nominated_on=self._rng.choice(self._days),
        )

    def _restrict(self, teacher: Teacher, county: str, starts: date) -> None:
        count = len(self.restrictions) + 1
        self.restrictions.append(
            EarlierRestriction(
                number=f"prior-{count:05d}",
                teacher=teacher,
                county=county,
                starts=starts,
                until=add_calendar_years(starts, self._plan.rules.restriction_years),
                document=f"示例训限〔{starts.year}〕{count}号",
            )
        )
