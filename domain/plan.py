"""The plan of one campaign: project types, recipients, hosts, quotas, rules and dates (plans/*.yaml).

A plan is data and never changes once a campaign runs on it: `Plan.sha256()` names the rules that a decision
rested on. What the notice says, what we chose and what we invented is marked in the data (`Source`), because
the notice's annexes with the real quota tables are not available. `domain.plan_loader.load_plan` is the only
door in: it alone runs the checks that need more than one section (`domain.plan_checks`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from domain.calendar import SHANGHAI, UnpublishedYear, add_working_days, local_instant, off_holidays
from domain.numbers import quota_line
from domain.plan_eligibility import DEFAULT_CYCLE, Eligibility, ProjectCountyList
from domain.plan_outcomes import OutcomeRules
from domain.plan_values import Flag, Part, PlanDate, Slug, Source, Text
from domain.seat_rules import DEFAULT_SEAT_RULES, SeatRules

LevelId = Literal["national", "provincial", "municipal", "county"]
"""national: 国培计划. provincial: 省培计划. municipal: 市级培训. county: 县级培训."""

SelectionLevel = Literal["school", "county", "city"]
Stage = Literal["preschool", "primary", "junior", "senior"]
"""学段: 幼儿园, 小学, 初中, 高中."""

Position = Literal["teacher", "principal", "researcher", "trainer", "administrator"]
"""岗位: 任课教师, 校园长, 教研员, 培训者, 教师教育管理者."""

RecipientKind = Literal[
    "county",
    "development-zone",
    "direct-schools",
    "university",
    "research-institute",
    "teaching-research-office",
]
"""区县(市)教育局, 开发区教育局, 局直属学校, 郑州师范学院, 市教科所, 市教研室.

In the workflow all of them are organisations of kind `county`: they stand between the schools and the city.
"""

Rural = Literal["required", "preferred", "any"]
Rating = Literal["A", "B", "C", "unrated"]
RestrictionStart = Literal["class-start", "incident", "decision", "service", "appeal"]
"""appeal: the day on which the time to object has ended, or the decision on the objection, whichever is later."""
LOCAL_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-4]):[0-5][0-9](:[0-5][0-9])?$"
LATER_SECTIONS = ("eligibility", "project_county_lists", "training", "outcomes", "seat_rules")
"""Sections that plans did not always have: left out of the canonical form where they say nothing, so that a plan that
was adopted before keeps its digest."""


class UnknownInPlanError(LookupError):
    """A key that the plan does not have. `nearest` is the closest key it does have, or None."""

    def __init__(self, kind: str, key: str, known: list[str]) -> None:
        matches = get_close_matches(key, known, n=1)
        self.kind = kind
        self.key = key
        self.nearest: str | None = matches[0] if matches else None
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        super().__init__(f"the plan has no {kind} {key!r}{hint}")


def _plan_instant(value: object) -> datetime:
    # A time without a zone is local time; the canonical form has its zone.
    try:
        if isinstance(value, str):
            value = local_instant(value) if " " in value else datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=SHANGHAI)
    except ValueError:
        pass
    raise PydanticCustomError("plan_instant", "an instant like 2022-08-31 24:00 is expected")


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _frozen_table(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({k: _frozen_table(v) if isinstance(v, Mapping) else v for k, v in value.items()})


def _plain_table(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _plain_table(v) if isinstance(v, Mapping) else v for k, v in value.items()}


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_plan_instant),
    AfterValidator(_utc),
    WithJsonSchema({"type": "string", "pattern": LOCAL_INSTANT, "examples": ["2022-08-31 24:00"]}),
]
"""Written as local time of Asia/Shanghai, `2022-08-31 24:00` being the end of that day; held in UTC."""

Days = Annotated[int, Field(strict=True, ge=0, le=3660)]
Seats = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@([a-z0-9-]+\.)*example\.invalid$")]
"""Only addresses that can never receive mail: a plan in the repository must not write to a real office."""

SeatsByProjectType = Annotated[
    Mapping[str, Seats], AfterValidator(_frozen_table), PlainSerializer(_plain_table, return_type=dict)
]
SeatTable = Annotated[
    Mapping[str, Mapping[str, Seats]],
    AfterValidator(_frozen_table),
    PlainSerializer(_plain_table, return_type=dict),
]


class Notice(Part):
    """The official letter the plan carries out."""

    number: Text
    date: PlanDate
    title_zh: Text
    title_en: Text
    issuer_zh: Text


class Deadline(Part):
    """One level's last instant of selection. A command at or after `at` is late."""

    at: Instant
    source: Source
    note_zh: Text


