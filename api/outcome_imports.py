"""Outcomes of a class by file: 结业 with days and hours, 未结业 with reasons, 劝退 with its reason and evidence."""

from typing import Annotated, Any, Final

from fastapi import Depends, Response

from api.class_files import (
    MASKS,
    NAME_NAMES,
    TRAINEE_NAMES,
    Cells,
    ClassFileHere,
    ClassHere,
    members,
    receive_of_class,
    require_class,
    template,
)
from api.class_rows import CommandRows, Wanted
from api.classes import OUTCOMES, OutcomeRow
from api.import_columns import RESULT, RESULT_NAMES, Columns
from api.import_routes import (
    DOWNLOAD,
    FormatHere,
    add_reading_routes,
    download,
)
from api.import_work import Noun
from api.operations import OperationOut
from api.permissions import Caller
from api.problems import documented
from api.receipts import parsed_row
from api.routing import router
from api.services import Allowed, ServicesHere, step
from api.uploads import REQUEST_BODY, TimelyBody
from api.validation import Fault
from domain.attendance import granted, tally
from domain.trainee_context import Facts
from domain.trainee_outcome_messages import Complete
from domain.trainee_state import Trainee
from projections import attendance as marks
from spreadsheets.cells import narrow
from spreadsheets.table import Headings

routes = router("/v1/outcome-imports", "outcome-imports")
COLUMNS: Final = Columns(
    Headings(
        {
            "trainee": TRAINEE_NAMES,
            "name": NAME_NAMES,
            "outcome": ("结果", "培训结果", "结业情况", "outcome"),
            "centralised_days": ("集中培训天数", "集中天数", "centralised days"),
            "online_days": ("线上培训天数", "线上天数", "online days"),
            "hours": ("学时", "总学时", "hours"),
            "grade": ("等第", "成绩", "等级", "grade"),
            "reason": ("原因", "未结业原因", "劝退原因", "reason", "reasons"),
            "evidence": ("证据", "依据", "evidence"),
            RESULT: RESULT_NAMES,
        },
        frozenset({"trainee", "outcome"}),
    ),
    MASKS,
    {"/reasons": "reason"},
)
WORDS: Final = {
    "结业": "complete",
    "完成": "complete",
    "complete": "complete",
    "completed": "complete",
    "未结业": "fail",
    "未完成": "fail",
    "不合格": "fail",
    "fail": "fail",
    "not-completed": "fail",
    "劝退": "dismiss",
    "dismiss": "dismiss",
    "dismissed": "dismiss",
}
GRADES: Final = {
    "优秀": "excellent",
    "良好": "good",
    "合格": "pass",
    "excellent": "excellent",
    "good": "good",
    "pass": "pass",
}
REASONS: Final = {
    "天数不足": "days_short",
    "考核不合格": "assessment_failed",
    "任务未完成": "tasks_missing",
    "违反纪律": "discipline",
    "擅自缺勤": "absent_without_leave",
}
"""Words for usual reasons; another one is written as its code."""
SEPARATORS: Final = ",;、，；/"
PHASES: Final = ("in-training",)


class OutcomeRows(CommandRows):
    status = "recorded"
    columns = COLUMNS

    def read(self, index: int) -> Wanted | None:
        """A trainee without an outcome stays one."""
        cells = Cells(self.file, index)
        outcome = cells.choice("outcome", WORDS)
        fields: dict[str, Any] = {
            "trainee": cells.trainee(),
            "centralised_days": cells.whole("centralised_days", "天"),
            "online_days": cells.whole("online_days", "天"),
            "hours": cells.whole("hours", "学时"),
            "grade": cells.choice("grade", GRADES),
            "evidence": cells.text("evidence") or None,
        }
        reasons = _codes(cells.text("reason"))
        if outcome == "dismiss" and len(reasons) > 1:
            cells.faults.append(_ONE_REASON)
        cells.require_readable()
        if outcome is None:
            return None
        fields |= {"reason": reasons[0] if reasons else None} if outcome == "dismiss" else {"reasons": reasons or None}
        row = parsed_row(OutcomeRow, fields | {"outcome": outcome})
        # As in a request: the command's own checks name what is missing and what does not belong to this outcome.
        body = row.model_dump(exclude={"trainee", "outcome"}, exclude_none=True)
        return Wanted(index, row.trainee, parsed_row(OUTCOMES[outcome], body), f"{row.trainee} {outcome}")

    async def facts(self, wanted: Wanted, state: Trainee) -> Facts:
        """Where the plan asks for attendance, what the marks add up to once the class is over."""
        if not isinstance(wanted.command, Complete) or self.plan.training_rules.attendance_percent is None:
            return Facts(self.plan)
        found = await self.services.cases.training_class(self.file.about, self.file.once.caller)
        marked = await marks.marked(self.services.own_rows(self.file.once.caller), self.file.about, wanted.trainee)
        leaves = granted(state.leaves, state.leave_days)
        total = tally(found.state.timetable, marked, leaves, today=found.state.ends)
        return Facts(self.plan, training_class=found.state, attendance=total)


def _codes(text: str) -> list[str]:
    """The reasons of a cell, by their words or codes."""
    plain = narrow(text)
    for separator in SEPARATORS:
        plain = plain.replace(separator, " ")
    return [REASONS.get(each, each.lower()) for each in plain.split()]


_ONE_REASON: Final = Fault(
    "one_reason",
    "A dismissal has one reason.",
    "劝退只能填写一个原因。",
    "Write the one that decided; the others belong to the evidence.",
    "请填写决定性的原因，其余写入证据。",
    pointer="/reason",
)
NOUN: Final = Noun(
    kind="outcome-import",
    words="outcomes",
    scope="trainees:write",
    roles=("host",),
    subject="class",
    columns=COLUMNS,
    open=OutcomeRows.open,
)


@routes.post(
    "",
    operation_id="import_outcomes",
    summary="Record outcomes (结业, 未结业, 劝退) by file",
    status_code=202,
    response_model=OperationOut,
    responses=documented(400, 404, 408, 409, 413, 415),
    dependencies=[TimelyBody, step(NOUN.scope, "trainee", Complete.name)],
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_outcomes(sent: ClassFileHere) -> Response:
    """An XLSX or CSV file with a row for each trainee and his outcome. The same file again is the same import.

    A row without an outcome records nothing.
    """
    return await receive_of_class(NOUN, sent)


@routes.get(
    "/template",
    operation_id="get_outcome_template",
    summary="Download the template for outcomes",
    response_class=Response,
    responses={200: DOWNLOAD, **documented(404)},
)
async def get_outcome_template(
    caller: Annotated[Caller, Depends(Allowed(NOUN.scope, NOUN.roles))],
    services: ServicesHere,
    training_class: ClassHere,
    format: FormatHere = "xlsx",  # noqa: A002 - the parameter's name for callers
) -> Response:
    """The trainees without an outcome, by number and masked name, with drop-downs for outcome, grade and reason."""
    await require_class(services, caller, training_class)
    open_ = await members(services, caller, training_class, PHASES)
    rows = [{"trainee": number, "name": name} for number, name in open_]
    choices = {
        "trainee": [number for number, _ in open_],
        "outcome": ["结业", "未结业", "劝退"],
        "grade": ["优秀", "良好", "合格"],
        "reason": list(REASONS),
    }
    sheet = template(f"{training_class} 培训结果", "结果", COLUMNS.headings, rows, choices)
    return download(await services.sheets.write(format, sheet), format, f"outcomes-{training_class}")


add_reading_routes(routes, NOUN)
