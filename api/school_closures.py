"""Schools that merge or close (撤并): first their open cases pass to another school, then the school ends (62)."""

from typing import Annotated

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api import problem_types
from api.conditional import SeenHere, etag
from api.idempotency import Answer, OnceHere
from api.institutions import InstitutionId, recording_of
from api.permissions import Caller
from api.problems import Problem, documented, not_found, refused
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain import institution_standing
from domain.decision import Refusal
from domain.trainee_messages import Text
from projections import trainees

routes = router("/v1/institutions", "institutions")
Registrar = Annotated[Caller, allowed("institutions:write")]

_REVOKE = """
UPDATE app.api_keys SET revoked_at = clock_timestamp() WHERE organisation = $1 AND revoked_at IS NULL RETURNING key_id
"""


class CloseSchool(BaseModel):
    """Which school takes over, and the document that says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    successor: InstitutionId
    document: Annotated[Text, Field(examples=["郑教〔2022〕31号"])]


class ClosedOut(BaseModel):
    """A school that takes part no longer. Its past acts stay its own; its keys are not accepted any more."""

    id: str
    successor: str
    keys_revoked: int


@routes.post(
    "/{institution}/close",
    operation_id="close_school",
    summary="Close a school",
    response_model=ClosedOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def close_school(
    institution: Annotated[InstitutionId, Path(description="The school that ends.")],
    body: CloseSchool,
    caller: Registrar,
    services: ServicesHere,
    once: OnceHere,
    seen: SeenHere,
) -> Response:
    """A county closes its own schools, the bureau any. Refused while cases of the school wait for something."""

    async def run() -> Answer:
        school = await services.registry.standing(institution)
        is_own = school is not None and (caller.role == "bureau" or school.parent == caller.organisation)
        if school is None or school.kind != "school" or not is_own:
            raise not_found("school", institution)
        successor = await services.registry.standing(body.successor)
        if successor is None or not institution_standing.can_take_over(school, successor):
            raise _no_successor(body.successor, school.parent)
        headers: dict[str, str] = {}
        open_cases = 0 if school.successor else await _open_cases(services, caller, institution)
        decided = institution_standing.close(
            school, successor, open_cases, by=str(caller.actor), document=body.document
        )
        if isinstance(decided, Refusal):
            raise refused(decided)
        if decided.events:
            recording = await recording_of(services, once, seen)
            headers["ETag"] = etag(await services.registry.record_decision(institution, decided, recording))
        revoked = await services.own_rows(caller).fetch(_REVOKE, institution)
        for row in revoked:
            services.keys.forget(row["key_id"])
        await services.sessions.end_all(institution)
        shown = ClosedOut(id=institution, successor=body.successor, keys_revoked=len(revoked))
        return Answer(shown.model_dump(), headers=headers)

    return await once.answer(run)


async def _open_cases(services: Services, caller: Caller, school: str) -> int:
    for book in await services.plans.adopted():
        await services.checkpoints.wait_for(book, await services.ledger.head(book))
    wanted = trainees.TraineeFilter(school=school, closed=False)
    return sum((await trainees.count_by_phase(services.own_rows(caller), caller.actor, wanted)).values())


def _no_successor(school: str, county: str) -> Problem:
    fault = Fault(
        "school_of_another_county",
        f"{school} is no registered school of {county}.",
        f"{school} 不是 {county} 已登记的学校。",
        "Name a school of the same county.",
        "请填写同一区县的学校。",
        pointer="/successor",
    )
    return Problem(problem_types.REFUSALS["school_of_another_county"], fault)
