"""The two bulletins 通报 of a campaign (N9): what counties sent and what hosts made of it, by organisation only.

Everything is an integer count of people or seats; rates are formed when they are read, so an issued row can be
checked by hand. Every row says by which formulas it was counted; nobody is ever counted twice (edge case 20).
FORMULAS_VERSION 1:

    选送率 = selected ÷ assigned.          selected: approved by the city, less those who later withdrew, declined,
                                          lapsed unconfirmed or were rejected: their seat went back, so the county
                                          did not fill it. They stay visible as `withdrawn`. A seat counts once,
                                          hence the rate never exceeds 100 %.
    选送率 (调整后) = selected ÷ adjusted.  adjusted: the seats after reallocation (edge case 2).
    报到率 = registered ÷ confirmed.       confirmed: seats confirmed and not given back before the class. Whoever
                                          arrived without having confirmed has confirmed by coming.
    报到率 (不含请假) = registered ÷ (confirmed − excused), beside the one above (edge case 50).
    结业率 = completed ÷ registered.

FORMULAS_VERSION 2 leaves those as they are and adds:

    选送质量 = completed ÷ confirmed, and beside it completed ÷ (confirmed − excused): of those whom a county was to
                                      send, how many the training was worth while for.
    实施情况 = duties kept ÷ duties due. A class has three: announced before its first day, check-in list confirmed,
                                      outcomes reported before they were overdue.
    评级     = A, B or C by the plan's thresholds on 报到率 (不含请假), 结业率 and 实施情况; "unrated" for a host with
                                      nothing to rate, or fewer people than may be published.
    A class that was cancelled counts nowhere (edge case 22): whoever was in it is selected, and counts as enrolled,
                                      confirmed and registered by another class only.

A county's cases are those that it nominated, a host's those that the city assigned to it; neither moves with a
person's later transfer (edge case 13).
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from domain.decision import Event, Message
from domain.plan_outcomes import OutcomeRules
from domain.trainee_class_messages import PlaceLost
from domain.trainee_correction_messages import OutcomeCorrected
from domain.trainee_messages import (
    AbsenceExcused,
    AttendanceConfirmed,
    AttendanceDeclined,
    NominationApproved,
    NominationRejected,
    NominationWithdrawn,
    NoShowRecorded,
    TraineeEnrolled,
    TraineeNominated,
    TraineeRegistered,
)
from domain.trainee_outcome_messages import TraineeDismissed, TrainingCompleted, TrainingNotCompleted

FORMULAS_VERSION = 2
SMALL_CELL = 3
"""A published cell about fewer people than this is suppressed (edge case 49)."""

NOTHING = "—"
SUPPRESSED = "*"
"""Stands for a suppressed cell, small itself or hidden because a small one could be worked out from it."""

Rating = Literal["A", "B", "C", "unrated"]
BulletinKind = Literal["counties", "hosts"]
Tally = Annotated[int, Field(strict=True, ge=0)]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with both its parts. As text: a percentage with one decimal, rounded half up, "—" of nothing."""

    numerator: int
    denominator: int

    def __str__(self) -> str:
        if self.denominator == 0:
            return NOTHING
        # Whole numbers only: the same two counts give the same text on every machine.
        tenths = (2_000 * self.numerator + self.denominator) // (2 * self.denominator)
        return f"{tenths // 10}.{tenths % 10}%"

    @property
    def fraction(self) -> str:
        """`27/30`: what the percentage was formed from."""
        return f"{self.numerator}/{self.denominator}"