class Selection(Part):
    """遴选 deadlines: schools before counties before the city."""

    school: Deadline
    county: Deadline
    city: Deadline


class Dates(Part):
    """opens: first day of nominations. soft_end: the notice's 原则上 end, warned about and never enforced.
    closes: the last day of the campaign's book, inclusive; ours."""

    opens: PlanDate
    selection: Selection
    soft_end: PlanDate
    closes: PlanDate
    closes_source: Source


class Subject(Part):
    """学科."""

    id: Slug
    name_zh: Text
    name_en: Text


class Level(Part):
    """国培计划 or 省培计划; `announced_hosts` is the number of 承办单位 the notice gives."""

    id: LevelId
    name_zh: Text
    name_en: Text
    announced_hosts: Annotated[int, Field(strict=True, ge=1)]


class FollowUp(Part):
    """A task after completion (任务驱动, N10), due so many calendar days after the completion was recorded.
    `task` is its code in events, the rest is for people."""

    task: Slug
    task_zh: Text
    task_en: Text
    due_days: Annotated[int, Field(strict=True, ge=1, le=365)]


class ProjectType(Part):
    """项目类别. `subjects` empty means every subject. The conditions are ours: the annexes are missing.

    centralised_days_required: days of 集中培训 a trainee must reach for 结业.
    """

    id: Slug
    level: LevelId
    name_zh: Text
    name_en: Text
    centralised_days_required: Annotated[int, Field(strict=True, ge=0, le=60)]
    centralised_days_source: Source
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    subjects: tuple[Slug, ...]
    positions: Annotated[tuple[Position, ...], Field(min_length=1)]
    rural: Rural
    min_years_of_service: Annotated[int, Field(strict=True, ge=0, le=50)]
    project_counties_only: Flag
    follow_up: FollowUp | None
    contact: Slug


class Recipient(Part):
    """An organisation that receives quotas. `gb_code` is an attribute and no identity: 郑东新区 has none."""

    id: Slug
    kind: RecipientKind
    name_zh: Text
    name_en: Text
    gb_code: Annotated[str, Field(pattern=r"^41[0-9]{4}$")] | None
    project_county: Flag
    contact_email: Email


class Host(Part):
    """承训单位. `generated` hosts are invented names that fill the notice's number."""

    id: Annotated[str, Field(pattern=r"^h[0-9]{3}$")]
    name_zh: Text
    generated: Flag
    levels: Annotated[tuple[LevelId, ...], Field(min_length=1)]
    rating: Rating
    contact_email: Email


class Quotas(Part):
    """名额. city_totals: seats issued to the city per project type; seats: recipient → project type → seats.
    A cell with no seats is left out.

    Σ of a project type's seats never exceeds its city total; what is left is the city's reserve.
    """

    invented: Literal[True]
    note_zh: Text
    note_en: Text
    city_totals: SeatsByProjectType
    seats: SeatTable


class QuotaLine(Part):
    """One cell of the quota table; `key` is `{project type}:{recipient}`, as in `gp1:410181`."""

    key: str
    project_type: str
    recipient: str
    seats: int


class Basis(Part):
    """Where a rule's value comes from; `paragraph_zh` is the notice's paragraph or our reason."""

    rule: Text
    source: Source
    paragraph_zh: Text


