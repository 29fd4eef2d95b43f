"""Attendance is recorded without Temporal: no process waits in a day's stream, so a day's marks are one append.

Like every command it is named by its id, so that a repetition gets its first answer, and the expected version finds
out when somebody else was faster. Marks of other days and granted leaves are facts from the views.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID, uuid5

from pydantic import TypeAdapter

from api.permissions import Caller
from api.problems import Problem
from api.services import Services
from domain import attendance
from domain.attendance import AttendanceDay, Mark, Marking, Member, Result, Sheet, granted
from domain.decision import SYSTEM, Event, Refusal
from domain.numbers import attendance_number, stream_name
from domain.plan import Plan
from domain.training_class import TrainingClass
from ledger.types import Append, Appended, Duplicate, NewEvent, OutboxEntry, StreamWrite, VersionConflict
from projections import attendance as view
from workflows.messages import workflow_id

MAX_CONFLICTS: Final = 8
"""How often a day is judged anew because somebody else marked it first."""
TRAINEES_PER_NOTICE: Final = 100

Results = tuple[Result | Refusal, ...]
_RESULTS: Final[TypeAdapter[Results]] = TypeAdapter(Results)


@dataclass(frozen=True, slots=True)
class DayMarks:
    """The marks of one day of a class, under which command they came and from whom."""

    number: str
    training_class: TrainingClass
    plan: Plan
    day: date
    marks: Sequence[Mark]
    caller: Caller
    command_id: UUID
    digest: str
    correlation_id: str

    @property
    def stream(self) -> str:
        return stream_name("attendance", attendance_number(self.number, self.day))

    def but(self, places: Iterable[int]) -> "DayMarks":
        """The same without some of the marks, as a command of its own: its id follows from which are left out."""
        left_out = frozenset(places)
        marks = [mark for place, mark in enumerate(self.marks) if place not in left_out]
        id_ = uuid5(self.command_id, ",".join(map(str, sorted(left_out))))
        return replace(self, marks=marks, command_id=id_)


class KeepsChanging(RuntimeError):
    """A day's attendance changed at every attempt."""


async def record_day(services: Services, wanted: DayMarks) -> Results:
    """Judge and record the marks of one day; a result or a refusal for each, in their order."""
    stored = await services.ledger.find_command(wanted.command_id)
    if stored is not None:
        return _from_reply(stored.reply)
    members = await _members(services, wanted)
    for _ in range(MAX_CONFLICTS):
        state, version = await read_day(services, wanted)
        now = await services.clock.now()
        marking = _judged(wanted, state, members, now)
        if not marking.events:
            return marking.results
        result = await services.ledger.append(_append(wanted, marking, members, version, now))
        match result:
            case Appended():
                return marking.results
            case Duplicate():
                return _from_reply(result.reply)
            case VersionConflict():
                continue
            case _:
                raise AssertionError("a day's command has its own id and takes no claims")
    raise KeepsChanging(wanted.stream)


async def read_day(services: Services, wanted: DayMarks) -> tuple[AttendanceDay | None, int]:
    """The day as its stream stands, and the stream's version."""
    recorded = await services.ledger.read_stream(wanted.plan.id, wanted.stream)
    state = attendance.fold(attendance.EVENTS.read(each) for each in recorded)
    return state, recorded[-1].version if recorded else 0


async def resting_on_kept(services: Services, wanted: DayMarks) -> frozenset[int]:
    """The places of the marks that would be refused now, while a command is kept (`api/inbox.py`) that may change that:
    of a trainee whose registration waits, or of a class whose timetable does.
    """
    processes = {mark.trainee: workflow_id("trainee", mark.trainee) for mark in wanted.marks}
    its_class = workflow_id("class", wanted.number)
    kept = await services.inbox.kept_for([its_class, *processes.values()])
    if not kept:
        return frozenset()
    state, _ = await read_day(services, wanted)
    results = (await judge_day(services, wanted, state)).results
    return frozenset(
        place
        for place, (mark, result) in enumerate(zip(wanted.marks, results, strict=True))
        if isinstance(result, Refusal) and kept & {its_class, processes[mark.trainee]}
    )


async def judge_day(services: Services, wanted: DayMarks, state: AttendanceDay | None) -> Marking:
    """What would become of the marks if they were recorded on this state of the day. Nothing is."""
    return _judged(wanted, state, await _members(services, wanted), await services.clock.now())


