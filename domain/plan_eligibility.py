"""What a plan says about who may be chosen, and who goes first: `Plan.eligibility` and `Plan.project_county_lists`.

Everything here may be left out of a plan. A plan that does so is read as one from before there was such a section, and
keeps the digest that it always had.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from domain.plan_values import Flag, Part, PlanDate, Slug, Source, Text

Criterion = Literal["rural", "short-of-days", "first-training", "project-county", "longest-service"]
"""rural: teaches in a rural school. short-of-days: has not had the cycle's days of centralised training yet.
first-training: completed nothing in this cycle. project-county: a 项目县 nominated him. longest-service: the more
years, the earlier."""

TestedOn = Literal["nomination", "first-day-of-training"]
"""The day on which nobody may be restricted (edge case 35): that of the nomination, or the first day of the training
where the plan itself fixes it (`training_dates`); elsewhere the day of the nomination."""


class Cycle(Part):
    """继续教育周期: so many calendar years, one after the other; `first_year` begins one of them."""

    first_year: Annotated[int, Field(strict=True, ge=1990, le=2100)]
    years: Annotated[int, Field(strict=True, ge=1, le=10)]
    source: Source
    paragraph_zh: Text

    def around(self, day: date) -> tuple[date, date]:
        """The first day of the cycle that `day` lies in, and the first day after it."""
        first = self.first_year + (day.year - self.first_year) // self.years * self.years
        return date(first, 1, 1), date(first + self.years, 1, 1)


DEFAULT_CYCLE = Cycle(first_year=2021, years=5, source="ours", paragraph_zh="方案未规定继续教育周期时，按五年计")
"""By which a teacher's days are counted under a plan that fixes no cycle."""


class Renaming(Part):
    """A project type that ran under another id or name before, or beside. It is one training (edge case 73).

    `same_as` are the other ids; `campaign` limits them to one campaign's, where two years use one id differently.
    """

    project_type: Slug
    same_as: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=20)]
    campaign: Slug | None = None
    source: Source
    note_zh: Text


class TrainingDates(Part):
    """The days of a project type's training where the plan fixes them itself, for every host; both days count."""

    project_type: Slug
    starts: PlanDate
    ends: PlanDate
    source: Source


class Priority(Part):
    """One step of the declared order in which a county chooses. An earlier step decides before any later one."""

    criterion: Criterion
    name_zh: Text
    name_en: Text
    source: Source
    paragraph_zh: Text


class Eligibility(Part):
    """Rules of selection that hold for every project type.

    no_repeat: whether a training that was completed in this cycle (same type, same subject) may not be had again.
    """

    cycle: Cycle | None = None
    no_repeat: Flag = False
    restriction_tested_on: TestedOn = "nomination"
    priority: Annotated[tuple[Priority, ...], Field(max_length=10)] = ()
    renamings: Annotated[tuple[Renaming, ...], Field(max_length=200)] = ()
    training_dates: Annotated[tuple[TrainingDates, ...], Field(max_length=200)] = ()


class ProjectCountyList(Part):
    """The 项目县 from a day on, until the next list's day (edge case 5)."""

    since: PlanDate
    recipients: Annotated[tuple[Slug, ...], Field(max_length=200)]
    source: Source
    document_zh: Text
