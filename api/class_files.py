"""What the files of a class have in common: how their cells are read, and their templates with the class's trainees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Response

from api import people, problem_types
from api.idempotency import Once, OnceHere
from api.import_columns import RESULT
from api.import_routes import DryRunHere, HiddenRowsHere, ModeHere, receive
from api.import_work import Noun
from api.kept_imports import Import, Options
from api.permissions import Caller
from api.problems import Problem
from api.receipts import ClassNumber
from api.services import Services, ServicesHere
from api.uploads import Upload
from api.validation import Fault
from domain.calendar import SHANGHAI
from domain.identity import mask_name
from projections import trainees as view
from spreadsheets.cells import narrow
from spreadsheets.table import Headings
from spreadsheets.times import moment_of
from spreadsheets.writing import Sheet

ClassHere = Annotated[ClassNumber, Query(description="The class's number.")]
TEMPLATE_HEADING_ROW: Final = 2
MAX_TEMPLATE_ROWS: Final = 20_000
PAGE_ROWS: Final = 500
REQUIRED: Final = "（必填）"

TRAINEE_NAMES: Final = ("学员编号", "编号", "trainee", "trainee number", "number")
NAME_NAMES: Final = ("姓名", "学员姓名", "name")
MASKS: Final = {"name": mask_name}
"""A name stands in the file for people to read; it is never read into a command."""


# --------------------------------------------------------------------------------------------------- receiving


@dataclass(frozen=True, slots=True)
class ClassFile:
    """A file that was sent for a class, and how it is meant."""

    services: Services
    once: Once
    upload: bytes
    options: Options


async def _sent(
    *,
    services: ServicesHere,
    once: OnceHere,
    upload: Upload,
    training_class: ClassHere,
    mode: ModeHere = "partial",
    dry_run: DryRunHere = False,
    hidden_rows: HiddenRowsHere = "refuse",
) -> ClassFile:
    return ClassFile(services, once, upload, Options(training_class, mode, dry_run, hidden_rows))


ClassFileHere = Annotated[ClassFile, Depends(_sent)]


async def receive_of_class(noun: Noun, sent: ClassFile) -> Response:
    """Take a file in and answer with its operation. Raises Problem `unknown-number` for somebody else's class."""
    services, once, options = sent.services, sent.once, sent.options
    return await receive(
        services, once, noun, sent.upload, options, lambda: require_class(services, once.caller, options.about)
    )


# ------------------------------------------------------------------------------------------------------- cells


class Cells:
    """The cells of one row by their columns. What cannot be read is a fault of its cell, all of them at once."""

    def __init__(self, the_import: Import, index: int) -> None:
        self._table, self._cells = the_import.table, the_import.cells(index)
        self.faults: list[Fault] = []

    def text(self, column: str) -> str:
        return self._table.cell(self._cells, column)

    def trainee(self) -> str:
        """The trainee's number; whoever chose `zz22-410181-00123 王**` meant the first part."""
        return narrow(self.text("trainee")).split(" ", 1)[0].lower()

    def choice(self, column: str, words: Mapping[str, str]) -> str | None:
        """What a word means, None for an empty cell. `words` has every word with its meaning."""
        text = narrow(self.text(column)).lower()
        if not text:
            return None
        meaning = words.get(text, words.get(text.split(" ", 1)[0]))
        if meaning is None:
            self.faults.append(_not_a_choice(column, words))
        return meaning

    def whole(self, column: str, unit: str = "") -> int | None:
        """A whole number, with `unit` behind it or not; None for an empty cell."""
        text = narrow(self.text(column)).removesuffix(unit).strip()
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= 4):
            self.faults.append(_not_whole(column))
            return None
        return int(text)

    def moment(self, column: str) -> datetime | None:
        """A moment, written in the campaign's time zone, as UTC; None for an empty cell."""
        text = self.text(column)
        if not text:
            return None
        moment = moment_of(text)
        if moment is None:
            self.faults.append(not_a_time(column))
            return None
        return moment.replace(tzinfo=SHANGHAI).astimezone(UTC)

    def require_readable(self) -> None:
        """Raises Problem with the faults so far."""
        if self.faults:
            raise Problem(problem_types.INVALID, *self.faults)


def _not_a_choice(column: str, words: Mapping[str, str]) -> Fault:
    names: dict[str, str] = {}
    for word, meaning in words.items():
        names.setdefault(meaning, word)
    return Fault(
        "not_a_choice",
        f"This is none of: {', '.join(names)}.",
        f"不在可选值内：{', '.join(names.values())}。",
        "Use one of them, or the list in the template.",
        "请使用其中之一，或模板中的下拉列表。",
        pointer=f"/{column}",
    )


def _not_whole(column: str) -> Fault:
    return Fault(
        "wrong_number",
        "This is no whole number.",
        "应为整数。",
        "Write digits only, for instance 4.",
        "请只填写数字，例如 4。",
        pointer=f"/{column}",
    )


def not_a_time(column: str) -> Fault:
    """A cell that says no day or time."""
    return Fault(
        "not_a_time",
        "This is no date or time.",
        "不是可识别的日期或时间。",
        "Write it like 2022-09-05 08:30, in a column that is formatted as text.",
        "请按 2022-09-05 08:30 填写，并将该列设为文本格式。",
        pointer=f"/{column}",
    )


# ------------------------------------------------------------------------------------------------------- template


async def require_class(services: Services, caller: Caller, number: str) -> None:
    """Raises Problem `unknown-number` unless the class is the caller's."""
    await services.cases.target("class", number, caller)


async def members(services: Services, caller: Caller, number: str, phases: Sequence[str]) -> list[tuple[str, str]]:
    """The class's trainees in `phases` by number, each with his masked name."""
    found: list[tuple[str, str]] = []
    after: str | None = ""
    wanted = view.TraineeFilter(training_class=number)
    while after is not None:
        page = await view.page(services.own_rows(caller), caller.actor, wanted, after, PAGE_ROWS)
        for each in page.items:
            if each.phase in phases:
                person = await people.show(services, each.person, name_is_clear=False)
                found.append((each.number, person.name or ""))
        after = page.next
    return found


def template(
    title: str, name: str, headings: Headings, rows: Sequence[Mapping[str, str]], choices: Mapping[str, Sequence[str]]
) -> Sheet:
    """A file to fill in: `rows` are what is known, by column; `choices` are the drop-downs."""
    columns = [each for each in headings.names if each != RESULT]
    heading = [headings.names[each][0] + (REQUIRED if each in headings.required else "") for each in columns]
    filled = [
        (place, [row.get(each, "") for each in columns])
        for place, row in enumerate(rows, start=TEMPLATE_HEADING_ROW + 1)
    ]
    lists: dict[int, list[str]] = {columns.index(each): list(values) for each, values in choices.items() if values}
    return Sheet(name, [(1, [title]), (TEMPLATE_HEADING_ROW, heading), *filled], TEMPLATE_HEADING_ROW, lists)


def require_room(rows: int) -> None:
    """Raises Problem when a template would have more rows than an import may."""
    if rows > MAX_TEMPLATE_ROWS:
        raise Problem(problem_types.EXPORT_TOO_LARGE, _TOO_MANY)


_TOO_MANY: Final[Any] = Fault(
    "template_too_large",
    f"The template would have more than {MAX_TEMPLATE_ROWS} rows.",
    f"模板超过 {MAX_TEMPLATE_ROWS} 行。",
    "Ask for one day at a time with `day`.",
    "请用 `day` 按天下载。",
)