class BulletinRow(Message):
    """One organisation's figures in one campaign. Counts of people, except `assigned` and `adjusted`: seats.

    A host has no seats of its own, so its `assigned` and `adjusted` are 0. `absent` are those whose absence is not
    excused (yet); `excused` are not among them. `formulas` says by which formulas the counts were made; a row
    that does not say it is of the first.
    """

    organisation: str
    formulas: int = 1
    assigned: Tally = 0
    adjusted: Tally = 0
    nominated: Tally = 0
    selected: Tally = 0
    withdrawn: Tally = 0
    enrolled: Tally = 0
    confirmed: Tally = 0
    registered: Tally = 0
    excused: Tally = 0
    absent: Tally = 0
    completed: Tally = 0
    dismissed: Tally = 0
    not_completed: Tally = 0
    duties: Tally = 0
    duties_kept: Tally = 0
    rating: str = ""

    @property
    def selection_rate(self) -> Rate:
        """选送率 of the seats first assigned."""
        return Rate(self.selected, self.assigned)

    @property
    def adjusted_selection_rate(self) -> Rate:
        """选送率 of the seats after reallocation."""
        return Rate(self.selected, self.adjusted)

    @property
    def registration_rate(self) -> Rate:
        """报到率, the excused among those who should have come."""
        return Rate(self.registered, self.confirmed)

    @property
    def registration_rate_without_excused(self) -> Rate:
        """报到率, the excused left out."""
        return Rate(self.registered, self.confirmed - self.excused)

    @property
    def completion_rate(self) -> Rate:
        """结业率."""
        return Rate(self.completed, self.registered)

    @property
    def quality_rate(self) -> Rate:
        """选送质量, the excused among those who should have come."""
        return Rate(self.completed, self.confirmed)

    @property
    def quality_rate_without_excused(self) -> Rate:
        """选送质量, the excused left out."""
        return Rate(self.completed, self.confirmed - self.excused)

    @property
    def implementation_rate(self) -> Rate:
        """实施情况 of a host's classes."""
        return Rate(self.duties_kept, self.duties)


@dataclass(frozen=True, slots=True)
class HostDuties:
    """What a host owed its classes so far, and what of it was done in time."""

    organisation: str
    due: int
    kept: int


@dataclass(frozen=True, slots=True)
class AssignedSeats:
    """Seats of one quota line: as first issued to `organisation`, and as they stand after reallocation."""

    organisation: str
    original: int
    adjusted: int


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """What has ever happened to one nomination, as far as a bulletin counts it.

    `host` is empty until the city assigned one. `given_up`: withdrawn, declined, lapsed or rejected. `completed`
    stays true through the follow-up task and after the case is closed.
    """

    county: str
    host: str = ""
    selected: bool = False
    given_up: bool = False
    enrolled: bool = False
    confirmed: bool = False
    registered: bool = False
    no_show: bool = False
    excused: bool = False
    completed: bool = False
    dismissed: bool = False
    not_completed: bool = False


def case_record(events: Iterable[Event]) -> CaseRecord | None:
    """The record of one case from its events alone, None before the first."""
    record: CaseRecord | None = None
    for event in events:
        record = _recorded(record, event)
    return record


_FLAGS: dict[type[Event], str] = {
    NominationRejected: "given_up",
    NominationWithdrawn: "given_up",
    AttendanceDeclined: "given_up",
    AttendanceConfirmed: "confirmed",
    TraineeRegistered: "registered",
    NoShowRecorded: "no_show",
    AbsenceExcused: "excused",
    TrainingCompleted: "completed",
    TraineeDismissed: "dismissed",
    TrainingNotCompleted: "not_completed",
}


def _recorded(record: CaseRecord | None, event: Event) -> CaseRecord | None:
    if isinstance(event, TraineeNominated):
        return CaseRecord(county=event.county)
    assert record is not None, f"{event.type} before the nomination"
    match event:
        case NominationApproved(level="city"):
            return replace(record, selected=True, host=event.host)
        case TraineeEnrolled():
            return replace(record, enrolled=True, host=event.host)
        case PlaceLost():
            return replace(record, enrolled=False, confirmed=False, registered=False)
        case OutcomeCorrected():
            return _corrected(record, event)
    flag = _FLAGS.get(type(event))
    changes: dict[str, bool] = {flag: True} if flag else {}
    return replace(record, **changes)  # type: ignore[arg-type] # every flag is a boolean field


def _corrected(record: CaseRecord, event: OutcomeCorrected) -> CaseRecord:
    """The case without the outcome that was wrong; what it becomes is said by the events that follow."""
    record = replace(record, completed=False, dismissed=False, not_completed=False, excused=False)
    if event.becomes in ("in-training", "completed", "not-completed"):
        # Whoever has an outcome of the training had come to it.
        record = replace(record, no_show=False, registered=True)
    return record


