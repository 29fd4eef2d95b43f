"""Registrations 报到 of a class by file: who has arrived, and when."""

from typing import Annotated, Final

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
from api.classes import RegistrationRow
from api.import_columns import RESULT, RESULT_NAMES, Columns
from api.import_routes import (
    DOWNLOAD,
    FormatHere,
    add_reading_routes,
    download,
)
from api.import_work import Noun
from api.nomination_columns import FLAGS
from api.operations import OperationOut
from api.permissions import Caller
from api.problems import documented
from api.receipts import parsed_row
from api.routing import router
from api.services import Allowed, ServicesHere, step
from api.uploads import REQUEST_BODY, TimelyBody
from domain.trainee_messages import Register
from spreadsheets.table import Headings

routes = router("/v1/registration-imports", "registration-imports")
COLUMNS: Final = Columns(
    Headings(
        {
            "trainee": TRAINEE_NAMES,
            "name": NAME_NAMES,
            "arrived": ("报到", "是否报到", "已报到", "arrived", "registered", "checked in"),
            "arrived_at": ("报到时间", "签到时间", "arrived at", "time of arrival", "check-in time"),
            RESULT: RESULT_NAMES,
        },
        frozenset({"trainee", "arrived"}),
    ),
    MASKS,
)
ARRIVED: Final = {
    **FLAGS,
    "已报到": "true",
    "报到": "true",
    "arrived": "true",
    "未报到": "false",
    "未到": "false",
    "absent": "false",
}
PHASES: Final = ("enrolled", "confirmed")
"""Of the trainees in the template: those who are expected."""


class RegistrationRows(CommandRows):
    status = "registered"
    columns = COLUMNS

    def read(self, index: int) -> Wanted | None:
        """Who has not arrived is recorded by nobody here: absence follows from the confirmed check-in list."""
        cells = Cells(self.file, index)
        arrived, arrived_at = cells.choice("arrived", ARRIVED), cells.moment("arrived_at")
        cells.require_readable()
        row = parsed_row(RegistrationRow, {"trainee": cells.trainee(), "arrived_at": arrived_at})
        if arrived != "true":
            return None
        return Wanted(index, row.trainee, Register(arrived_at=row.arrived_at), row.trainee)


NOUN: Final = Noun(
    kind="registration-import",
    words="registrations",
    scope="trainees:write",
    roles=("host",),
    subject="class",
    columns=COLUMNS,
    open=RegistrationRows.open,
)


@routes.post(
    "",
    operation_id="import_registrations",
    summary="Register trainees who have arrived (报到) by file",
    status_code=202,
    response_model=OperationOut,
    responses=documented(400, 404, 408, 409, 413, 415),
    dependencies=[TimelyBody, step(NOUN.scope, "trainee", Register.name)],
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def import_registrations(sent: ClassFileHere) -> Response:
    """An XLSX or CSV file with a row for each trainee: arrived or not, and when. The same file is the same import.

    Rows that say no, or nothing, record nothing: absence follows from the confirmed check-in list.
    """
    return await receive_of_class(NOUN, sent)


@routes.get(
    "/template",
    operation_id="get_registration_template",
    summary="Download the template for registrations",
    response_class=Response,
    responses={200: DOWNLOAD, **documented(404)},
)
async def get_registration_template(
    caller: Annotated[Caller, Depends(Allowed(NOUN.scope, NOUN.roles))],
    services: ServicesHere,
    training_class: ClassHere,
    format: FormatHere = "xlsx",  # noqa: A002 - the parameter's name for callers
) -> Response:
    """The trainees who are expected, by number and masked name, with a drop-down for who has arrived."""
    await require_class(services, caller, training_class)
    expected = await members(services, caller, training_class, PHASES)
    rows = [{"trainee": number, "name": name} for number, name in expected]
    choices = {"trainee": [number for number, _ in expected], "arrived": ["是", "否"]}
    sheet = template(f"{training_class} 报到名单", "报到", COLUMNS.headings, rows, choices)
    return download(await services.sheets.write(format, sheet), format, f"registrations-{training_class}")


add_reading_routes(routes, NOUN)
