"""Attendance of a class by file: the units of a session that each trainee attended. What is blank stays unknown."""

import asyncio
from datetime import date
from typing import Annotated, Any, Final
from uuid import uuid5

from fastapi import Depends, Query, Response

from api.attendance import AttendanceRow
from api.attendance_recording import DayMarks, judge_day, read_day, record_day, resting_on_kept
from api.class_files import (
    MASKS,
    NAME_NAMES,
    TRAINEE_NAMES,
    Cells,
    ClassFileHere,
    ClassHere,
    members,
    not_a_time,
    receive_of_class,
    require_class,
    require_room,
    template,
)
from api.import_columns import RESULT, RESULT_NAMES, SUCCEEDED_MARK, Columns
from api.import_routes import (
    DOWNLOAD,
    FormatHere,
    add_reading_routes,
    download,
)
from api.import_work import YIELD_ROWS, Noun, require_plain, settled
from api.kept_imports import Import, Result
from api.operations import Away, OperationOut
from api.permissions import Caller
from api.problem_types import STILL_WORKING
from api.problems import Problem, documented, refused
from api.receipts import Day, parsed_row
from api.routing import router
from api.services import Allowed, Services, ServicesHere
from api.uploads import REQUEST_BODY, TimelyBody
from domain.attendance import REGISTERED, AttendanceDay, Mark, evolve
from domain.calendar import local_date
from domain.decision import Refusal
from spreadsheets.table import Headings
from spreadsheets.times import day_of

routes = router("/v1/attendance-imports", "attendance-imports")
COLUMNS: Final = Columns(
    Headings(
        {
            "trainee": TRAINEE_NAMES,
            "name": NAME_NAMES,
            "day": ("日期", "day", "date"),
            "session": ("时段", "场次", "session"),
            "units": ("出勤学时", "学时", "units", "hours attended"),
            "as_of": ("记录时间", "签到时间", "as of", "scanned at"),
            "source": ("来源", "source"),
            "evidence": ("证据", "依据", "evidence"),
            RESULT: RESULT_NAMES,
        },
        frozenset({"trainee", "day", "session", "units"}),
    ),
    MASKS,
)
SESSIONS: Final = {
    "上午": "morning",
    "下午": "afternoon",
    "晚上": "evening",
    "晚间": "evening",
    "夜间": "night",
    "morning": "morning",
    "afternoon": "afternoon",
    "evening": "evening",
    "night": "night",
}
SOURCES: Final = {
    "扫码": "scan",
    "承训单位": "host",
    "纸质": "paper",
    "scan": "scan",
    "host": "host",
    "paper": "paper",
}
SESSION_WORDS: Final = {code: word for word, code in reversed(SESSIONS.items()) if not word.isascii()}
RESULT_WORDS: Final = {
    "recorded": "已记录 recorded",
    "repeated": "已有相同记录 repeated",
    "older": "已有更晚的记录 older than what stands",
}