class Rules(Part):
    """The rules that decisions read. Every field but `basis` has exactly one entry in `basis`.

    Working days are those of domain.calendar; a window ends at 24:00 of its last day.
    """

    centralised_days_per_cycle: Annotated[int, Field(strict=True, ge=0, le=60)]
    restriction_years: Annotated[int, Field(strict=True, ge=1, le=10)]
    restriction_starts: RestrictionStart
    excuse_window_working_days: Annotated[int, Field(strict=True, ge=1, le=60)]
    objection_window_working_days: Annotated[int, Field(strict=True, ge=1, le=60)]
    serve_within_working_days: Annotated[int, Field(strict=True, ge=1, le=60)]
    confirm_days_before_start: Days
    selection_reminders_hours_before: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1)], ...], Field(max_length=10)
    ]
    class_reminders_days_before: Annotated[tuple[Annotated[int, Field(strict=True, ge=1)], ...], Field(max_length=10)]
    outcome_due_days_after_class_end: Days
    follow_up_grace_days: Days
    unpublished_calendar_year: UnpublishedYear
    basis: tuple[Basis, ...]


class Training(Part):
    """How attendance and changed classes count; a plan may leave it out, and then asks for no attendance.

    attendance_percent: share of the held units that completion asks for, left out when it asks for none.
    online_days_count_as_centralised: whether days held online count towards the 集中培训 that a project requires.
    escalation_days: after the due date of the outcomes the bureau is told so many days later.
    """

    attendance_percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    online_days_count_as_centralised: Flag = False
    escalation_days: Days = 3
    source: Source = "ours"
    note_zh: Text = "通知未规定，由本方案规定"


_NO_TRAINING = Training()


class Contact(Part):
    """An execution office of the notice (项目执行办公室), as the notice prints it."""

    id: Slug
    office_zh: Text
    people_zh: Annotated[tuple[Text, ...], Field(min_length=1)]
    telephones: Annotated[tuple[Annotated[str, Field(pattern=r"^(0371-)?[0-9]{8}$")], ...], Field(min_length=1)]
    source: Source