def county_rows(seats: Iterable[AssignedSeats], cases: Iterable[CaseRecord]) -> tuple[BulletinRow, ...]:
    """One row for every organisation that was given seats or nominated somebody, in the order of their ids."""
    original: dict[str, int] = {}
    adjusted: dict[str, int] = {}
    for line in seats:
        original[line.organisation] = original.get(line.organisation, 0) + line.original
        adjusted[line.organisation] = adjusted.get(line.organisation, 0) + line.adjusted
    by_county: dict[str, list[CaseRecord]] = {organisation: [] for organisation in original}
    for case in cases:
        by_county.setdefault(case.county, []).append(case)
    return tuple(
        _row(organisation, own, original.get(organisation, 0), adjusted.get(organisation, 0))
        for organisation, own in sorted(by_county.items())
    )


def host_rows(cases: Iterable[CaseRecord], duties: Iterable[HostDuties] = ()) -> tuple[BulletinRow, ...]:
    """One row for every host that the city assigned somebody to, in the order of their ids."""
    by_organisation = {each.organisation: each for each in duties}
    by_host: dict[str, list[CaseRecord]] = {}
    for case in cases:
        if case.host:
            by_host.setdefault(case.host, []).append(case)
    return tuple(
        _row(organisation, own, 0, 0, by_organisation.get(organisation))
        for organisation, own in sorted(by_host.items())
    )


def rated(rows: Iterable[BulletinRow], rules: OutcomeRules) -> tuple[BulletinRow, ...]:
    """The hosts' rows with their rating by the plan's rule (承训单位动态管理)."""
    return tuple(row.model_copy(update={"rating": rating_of(row, rules)}) for row in rows)


def rating_of(row: BulletinRow, rules: OutcomeRules) -> Rating:
    """A or B when every rate reaches the threshold, C when one does not, unrated when there is too little to rate."""
    rates = (row.registration_rate_without_excused, row.completion_rate, row.implementation_rate)
    if any(rate.denominator == 0 for rate in rates) or row.registered < SMALL_CELL:
        return "unrated"
    grades: tuple[tuple[Rating, int], ...] = (("A", rules.rating_a_percent), ("B", rules.rating_b_percent))
    for rating, percent in grades:
        if all(100 * rate.numerator >= percent * rate.denominator for rate in rates):
            return rating
    return "C"


def _row(
    organisation: str, cases: list[CaseRecord], assigned: int, adjusted: int, duties: HostDuties | None = None
) -> BulletinRow:
    return BulletinRow(
        organisation=organisation,
        formulas=FORMULAS_VERSION,
        assigned=assigned,
        adjusted=adjusted,
        nominated=len(cases),
        selected=sum(case.selected and not case.given_up for case in cases),
        withdrawn=sum(case.selected and case.given_up for case in cases),
        enrolled=sum(case.enrolled for case in cases),
        confirmed=sum((case.confirmed or case.registered) and not case.given_up for case in cases),
        registered=sum(case.registered for case in cases),
        excused=sum(case.excused for case in cases),
        absent=sum(case.no_show and not case.excused for case in cases),
        completed=sum(case.completed for case in cases),
        dismissed=sum(case.dismissed for case in cases),
        not_completed=sum(case.not_completed for case in cases),
        duties=duties.due if duties else 0,
        duties_kept=duties.kept if duties else 0,
    )