def _judged(wanted: DayMarks, state: AttendanceDay | None, members: Mapping[str, Member], now: datetime) -> Marking:
    percent = wanted.plan.training_rules.attendance_percent or 0
    sheet = Sheet(wanted.number, wanted.training_class, wanted.day, members, percent, now)
    return attendance.mark(state, wanted.marks, sheet, by=str(wanted.caller.actor))


def _append(wanted: DayMarks, marking: Marking, members: Mapping[str, Member], version: int, now: datetime) -> Append:
    return Append(
        command_id=wanted.command_id,
        content_hash=hashlib.sha256(wanted.digest.encode()).digest(),
        actor=str(wanted.caller.actor),
        writes=(StreamWrite(wanted.plan.id, wanted.stream, version, tuple(_new(each) for each in marking.events)),),
        recorded_at=now,
        outbox=tuple(_notices(wanted, marking, members)),
        reply=_to_reply(marking.results),
        correlation_id=wanted.correlation_id or wanted.stream,
    )


def _new(event: Event) -> NewEvent:
    return NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)


# ------------------------------------------------------------------------------------------------------- members


async def _members(services: Services, wanted: DayMarks) -> dict[str, Member]:
    """Those of the named trainees who are in the class. Whom the view does not have yet is read from his stream."""
    numbers = sorted({each.trainee for each in wanted.marks})
    own = services.own_rows(wanted.caller)
    days = await view.days(own, wanted.number)
    warned = frozenset[str]().union(*(day.warned for day in days.values()))
    found = {
        row.number: Member(row.phase, row.county, row.school, row.leaves)
        for row in await view.members(own, SYSTEM, wanted.number, numbers=numbers)
    }
    for number in numbers:
        if number not in found or found[number].phase not in attendance.REGISTERED:
            live = await _live(services, wanted, number)
            if live is not None:
                found[number] = live
    marked: dict[str, dict[tuple[date, str], int]] = {number: {} for number in found}
    for day, sheet in days.items():
        for each in sheet.marks:
            if each.trainee in marked and day != wanted.day:
                marked[each.trainee][day, each.session] = each.units
    return {number: replace(member, marked=marked[number], warned=number in warned) for number, member in found.items()}


async def _live(services: Services, wanted: DayMarks, number: str) -> Member | None:
    try:
        found = await services.cases.trainee(number, wanted.caller)
    except Problem:
        return None
    state = found.state
    if state.training_class != wanted.number:
        return None
    return Member(state.phase, state.county, state.school, granted(state.leaves, state.leave_days))


# ------------------------------------------------------------------------------------------------------- notices


def _notices(wanted: DayMarks, marking: Marking, members: Mapping[str, Member]) -> Iterable[OutboxEntry]:
    """The host decides and the county suffers: both see it (edge case 31), and the school that sent the teacher."""
    both = {attendance.AttendanceCorrected.type: marking.corrected, attendance.PassingImpossible.type: marking.warned}
    for type_, trainees in both.items():
        if not trainees:
            continue
        for whose in (lambda each: members[each].county, lambda each: members[each].school):
            yield from _grouped(wanted, type_, trainees, whose)
        yield from _grouped(wanted, type_, trainees, lambda _: wanted.training_class.host)
        if wanted.training_class.phase == "reported":
            yield from _grouped(wanted, type_, trainees, lambda _: wanted.plan.bureau)


def _grouped(
    wanted: DayMarks, type_: str, trainees: Sequence[str], whose: Callable[[str], str]
) -> Iterable[OutboxEntry]:
    groups: dict[str, list[str]] = {}
    for each in trainees:
        groups.setdefault(whose(each), []).append(each)
    for recipient, numbers in groups.items():
        for start in range(0, len(numbers), TRAINEES_PER_NOTICE):
            data = {
                "training_class": wanted.number,
                "day": wanted.day.isoformat(),
                "trainees": numbers[start : start + TRAINEES_PER_NOTICE],
            }
            yield OutboxEntry(recipient, type_, {"data": data, "person": None, "campaign": wanted.plan.id}, "")


# --------------------------------------------------------------------------------------------------------- reply


def _to_reply(results: Results) -> bytes:
    return _RESULTS.dump_json(results)


def _from_reply(reply: bytes) -> Results:
    return _RESULTS.validate_json(reply)
