"""Classes of the hosts: plan, announce, confirm the check-in list, report; and 报到 and outcomes of their trainees."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, cast

from fastapi import Body, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bulk import Options, OptionsHere, answer_of_items, meant
from api.cases import require_class_of
from api.commands import Envelope, Target
from api.conditional import IfNoneMatch, Versions, answered, seen
from api.idempotency import Answer, Once, OnceHere
from api.nominations import plan_of
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller, commands_of_people, roles_of
from api.problems import documented, not_found
from api.receipts import (
    CampaignId,
    ClassNumber,
    CommandReceipt,
    Day,
    Instant,
    Job,
    ManyRows,
    RowResults,
    TraineeNumber,
    answer_of,
    parsed_row,
)
from api.routing import router
from api.services import Services, ServicesHere, allowed, step
from api.trainees import send_one
from domain.decision import Command
from domain.numbers import class_number
from domain.trainee_messages import Code, Register, Text
from domain.trainee_outcome_messages import Complete, Dismiss, Fail
from domain.training_class import Capacity, Mode, PlanClass, TrainingClass, allowed_commands, case_of
from domain.training_class_messages import Session
from projections import classes as view
from workflows.messages import Receipt

routes = router("/v1/classes", "classes")
Reader = Annotated[Caller, allowed("classes:read")]
NumberInPath = Annotated[ClassNumber, Path(description="The class's number.")]


class NewClass(BaseModel):
    """A class that a host plans for one project type; both dates count as training days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    campaign: CampaignId
    project_type: Annotated[Code, Field(examples=["gp1"])]
    starts: Day
    ends: Day
    place: Annotated[Text, Field(examples=["河南大学明伦校区"])]
    mode: Mode = "centralised"
    capacity: Capacity


class ClassItem(BaseModel):
    """A class in a list, from a view that follows the ledger within moments."""

    number: str
    version: int
    campaign: str
    host: str
    project_type: str
    starts: date
    ends: date
    place: str
    mode: str
    capacity: int
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    check_in_confirmed_at: datetime | None
    check_in_late: bool = Field(description="Confirmed after the last day: it makes nobody absent by itself.")
    revision: int = Field(description="How often the class's plan was changed.")
    centralised_days: int = Field(description="Days that are or were held centralised (集中培训).")
    merged_into: str
    outcomes_escalated: bool


class ClassOut(ClassItem):
    """A class as its stream stands at this moment."""

    absences_recorded: bool
    outcomes_overdue: bool
    changes: list[str] = Field(description="What was changed, in order.")
    told_revision: int = Field(description="The revision up to which every trainee was told.")
    timetable: list[Session]
    allowed: list[str] = Field(description="The commands that somebody may send in this phase.")


class RegistrationRow(BaseModel):
    """A trainee who has arrived 报到; `arrived_at` is when, the moment of the request if it is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainee: TraineeNumber
    arrived_at: Instant | None = None


class OutcomeRow(BaseModel):
    """A trainee's outcome, with the fields of the command that it stands for.

    `complete` takes `centralised_days`, `online_days`, `hours` and `grade`; `fail` takes `reasons`; `dismiss` takes
    `reason` and `evidence`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainee: TraineeNumber
    outcome: Literal["complete", "fail", "dismiss"]
    centralised_days: int | None = None
    online_days: int | None = None
    hours: int | None = None
    grade: Literal["excellent", "good", "pass"] | None = None
    reasons: list[Code] | None = None
    reason: Code | None = None
    evidence: Text | None = None


OUTCOMES: Final[dict[str, type[Command]]] = {
    "complete": Complete,
    "fail": Fail,
    "dismiss": Dismiss,
}


@routes.get("", operation_id="list_classes", summary="List classes", responses=documented())
async def list_classes(
    *,
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    campaign: Annotated[CampaignId | None, Query()] = None,
    host: Annotated[Code | None, Query()] = None,
    phase: Annotated[Code | None, Query()] = None,
    project_type: Annotated[Code | None, Query()] = None,
) -> Page[ClassItem]:
    """A host's own classes; for a county or a school those that its teachers are in."""
    found = await view.page(
        services.own_rows(caller),
        caller.actor,
        campaign=campaign,
        host=host,
        phase=phase,
        project_type=project_type,
        after=window.after,
        limit=window.limit,
    )
    items = [ClassItem.model_validate(row, from_attributes=True) for row in found.items]
    return Page(items=items, next=next_cursor(found.next))


