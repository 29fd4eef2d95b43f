"""Attendance of a class: marks for one or hundreds, with a result per row, and what they add up to."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import uuid5

from fastapi import Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api import problem_types
from api.attendance_recording import DayMarks, record_day, resting_on_kept
from api.idempotency import Answer, Once, OnceHere
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import RETRY_AFTER_S, Problem, ProblemDocument, documented, not_found, refused
from api.receipts import ClassNumber, Day, Instant, Rows, TraineeNumber, parsed_row
from api.routing import router
from api.services import Allowed, Services, ServicesHere, allowed
from api.validation import Fault
from domain.attendance import Mark, Source, Tally, tally
from domain.bulletin import Rate
from domain.calendar import local_date
from domain.training_class import TrainingClass
from domain.training_class_messages import SessionName, Units
from projections import attendance as view
from projections import classes

routes = router("/v1/classes", "classes")
Reader = Annotated[Caller, allowed("classes:read")]
NumberInPath = Annotated[ClassNumber, Path(description="The class's number.")]
SUCCESS: Final = 200


class AttendanceRow(BaseModel):
    """How many units of a session a trainee attended, as of a moment (now, if it is left out).

    A later observation replaces an earlier one; an earlier one that arrives late changes nothing. Once the class is
    over every mark needs `evidence`, a reference to the paper list or the scanner's record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainee: TraineeNumber
    day: Day
    session: SessionName
    units: Units
    as_of: Instant | None = None
    source: Source = "host"
    evidence: Annotated[str, Field(max_length=2_000)] = ""


class AttendanceRowResult(BaseModel):
    """One row: `recorded`, `repeated` (it was there), `older` (a newer observation stands), or a problem."""

    index: int = Field(description="The row's place in `items`, from 0.")
    status: int
    trainee: str | None = None
    result: Literal["recorded", "repeated", "older"] | None = None
    problem: ProblemDocument | None = None


class AttendanceResults(BaseModel):
    """A result for every row, in the order of the rows."""

    items: list[AttendanceRowResult]
    succeeded: int
    failed: int


class MarkOut(BaseModel):
    """A mark that stands."""

    day: date
    session: str
    units: int
    as_of: datetime
    source: str
    evidence: str


class AttendanceOut(BaseModel):
    """A trainee's units (学时): held so far, attended, missed with and without leave, unknown, and still to come.

    `rate` is attended ÷ held units that count (those missed with leave do not). `can_pass` says whether the share that
    the plan asks for can still be reached, null when it asks for none.
    """

    trainee: str
    phase: str
    held: int
    attended: int
    authorised: int
    unauthorised: int
    unknown: int
    to_come: int
    rate: str
    can_pass: bool | None
    marks: list[MarkOut]


@routes.post(
    "/{number}/attendance",
    operation_id="mark_attendance_of_class",
    summary="Mark attendance (签到, 考勤)",
    status_code=207,
    response_model=AttendanceResults,
    responses=documented(400, 404, 409, 413, 415),
    dependencies=[Depends(Allowed("classes:write", ("host",)))],
)
async def mark_attendance_of_class(
    number: NumberInPath, services: ServicesHere, once: OnceHere, body: Rows[AttendanceRow]
) -> Response:
    """One row or hundreds; a result per row. Sending the same rows again changes nothing.

    Marks are recorded also while a part of the system is away. Only a row that rests on a command that is kept (202),
    such as the trainee's registration, is answered 503: send the request again, with the same key, when that is done.
    """

    async def run() -> Answer:
        found = await services.cases.training_class(number, once.caller)
        return await _mark(services, once, number, found.state, body.items)

    return await once.answer(run)


async def _mark(services: Services, once: Once, number: str, training_class: TrainingClass, items: list[Any]) -> Answer:
    results: dict[int, AttendanceRowResult] = {}
    by_day: dict[date, list[tuple[int, Mark]]] = {}
    now = await services.clock.now()
    for index, raw in enumerate(items):
        try:
            row = parsed_row(AttendanceRow, raw)
        except Problem as problem:
            results[index] = _failed(services, once, index, problem)
            continue
        fields = row.model_dump(exclude={"day", "as_of"})
        by_day.setdefault(row.day, []).append((index, Mark(as_of=row.as_of or now, **fields)))
    plan = await services.cases.plan_of("class", number)
    for day, marks in sorted(by_day.items()):
        wanted = DayMarks(
            number=number,
            training_class=training_class,
            plan=plan,
            day=day,
            marks=[mark for _, mark in marks],
            caller=once.caller,
            command_id=uuid5(once.command_id(), day.isoformat()),
            digest=once.digest,
            correlation_id=once.correlation_id,
        )
        results |= await _day_recorded(services, once, wanted, [index for index, _ in marks])
    rows = [results[index] for index in range(len(items))]
    failed = sum(row.problem is not None for row in rows)
    body = AttendanceResults(items=rows, succeeded=len(rows) - failed, failed=failed)
    # A row that rests on a kept command is tried again by a repetition; the others answer that they were repeated.
    is_final = all(row.status < 500 for row in rows)
    return Answer(body.model_dump(mode="json", exclude_none=True), 207, is_final=is_final)


