"""`POST /v1/trainees/{number}/substitute`: the substitute is resolved and sealed like anybody who is nominated.

He gets a number of his own; his nomination begins in the same append that ends the old one.
"""

from typing import Annotated, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api import people
from api.commands import Envelope
from api.conditional import SeenHere
from api.idempotency import Answer, OnceHere
from api.nominations import another_county
from api.people import PersonIn
from api.problems import documented
from api.receipts import CommandReceipt, TraineeNumber, answer_of
from api.routing import router
from api.services import ServicesHere, step
from domain.numbers import trainee_number
from domain.trainee_messages import Code
from domain.trainee_seat_messages import Substitute, SubstitutePerson

routes = router("/v1/trainees", "trainees")
NumberInPath = Annotated[TraineeNumber, Path(description="The nomination of whom the substitute stands in for.")]


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


class SubstitutionReceipt(CommandReceipt):
    """What became of the old nomination, and the number of the new one."""

    substitute: str


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
        target = await services.cases.target("trainee", number, once.caller)
        county = once.caller.organisation
        school = body.school or county
        if school != county:
            registered = await services.registry.find(school)
            if registered is None or registered.kind != "school" or registered.parent != county:
                raise another_county(school, county)
        identity = await people.read_identity(services, body.person.identity_number)
        recognised = await people.recognise(services, body.person, identity)
        plan = await services.plans.by_campaign(target.campaign)
        series = f"{plan.number_prefix}-{county}"
        (counter,) = await services.numbers.reserve([once.command_id()], [series])
        command = Substitute(
            number=trainee_number(plan.number_prefix, county, counter),
            reason=body.reason,
            school=school,
            person=SubstitutePerson(id=recognised.reference.id, sealed=recognised.reference.sealed),
            stage=body.stage,
            subject=body.subject,
            position=body.position,
            rural=body.rural,
            years_of_service=body.years_of_service,
            name_differs=recognised.name_differs,
        )
        envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id, seen)
        answer = answer_of(await services.commands.send(target, command, envelope))
        answer.body["substitute"] = command.number
        return answer

    return await once.answer(run)