@routes.get(
    "/{number}",
    operation_id="get_class",
    summary="Read one class",
    response_model=ClassOut,
    responses=documented(404),
)
async def get_class(
    number: NumberInPath,
    caller: Reader,
    services: ServicesHere,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The class. The `ETag` is the stream's version."""
    if caller.role in ("county", "school") and await view.get(services.own_rows(caller), caller.actor, number) is None:
        raise not_found("class", number)
    found = await services.cases.training_class(number, caller)
    return answered(services, _shown(number, found.version, found.state), found.version, if_none_match)


def _shown(number: str, version: int, state: TrainingClass) -> ClassOut:
    case = case_of(number, state)
    return ClassOut(
        number=number,
        version=version,
        campaign=state.campaign,
        host=state.host,
        project_type=state.project_type,
        starts=state.starts,
        ends=state.ends,
        place=state.place,
        mode=state.mode,
        capacity=state.capacity,
        phase=state.phase,
        closed=case.closed,
        waiting_for=case.waiting_for,
        deadline=case.deadline,
        check_in_confirmed_at=state.check_in_confirmed_at,
        absences_recorded=state.absences_recorded,
        outcomes_overdue=state.outcomes_overdue,
        outcomes_escalated=state.outcomes_escalated,
        check_in_late=state.check_in_late,
        revision=state.revision,
        centralised_days=state.centralised_days_held,
        merged_into=state.merged_into,
        changes=list(state.changes),
        told_revision=state.told,
        timetable=list(state.timetable),
        allowed=allowed_commands(state),
    )


@routes.post(
    "",
    operation_id="plan_class",
    summary="Plan a class",
    status_code=201,
    response_model=CommandReceipt,
    responses=documented(400, 409, 413, 415),
    dependencies=[step("classes:write", "class", PlanClass.name)],
)
async def plan_class(services: ServicesHere, once: OnceHere, body: NewClass) -> Response:
    """The host decides on time and place (通知 三). The class gets its number here."""

    async def run() -> Answer:
        plan = await plan_of(services, body.campaign)
        host = once.caller.organisation
        fields = body.model_dump(exclude={"campaign"})
        command = PlanClass(host=host, **fields)
        counter = await services.numbers.reserve_one(once.command_id(), f"{plan.number_prefix}-c-{host}")
        number = class_number(plan.number_prefix, host, counter)
        target = Target("class", number, plan.id, f"{body.project_type} · {host}", new=True)
        envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id)
        receipt = await services.commands.send(target, command, envelope)
        return answer_of(receipt, status=201, location=f"/v1/classes/{number}")

    return await once.answer(run)


def _add_command(command: type[Command]) -> None:
    name = command.name
    words = (command.__doc__ or name).splitlines()[0]
    whose = " / ".join(roles_of("class", name))
    takes_nothing = not any(field.is_required() for field in command.model_fields.values())
    body = Body(default_factory=command) if takes_nothing else Body()
    expected_here = seen("class", name)

    async def one(
        number: NumberInPath,
        services: ServicesHere,
        once: OnceHere,
        body: command = body,  # type: ignore[valid-type]
        expected: Versions = expected_here,
    ) -> Response:
        async def run() -> Answer:
            target = await services.cases.target("class", number, once.caller)
            envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id, expected)
            return answer_of(await services.commands.send(target, cast("Command", body), envelope))

        return await once.answer(run)

    routes.add_api_route(
        f"/{{number}}/{name}",
        one,
        methods=["POST"],
        operation_id=f"{name.replace('-', '_')}_class",
        summary=words.rstrip("."),
        description=f"{words} Whose step it is: {whose}.",
        response_model=CommandReceipt,
        responses=documented(400, 404, 409, 413, 415),
        dependencies=[step("classes:write", "class", name)],
    )


for _name, _command in commands_of_people("class").items():
    if _name != PlanClass.name:
        _add_command(_command)


# ------------------------------------------------------------------------------------------- a class's trainees


@routes.post(
    "/{number}/registrations",
    operation_id="register_trainees_of_class",
    summary="Register trainees who have arrived (报到)",
    status_code=207,
    response_model=RowResults,
    responses=documented(400, 404, 409, 413, 415),
    dependencies=[step("trainees:write", "trainee", Register.name)],
)
async def register_trainees_of_class(
    number: NumberInPath,
    services: ServicesHere,
    once: OnceHere,
    options: OptionsHere,
    body: ManyRows[RegistrationRow],
) -> Response:
    """One row or hundreds; a result per row. More than 500 are carried out after the answer, as an operation."""
    asked = meant(once, options)

    async def run() -> Answer:
        await services.cases.target("class", number, asked.caller)
        return await _run_rows(services, asked, number, body.items, _registration, options)

    return await asked.answer(run)


@routes.post(
    "/{number}/outcomes",
    operation_id="record_outcomes_of_class",
    summary="Record outcomes (结业, 未结业, 劝退)",
    status_code=207,
    response_model=RowResults,
    responses=documented(400, 404, 409, 413, 415),
    dependencies=[step("trainees:write", "trainee", Complete.name)],
)
async def record_outcomes_of_class(
    number: NumberInPath,
    services: ServicesHere,
    once: OnceHere,
    options: OptionsHere,
    body: ManyRows[OutcomeRow],
) -> Response:
    """One row or hundreds; a result per row. More than 500 are carried out after the answer, as an operation."""
    asked = meant(once, options)

    async def run() -> Answer:
        await services.cases.target("class", number, asked.caller)
        return await _run_rows(services, asked, number, body.items, _outcome, options)

    return await asked.answer(run)


def _registration(raw: object) -> tuple[str, Command]:
    row = parsed_row(RegistrationRow, raw)
    return row.trainee, Register(arrived_at=row.arrived_at)


def _outcome(raw: object) -> tuple[str, Command]:
    row = parsed_row(OutcomeRow, raw)
    fields = row.model_dump(exclude={"trainee", "outcome"}, exclude_none=True)
    # The command's own checks name what is missing and what does not belong to this outcome.
    return row.trainee, parsed_row(OUTCOMES[row.outcome], fields)


async def _run_rows(
    services: Services, once: Once, training_class: str, items: list[Any], read: Any, options: Options
) -> Answer:
    def job_of(index: int, raw: object) -> Job:
        trainee, command = read(raw)
        return _job(services, once, training_class, index=index, trainee=trainee, command=command)

    return await answer_of_items(services, once, items, options, job_of)


def _job(services: Services, once: Once, training_class: str, *, index: int, trainee: str, command: Command) -> Job:
    async def run() -> Receipt:
        require_class_of(await services.cases.trainee(trainee, once.caller), training_class)
        return await send_one(services, once, trainee, command, index)

    return Job(index, trainee, run, trainee)