async def _day_recorded(
    services: Services, once: Once, wanted: DayMarks, indexes: list[int]
) -> dict[int, AttendanceRowResult]:
    """What the marks of a day have come to, by their rows, which stand at `indexes`."""
    results: dict[int, AttendanceRowResult] = {}
    resting = await resting_on_kept(services, wanted)
    for place in resting:
        trainee = wanted.marks[place].trainee
        results[indexes[place]] = _failed(services, once, indexes[place], _resting(), trainee)
    ready = wanted.but(resting) if resting else wanted
    left = [index for place, index in enumerate(indexes) if place not in resting]
    for index, mark, result in zip(left, ready.marks, await record_day(services, ready), strict=True):
        if isinstance(result, str):
            results[index] = AttendanceRowResult(index=index, status=SUCCESS, trainee=mark.trainee, result=result)
        else:
            results[index] = _failed(services, once, index, refused(result), mark.trainee)
    return results


def _resting() -> Problem:
    return Problem(problem_types.STILL_WORKING, _RESTS_ON_KEPT, headers={"Retry-After": str(RETRY_AFTER_S)})


def _failed(
    services: Services, once: Once, index: int, problem: Problem, trainee: str | None = None
) -> AttendanceRowResult:
    document = problem.document(services.settings.public_url, once.correlation_id, f"/items/{index}")
    return AttendanceRowResult.model_validate(
        {"index": index, "status": document["status"], "trainee": trainee, "problem": document}
    )


@routes.get(
    "/{number}/attendance",
    operation_id="list_attendance_of_class",
    summary="Read attendance",
    responses=documented(404),
)
async def list_attendance_of_class(
    number: NumberInPath, caller: Reader, services: ServicesHere, window: WindowHere
) -> Page[AttendanceOut]:
    """The class's trainees by number: all for its host and the bureau, their own for a county and a school."""
    own_rows = services.own_rows(caller)
    if caller.role in ("county", "school") and await classes.get(own_rows, caller.actor, number) is None:
        raise not_found("class", number)
    found = await services.cases.training_class(number, caller)
    plan = await services.cases.plan_of("class", number)
    members = await view.members(own_rows, caller.actor, number, after=window.after, limit=window.limit + 1)
    days = await view.days(own_rows, number)
    today = local_date(await services.clock.now())
    percent = plan.training_rules.attendance_percent
    own: dict[str, list[tuple[date, Mark]]] = {each.number: [] for each in members[: window.limit]}
    for day, sheet in days.items():
        for mark in sheet.marks:
            if mark.trainee in own:
                own[mark.trainee].append((day, mark))
    items = [_shown(each, found.state, own[each.number], today, percent) for each in members[: window.limit]]
    more = items[-1].trainee if len(members) > window.limit else None
    return Page(items=items, next=next_cursor(more))


def _shown(
    member: view.MemberRow,
    training_class: TrainingClass,
    own: list[tuple[date, Mark]],
    today: date,
    percent: int | None,
) -> AttendanceOut:
    marked: dict[tuple[date, str], int] = {(day, mark.session): mark.units for day, mark in own}
    total: Tally = tally(training_class.timetable, marked, member.leaves, today)
    return AttendanceOut(
        trainee=member.number,
        phase=member.phase,
        held=total.held,
        attended=total.attended,
        authorised=total.authorised,
        unauthorised=total.unauthorised,
        unknown=total.unknown,
        to_come=total.to_come,
        rate=str(Rate(total.attended, total.counted)),
        can_pass=None if percent is None else total.can_pass(percent),
        marks=[MarkOut(day=day, **mark.model_dump(exclude={"trainee"})) for day, mark in own],
    )


_RESTS_ON_KEPT: Final = Fault(
    "earlier_commands_wait",
    "A command for this trainee or class is kept and not carried out yet; the mark rests on it.",
    "有关该学员或班级的先前命令仍在等待执行，本条考勤以其为前提。",
    "Repeat the request with the same Idempotency-Key when that command's operation is done.",
    "请待该命令执行后用同一 Idempotency-Key 重发。",
    pointer="/trainee",
)