class Plan(Part):
    """One campaign. Its id is also the id of its book in the ledger."""

    id: Slug
    edition: Annotated[int, Field(strict=True, ge=1)]
    number_prefix: Annotated[str, Field(pattern=r"^[a-z]{2}[0-9]{2}$")]
    title_zh: Text
    title_en: Text
    notice: Notice
    bureau: Slug
    bureau_name_zh: Text
    bureau_name_en: Text
    bureau_email: Email
    time_zone: Literal["Asia/Shanghai"]
    dates: Dates
    rules: Rules
    outcomes: OutcomeRules = OutcomeRules()
    contacts: Annotated[tuple[Contact, ...], Field(min_length=1)]
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1)]
    project_types: Annotated[tuple[ProjectType, ...], Field(min_length=1)]
    recipients: Annotated[tuple[Recipient, ...], Field(min_length=1)]
    quotas: Quotas
    hosts: Annotated[tuple[Host, ...], Field(min_length=1, max_length=999)]
    training: Training | None = None
    seat_rules: SeatRules = DEFAULT_SEAT_RULES

    def cycle_of(self, day: date) -> str:
        """The 继续教育周期 that a training beginning on `day` counts in, as in `2021-2025` (edge case 56).

        The first day decides for the whole training, as it does for the project's year (edge case 24).
        """
        first, after = (self.eligibility.cycle or DEFAULT_CYCLE).around(day)
        return f"{first.year}-{after.year - 1}"

    @property
    def training_rules(self) -> Training:
        """How attendance and changed classes count, with what holds where the plan does not say."""
        return self.training or _NO_TRAINING

    eligibility: Eligibility = Eligibility()
    project_county_lists: Annotated[tuple[ProjectCountyList, ...], Field(max_length=20)] = ()

    @property
    def year(self) -> int:
        """The project's year, which counts wherever a training ends (edge case 24)."""
        return self.dates.opens.year

    def is_project_county(self, recipient_id: str, on: date) -> bool:
        """Whether the recipient is a 项目县 on the day, by the list then in force, or by its flag without lists."""
        recipient = self.find_recipient(recipient_id)
        in_force = [each for each in self.project_county_lists if each.since <= on]
        if not in_force:
            return recipient is not None and recipient.project_county
        return recipient_id in in_force[-1].recipients

    def project_type(self, project_type_id: str) -> ProjectType:
        """Raises UnknownInPlanError."""
        return _required("project type", project_type_id, self.project_types)

    def find_project_type(self, project_type_id: str) -> ProjectType | None:
        """None when the plan has no such project type."""
        return _found(project_type_id, self.project_types)

    def recipient(self, recipient_id: str) -> Recipient:
        """Raises UnknownInPlanError."""
        return _required("recipient", recipient_id, self.recipients)

    def find_recipient(self, recipient_id: str) -> Recipient | None:
        """None when the plan has no such recipient."""
        return _found(recipient_id, self.recipients)

    def host(self, host_id: str) -> Host:
        """Raises UnknownInPlanError."""
        return _required("host", host_id, self.hosts)

    def find_host(self, host_id: str) -> Host | None:
        """None when the plan has no such host."""
        return _found(host_id, self.hosts)

    def contact(self, contact_id: str) -> Contact:
        """Raises UnknownInPlanError."""
        return _required("contact", contact_id, self.contacts)

    def hosts_of(self, level: LevelId) -> tuple[Host, ...]:
        """The hosts that may run projects of the level, in the plan's order."""
        return tuple(host for host in self.hosts if level in host.levels)

    def seats(self, line: str) -> int | None:
        """Seats of the line `gp1:410181`; None when the table has no such cell."""
        project_type, _, recipient = line.partition(":")
        return self.quotas.seats.get(recipient, {}).get(project_type)

    def quota(self, line: str) -> int:
        """Seats of a line that must exist. Raises UnknownInPlanError."""
        seats = self.seats(line)
        if seats is None:
            raise UnknownInPlanError("quota line", line, [each.key for each in self.lines()])
        return seats

    def lines(self) -> tuple[QuotaLine, ...]:
        """Every line of the quota table, by project type and then recipient, in the plan's order."""
        return tuple(
            QuotaLine(key=key, project_type=project_type.id, recipient=recipient.id, seats=seats)
            for project_type in self.project_types
            for recipient in self.recipients
            for key in (quota_line(project_type.id, recipient.id),)
            for seats in (self.seats(key),)
            if seats is not None
        )

    def selection_deadline(self, level: SelectionLevel) -> datetime:
        """The level's last instant of selection by the policy for days off, UTC."""
        deadline: Deadline = getattr(self.dates.selection, level)
        return off_holidays(deadline.at, self.seat_rules.deadline_on_holiday, self.rules.unpublished_calendar_year)

    def add_working_days(self, instant: datetime, working_days: int) -> datetime:
        """24:00 of the n-th working day after the day of `instant`, UTC.

        Raises CalendarNotPublishedError when a year is not published and the plan refuses to guess.
        """
        return add_working_days(instant, working_days, self.rules.unpublished_calendar_year)

    def basis(self, rule: str) -> Basis:
        """The source of a rule, by the name of its field in Rules. Raises UnknownInPlanError."""
        for entry in self.rules.basis:
            if entry.rule == rule:
                return entry
        raise UnknownInPlanError("rule", rule, [entry.rule for entry in self.rules.basis])

    def canonical(self) -> bytes:
        """The plan as JSON with sorted keys, UTF-8. `load_plan` reads it back to an equal plan."""
        data = self.model_dump(mode="json")
        for name in LATER_SECTIONS:
            if getattr(self, name) == type(self).model_fields[name].default:
                del data[name]
        return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        """Hex SHA-256 of `canonical()`: independent of comments, order of keys and layout of the YAML."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return hashlib.sha256(self.canonical()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A changed copy is another plan: it does not inherit the digest."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("_sha256", None)
        return copy


_Item = TypeVar("_Item", ProjectType, Recipient, Host, Contact)


def _found(key: str, items: tuple[_Item, ...]) -> _Item | None:
    return next((item for item in items if item.id == key), None)


def _required(kind: str, key: str, items: tuple[_Item, ...]) -> _Item:
    item = _found(key, items)
    if item is None:
        raise UnknownInPlanError(kind, key, [each.id for each in items])
    return item