# ------------------------------------------------------------------------------------------- the published form


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a published bulletin."""

    key: str
    zh: str
    en: str


_COMMON = (
    Column("confirmed", "确认参训", "confirmed"),
    Column("registered", "报到", "registered"),
    Column("excused", "请假", "excused"),
    Column("absent", "缺席", "absent"),
    Column("completed", "结业", "completed"),
    Column("dismissed", "劝退", "dismissed"),
    Column("not_completed", "未结业", "not completed"),
    Column("registration_rate", "报到率", "registration rate"),
    Column("registration_rate_without_excused", "报到率(不含请假)", "registration rate, excused left out"),
    Column("completion_rate", "结业率", "completion rate"),
)
COLUMNS: dict[BulletinKind, tuple[Column, ...]] = {
    "counties": (
        Column("organisation", "单位", "organisation"),
        Column("assigned", "下达名额", "seats assigned"),
        Column("adjusted", "调整后名额", "seats after reallocation"),
        Column("nominated", "提名", "nominated"),
        Column("selected", "选送", "selected"),
        Column("withdrawn", "选送后退出", "withdrawn after selection"),
        Column("selection_rate", "选送率", "selection rate"),
        Column("adjusted_selection_rate", "选送率(调整后)", "selection rate after reallocation"),
        *_COMMON,
        Column("quality_rate", "选送质量", "quality of selection"),
        Column("quality_rate_without_excused", "选送质量(不含请假)", "quality of selection, excused left out"),
    ),
    "hosts": (
        Column("organisation", "单位", "organisation"),
        Column("selected", "分配", "assigned trainees"),
        Column("withdrawn", "分配后退出", "withdrawn after assignment"),
        Column("enrolled", "编班", "enrolled"),
        *_COMMON,
        Column("implementation_rate", "实施情况", "implementation"),
        Column("rating", "评级", "rating"),
    ),
}
_PLAIN = frozenset({"assigned", "adjusted"})
_NOT_OF_PEOPLE = frozenset({"implementation_rate"})
_HIDDEN_TOGETHER = (("excused", "absent"), ("dismissed", "not_completed"))


def published(kind: BulletinKind, row: BulletinRow) -> tuple[str, ...]:
    """The cells of `COLUMNS[kind]` as they may be published.

    A count of 1 or 2 people is "*"; a rate says its parts (`90.0% (27/30)`) and is "*" when it speaks of 1 or 2
    people. Grounds that add up to a difference anybody can take (confirmed − registered, registered − completed)
    are hidden together, or one would give the other away, and so is the rate that leaves the excused out. The
    differences themselves stay visible: they are the rates that the notice asks for.
    """
    hidden = _hidden(row)
    return tuple(_cell(column.key, row, hidden) for column in COLUMNS[kind])


def _hidden(row: BulletinRow) -> frozenset[str]:
    hidden: set[str] = set()
    for group in _HIDDEN_TOGETHER:
        if any(_small(getattr(row, key)) for key in group):
            hidden.update(group)
    if "excused" in hidden:
        hidden |= {"registration_rate_without_excused", "quality_rate_without_excused"}
    return frozenset(hidden)


def _cell(key: str, row: BulletinRow, hidden: frozenset[str]) -> str:
    value: str | int | Rate = getattr(row, key)
    if isinstance(value, str):
        return value
    if key in hidden:
        return SUPPRESSED
    if isinstance(value, Rate):
        if value.denominator == 0:
            return NOTHING
        if key in _NOT_OF_PEOPLE:
            return f"{value} ({value.fraction})"
        speaks_of_seats = key in ("selection_rate", "adjusted_selection_rate")
        people = value.numerator if speaks_of_seats else value.denominator
        return SUPPRESSED if _small(people) else f"{value} ({value.fraction})"
    return SUPPRESSED if _small(value) and key not in _PLAIN else str(value)


def _small(people: int) -> bool:
    return 0 < people < SMALL_CELL


# ------------------------------------------------------------------------------------------------- the digest


_SINCE_FORMULAS_2 = {"duties", "duties_kept", "rating"}
"""What a row that was counted by the first formulas does not have: its digest stays what it was."""


def canonical(counties: Iterable[BulletinRow], hosts: Iterable[BulletinRow]) -> bytes:
    """Both bulletins as JSON with sorted keys and rows in the order of their ids, UTF-8.

    Only organisations and figures are in it: no time, no run, no number of a case. Equal figures give equal bytes.
    """
    document = {"counties": _plain(counties), "hosts": _plain(hosts)}
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def bulletins_sha256(counties: Iterable[BulletinRow], hosts: Iterable[BulletinRow]) -> str:
    """Hex SHA-256 of `canonical`."""
    return hashlib.sha256(canonical(counties, hosts)).hexdigest()


def _plain(rows: Iterable[BulletinRow]) -> list[dict[str, object]]:
    return [
        row.model_dump(exclude=_SINCE_FORMULAS_2 if row.formulas == 1 else None)
        for row in sorted(rows, key=lambda row: row.organisation)
    ]