class AttendanceRows:
    """The rows of one import. A row without a time was seen when the file came in, or now if that was later."""

    def __init__(self, services: Services, the_import: Import) -> None:
        self._services, self._import = services, the_import
        self._days: dict[date, AttendanceDay | None] = {}
        """Days as they would stand after the rows that were judged so far."""

    @classmethod
    async def open(cls, services: Services, the_import: Import) -> "AttendanceRows":
        return cls(services, the_import)

    async def check(self, indexes: range) -> list[Result]:
        """What every row would come to now; nothing is changed."""
        return await self._run(indexes, is_sent=False)

    async def send(self, indexes: range) -> list[Result]:
        """Record some rows, a day at a time."""
        return await self._run(indexes, is_sent=True)

    async def _run(self, indexes: range, *, is_sent: bool) -> list[Result]:
        results: dict[int, Result] = {}
        by_day: dict[date, list[tuple[int, Mark]]] = {}
        now = await self._services.clock.now()
        for index in indexes:
            if index % YIELD_ROWS == 0:
                await asyncio.sleep(0)
            try:
                row = self._read(index)
            except Problem as problem:
                results[index] = settled(COLUMNS, self._import, index, problem)
                continue
            if row is None:
                results[index] = self._import.result(index, "nothing-to-record")
                continue
            fields = row.model_dump(exclude={"day", "as_of"})
            as_of = row.as_of or min(self._import.received_at, now)
            by_day.setdefault(row.day, []).append((index, Mark(as_of=as_of, **fields)))
        for day, marks in sorted(by_day.items()):
            wanted = await self._wanted(indexes, day, [mark for _, mark in marks])
            if is_sent and await resting_on_kept(self._services, wanted):
                # Temporal is away, and with it a registration that a mark rests on: the file waits as others do.
                raise Away(STILL_WORKING.slug)
            came_to = await record_day(self._services, wanted) if is_sent else await self._judged(wanted)
            for (index, mark), result in zip(marks, came_to, strict=True):
                results[index] = self._result(index, mark, result, is_sent=is_sent)
        return [results[index] for index in indexes]

    async def _wanted(self, indexes: range, day: date, marks: list[Mark]) -> DayMarks:
        once, number = self._import.once, self._import.about
        return DayMarks(
            number=number,
            training_class=(await self._services.cases.training_class(number, once.caller)).state,
            plan=await self._services.cases.plan_of("class", number),
            day=day,
            marks=marks,
            caller=once.caller,
            command_id=uuid5(once.command_id(indexes.start), day.isoformat()),
            digest=once.digest,
            correlation_id=once.correlation_id,
        )

    async def _judged(self, wanted: DayMarks) -> tuple[Any, ...]:
        if wanted.day not in self._days:
            self._days[wanted.day], _ = await read_day(self._services, wanted)
        state = self._days[wanted.day]
        marking = await judge_day(self._services, wanted, state)
        for event in marking.events:
            state = evolve(state, event)
        self._days[wanted.day] = state
        return marking.results

    def _result(self, index: int, mark: Mark, result: str | Refusal, *, is_sent: bool) -> Result:
        if isinstance(result, Refusal):
            return settled(COLUMNS, self._import, index, refused(result))
        if not is_sent:
            return self._import.result(index, "acceptable", number=mark.trainee)
        words = f"{SUCCEEDED_MARK} {RESULT_WORDS[result]}"
        return self._import.result(index, result, number=mark.trainee, mark=words)

    def _read(self, index: int) -> AttendanceRow | None:
        """The mark in a row, None when its units are left blank. Raises Problem."""
        require_plain(self._import, index)
        cells = Cells(self._import, index)
        if not cells.text("units"):
            return None
        raw = {
            "trainee": cells.trainee(),
            "day": day_of(cells.text("day")),
            "session": cells.choice("session", SESSIONS),
            "units": cells.whole("units", "学时"),
            "as_of": cells.moment("as_of"),
            "source": cells.choice("source", SOURCES) or "host",
            "evidence": cells.text("evidence"),
        }
        if raw["day"] is None:
            cells.faults.append(not_a_time("day"))
        cells.require_readable()
        return parsed_row(AttendanceRow, raw)


NOUN: Final = Noun(
    kind="attendance-import",
    words="attendance",
    scope="classes:write",
    roles=("host",),
    subject="class",
    columns=COLUMNS,
    open=AttendanceRows.open,
)


@routes.post(
    "",
    operation_id="import_attendance",
    summary="Mark attendance (签到, 考勤) by file",
    status_code=202,
    response_model=OperationOut,
    responses=documented(400, 404, 408, 409, 413, 415),
    dependencies=[TimelyBody, Depends(Allowed(NOUN.scope, NOUN.roles))],
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_attendance(sent: ClassFileHere) -> Response:
    """An XLSX or CSV file with a row for each trainee and session. The same file again is the same import.

    A row without units records nothing: unknown stays unknown, and is not absence (0).
    """
    return await receive_of_class(NOUN, sent)


@routes.get(
    "/template",
    operation_id="get_attendance_template",
    summary="Download the template for attendance",
    response_class=Response,
    responses={200: DOWNLOAD, **documented(404)},
)
async def get_attendance_template(
    caller: Annotated[Caller, Depends(Allowed(NOUN.scope, NOUN.roles))],
    services: ServicesHere,
    training_class: ClassHere,
    day: Annotated[Day | None, Query(description="Only this day of the timetable.")] = None,
    format: FormatHere = "xlsx",  # noqa: A002 - the parameter's name for callers
) -> Response:
    """A row for each session that has begun and each trainee who has arrived, with drop-downs."""
    await require_class(services, caller, training_class)
    state = (await services.cases.training_class(training_class, caller)).state
    today = local_date(await services.clock.now())
    held = [each for each in state.timetable if each.day <= today and day in (None, each.day)]
    present = await members(services, caller, training_class, tuple(REGISTERED))
    require_room(len(held) * len(present))
    rows = [
        {"trainee": number, "name": name, "day": each.day.isoformat(), "session": SESSION_WORDS[each.session]}
        for each in held
        for number, name in present
    ]
    most = max((each.units for each in held), default=0)
    choices = {
        "trainee": [number for number, _ in present],
        "day": sorted({each.day.isoformat() for each in held}),
        "session": [SESSION_WORDS[each] for each in dict.fromkeys(each.session for each in held)],
        "units": [str(units) for units in range(most + 1)],
        "source": ["扫码", "承训单位", "纸质"],
    }
    sheet = template(f"{training_class} 考勤", "考勤", COLUMNS.headings, rows, choices)
    return download(await services.sheets.write(format, sheet), format, f"attendance-{training_class}")


add_reading_routes(routes, NOUN)
