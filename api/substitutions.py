"""`POST /v1/trainees/{number}/substitute`, and the same for many: a substitute is resolved and sealed like anybody who
is nominated.

He gets a number of his own; his nomination begins in the same append that ends the old one.
"""

from typing import Annotated, Any, Final, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api import people
from api.bulk import Options, OptionsHere, answer_of_items, meant
from api.commands import Envelope
from api.conditional import SeenHere, Versions
from api.idempotency import Answer, Once, OnceHere
from api.nominations import UNBORN, another_county
from api.people import PersonIn
from api.problems import documented
from api.receipts import (
    CommandReceipt,
    Job,
    ManyRows,
    RowResults,
    TraineeNumber,
    answer_of,
    parsed_row,
)
from api.routing import router
from api.services import Services, ServicesHere, step
from api.trainees import SeenVersion
from domain.numbers import trainee_number
from domain.trainee_messages import Code
from domain.trainee_seat_messages import Substitute, SubstitutePerson
from workflows.messages import Receipt

routes = router("/v1/trainees", "trainees")
NumberInPath = Annotated[TraineeNumber, Path(description="The nomination of whom the substitute stands in for.")]
IN_ORDER: Final = "substitutes"
"""The one lane of all rows: two of them may name the same teacher, and the first one wins."""


class Substitution(BaseModel):
    """Another teacher for the seat, of the same recipient. `school` defaults to the caller's own organisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Literal["ill", "maternity", "retired", "deceased", "transferred", "work", "family"]
    school: Annotated[Code | None, Field(examples=["410181-s01"])] = None
    stage: Annotated[Code, Field(examples=["primary"])]
    subject: Annotated[Code, Field(examples=["mathematics"])]
    position: Annotated[Code, Field(examples=["teacher"])] = "teacher"
    rural: bool = False
    years_of_service: Annotated[int, Field(ge=0, le=60)] = 0
    person: PersonIn


class SubstitutionRow(Substitution):
    """The same with the nomination of whom he stands in for, and the version of it that was read."""

    trainee: TraineeNumber
    version: SeenVersion | None = None


class SubstitutionReceipt(CommandReceipt):
    """What became of the old nomination, and the number of the new one."""

    substitute: str


@routes.post(
    "/substitute",
    operation_id="substitute_trainees",
    summary="Name a substitute for a trainee — for many",
    description="Another teacher of the same recipient takes each seat. For up to 2,000 nominations at once, a result "
    "per row; more than 500 are carried out after the answer, as an operation. The substitute's number stands in the "
    "nomination as `substituted_by`. Whose step it is: county.",
    response_model=RowResults,
    status_code=207,
    responses=documented(400, 409, 413, 415),
    dependencies=[step("trainees:write", "trainee", Substitute.name)],
)
async def substitute_trainees(
    services: ServicesHere, once: OnceHere, options: OptionsHere, body: ManyRows[SubstitutionRow]
) -> Response:
    """Name substitutes; each row is checked as it would be alone."""
    asked = meant(once, options)

    async def run() -> Answer:
        def job_of(index: int, raw: object) -> Job:
            row = parsed_row(SubstitutionRow, raw)
            return Job(index, IN_ORDER, _job(services, asked, index, row, options), row.trainee)

        return await answer_of_items(services, asked, body.items, options, job_of)

    return await asked.answer(run)


def _job(services: Services, once: Once, index: int, row: SubstitutionRow, options: Options) -> Any:
    async def run() -> Receipt:
        expected = () if row.version is None else (row.version,)
        receipt, _ = await _substitute(
            services, once, row.trainee, row, index=index, expected=expected, is_only_tried=options.dry_run
        )
        return receipt

    return run


@routes.post(
    "/{number}/substitute",
    operation_id="substitute_trainee",
    summary="Name a substitute for a trainee",
    description="Another teacher of the same recipient takes the seat; all checks are made again and both levels "
    "approve anew. Whose step it is: county.",
    response_model=SubstitutionReceipt,
    responses=documented(400, 404, 409, 413, 415),
    dependencies=[step("trainees:write", "trainee", Substitute.name)],
)
async def substitute_trainee(
    number: NumberInPath, services: ServicesHere, once: OnceHere, seen: SeenHere, body: Substitution
) -> Response:
    """Name a substitute."""

    async def run() -> Answer:
        receipt, substitute = await _substitute(services, once, number, body, expected=seen)
        answer = answer_of(receipt)
        answer.body["substitute"] = substitute
        return answer

    return await once.answer(run)


async def _substitute(
    services: Services,
    once: Once,
    number: str,
    wanted: Substitution,
    *,
    index: int = 0,
    expected: Versions = (),
    is_only_tried: bool = False,
) -> tuple[Receipt, str]:
    """Send the command; its receipt and the new number. When it is only tried, nobody becomes known or is numbered."""
    target = await services.cases.target("trainee", number, once.caller)
    county = once.caller.organisation
    school = wanted.school or county
    if school != county:
        registered = await services.registry.find(school)
        if registered is None or registered.kind != "school" or registered.parent != county:
            raise another_county(school, county)
    identity = await people.read_identity(services, wanted.person.identity_number, wanted.person.identity_document)
    if is_only_tried:
        recognised = await people.recognise_known(services, wanted.person, identity)
        substitute = f"{UNBORN}-{index}"
    else:
        recognised = await people.recognise(services, wanted.person, identity)
        plan = await services.plans.by_campaign(target.campaign)
        series = f"{plan.number_prefix}-{county}"
        counter = await services.numbers.reserve_one(once.command_id(index), series)
        substitute = trainee_number(plan.number_prefix, county, counter)
    command = Substitute(
        number=substitute,
        reason=wanted.reason,
        school=school,
        person=SubstitutePerson(id=recognised.reference.id, sealed=recognised.reference.sealed),
        stage=wanted.stage,
        subject=wanted.subject,
        position=wanted.position,
        rural=wanted.rural,
        years_of_service=wanted.years_of_service,
        name_differs=recognised.name_differs,
    )
    envelope = Envelope(once.caller, once.command_id(index), once.digest, once.correlation_id, expected)
    return await services.commands.send(target, command, envelope), substitute
