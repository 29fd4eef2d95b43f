"""Teachers' records, for the bureau: found by number, corrected, transferred, joined, forgotten.

Hours, restrictions and nominations hang on the record's id, so none of this touches them.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api import people, problem_types
from api.conditional import IfNoneMatch, SeenHere, Versions, answered, etag
from api.idempotency import Answer, Once, OnceHere
from api.pagination import Page, WindowHere, next_cursor
from api.people import EMAIL, TELEPHONE, PersonOut
from api.permissions import Caller
from api.personal import PERSONAL
from api.problems import Problem, documented, refused
from api.receipts import Day
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain import person
from domain.decision import Decision, Refusal
from domain.identity import DocumentKind
from domain.person import Person
from domain.refusals import refuse
from domain.trainee_messages import Code, Text
from domain.trainee_review_messages import Officer
from ledger.errors import SubjectErased
from projections import persons as view
from services.person_records import Recording

routes = router("/v1/people", "people")

Reader = Annotated[Caller, allowed("people:read")]
Writer = Annotated[Caller, allowed("people:write")]
IdInPath = Annotated[UUID, Path(description="The person's id.")]


class Body(BaseModel):
    """Base of the bodies here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Find(Body):
    """A number to look a person up by; it never stands in an address."""

    identity_number: Annotated[str, Field(max_length=200, examples=["410181199003070014"])]
    identity_document: DocumentKind = "identity-card"


class CorrectParticulars(Body):
    """The fields that were wrong, as they are right. What is left out stays."""

    name: Annotated[str | None, StringConstraints(strip_whitespace=True, min_length=2, max_length=64)] = None
    identity_number: Annotated[str | None, Field(max_length=200)] = None
    identity_document: DocumentKind = "identity-card"
    telephone: Annotated[str | None, Field(pattern=TELEPHONE, examples=["13800000000"])] = None
    email: Annotated[str | None, Field(max_length=200, pattern=EMAIL, examples=["wxm@example.invalid"])] = None
    decided_by: Officer
    document: Annotated[Text, Field(examples=["户籍证明 2022-17"])]


class Transfer(Body):
    """Where the teacher works from a day on."""

    county: Annotated[Code, Field(examples=["410182"])]
    on: Day
    document: Annotated[Text, Field(examples=["调动通知 2022-9"])]


class Join(Body):
    """Another record of the same teacher, which ends in this one."""

    double: UUID
    decided_by: Officer
    reasons: Text


class Erase(Body):
    """Why he is forgotten, as a code."""

    reason: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["requested"])] = "requested"


class PersonCaseOut(BaseModel):
    """A nomination of the person; it stays with the county that nominated, wherever he works now."""

    number: str
    campaign: str
    county: str
    school: str
    project_type: str
    subject: str
    phase: str
    closed: bool
    centralised_days: int


class PersonRestrictionOut(BaseModel):
    """A restriction of the person."""

    number: str
    phase: str
    starts: date | None
    until: date | None


class PersonRecordOut(BaseModel):
    """A teacher's record with everything that hangs on it, over all records that were joined into it. Masked."""

    id: UUID
    version: int
    person: PersonOut
    records: list[UUID] = Field(description="Every id under which something of him is kept.")
    joined_into: UUID | None = Field(description="The record that answers for this one; read that one.")
    county: str = Field(description="Where he works by the last transfer; empty when none was recorded.")
    erasure: str = Field(description="Empty, `held` (stored only, until his restriction ends) or `done`.")
    cases: list[PersonCaseOut]
    restrictions: list[PersonRestrictionOut]


class PersonItem(BaseModel):
    """A teacher's record in a list, from a view that follows the ledger within moments. Nothing personal is in it."""

    id: UUID
    version: int
    county: str = Field(description="Where he works by the last transfer; empty when none was recorded.")
    joined_into: UUID | None = Field(description="The record that answers for this one.")
    erasure: str = Field(description="Empty, `held` (stored only, until his restriction ends) or `done`.")
    registered_at: datetime


class PersonFound(BaseModel):
    """The record that answers for a number; null when nobody has it."""

    id: Annotated[UUID | None, PERSONAL]


@routes.get("", operation_id="list_people", summary="List teachers' records", responses=documented())
async def list_people(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    county: Annotated[Code | None, Query(description="By the last transfer.")] = None,
    erasure: Annotated[Literal["held", "done"] | None, Query()] = None,
) -> Page[PersonItem]:
    """Every record by id, without names: somebody is found by his number, and read one at a time."""
    own = services.own_rows(caller)
    found = await view.page(own, county=county, erasure=erasure, after=window.after, limit=window.limit)
    items = [
        PersonItem(
            id=UUID(row.id),
            version=row.version,
            county=row.county,
            joined_into=UUID(row.joined_into) if row.joined_into else None,
            erasure=row.erasure,
            registered_at=row.registered_at,
        )
        for row in found.items
    ]
    return Page(items=items, next=next_cursor(found.next))


@routes.get(
    "/{id}",
    operation_id="get_person",
    summary="Read a teacher's record",
    response_model=PersonRecordOut,
    responses=documented(404),
)
async def get_person(
    id: IdInPath,  # noqa: A002
    caller: Reader,
    services: ServicesHere,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The record with nominations, days and restrictions of all records joined into it."""
    state = await services.people.find(id)
    if state is None:
        raise refused(refuse("person_unknown"))
    return answered(services, await _shown(services, caller, state), state.version, if_none_match, shows_more=True)


async def _shown(services: Services, caller: Caller, state: Person) -> PersonRecordOut:
    own = services.own_rows(caller)
    return PersonRecordOut(
        id=state.id,
        version=state.version,
        person=await people.show(services, state.id, name_is_clear=False),
        records=list(state.records),
        joined_into=state.joined_into,
        county=state.county,
        erasure=state.erasure,
        cases=[PersonCaseOut.model_validate(row, from_attributes=True) for row in await view.cases(own, state.records)],
        restrictions=[PersonRestrictionOut.model_validate(row) for row in await view.restrictions(own, state.records)],
    )


@routes.post(
    "/find",
    operation_id="find_person",
    summary="Find a teacher by number",
    response_model=PersonFound,
    responses=documented(400, 409, 413, 415),
)
async def find_person(body: Find, caller: Writer, services: ServicesHere, once: OnceHere) -> Response:
    """The record that answers for an identity number; a number of a joined record finds the one that it ended in."""

    async def run() -> Answer:
        identity = await people.read_identity(services, body.identity_number, body.identity_document)
        found = await services.vault.find(identity.text)
        state = await services.people.answering(found) if found else None
        return Answer({"id": str(state.id) if state else None})

    return await once.answer(run)


@routes.post(
    "/{id}/correct",
    operation_id="correct_person",
    summary="Correct a teacher's particulars",
    response_model=PersonRecordOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def correct_person(
    id: IdInPath,  # noqa: A002
    body: CorrectParticulars,
    caller: Writer,
    services: ServicesHere,
    once: OnceHere,
    seen: SeenHere,
) -> Response:
    """Put name, number, telephone or e-mail right. Restrictions and hours stay attached."""

    async def run() -> Answer:
        state = await services.people.find(id)
        if state is None:
            raise refused(refuse("person_unknown"))
        recording = await _recording(services, once, seen)
        stale = await services.people.stale(state, recording)
        if stale is not None:
            # Before anything is looked up or renamed in the vault.
            raise refused(stale)
        fields = await _opened(services, state)
        right = {name: getattr(body, name) for name in ("name", "telephone", "email") if getattr(body, name)}
        if body.identity_number is not None:
            right["identity_number"] = await _new_number(services, state, body)
        changed: Any = tuple(sorted(name for name, value in right.items() if fields.get(name) != value))
        sealed = await services.vault.seal(state.id, fields | right)

        def decide(standing: Person) -> Decision | Refusal:
            return person.correct(
                standing, sealed, changed, by=str(caller.actor), decided_by=body.decided_by, document=body.document
            )

        return await _answer(services, caller, await services.people.record(id, decide, recording))

    return await once.answer(run)


async def _opened(services: Services, state: Person) -> dict[str, str]:
    try:
        return await services.vault.open(state.id, state.sealed)
    except SubjectErased:
        raise refused(refuse("person_erased")) from None


async def _new_number(services: Services, state: Person, body: CorrectParticulars) -> str:
    """The new number, under which the person is found from now on. Raises Problem when it is somebody else's."""
    assert body.identity_number is not None, "asked with a number only"
    usable = person.correct(state, "", ("identity_number",), by="", decided_by="", document="")
    if isinstance(usable, Refusal):
        raise refused(usable)
    identity = await people.read_identity(
        services, body.identity_number, body.identity_document, pointer="/identity_number"
    )
    if not await services.vault.rename(state.id, identity.text):
        raise refused(refuse("identity_number_taken", field="/identity_number"))
    return identity.text


@routes.post(
    "/{id}/transfer",
    operation_id="transfer_person",
    summary="Record a teacher's transfer",
    response_model=PersonRecordOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def transfer_person(
    id: IdInPath,  # noqa: A002
    body: Transfer,
    caller: Writer,
    services: ServicesHere,
    once: OnceHere,
    seen: SeenHere,
) -> Response:
    """He works elsewhere from a day on. Nomination, quota and bulletin stay; hours and restriction follow him."""

    async def run() -> Answer:
        county = await services.registry.find(body.county)
        if county is None or county.kind != "county":
            raise _no_county(body.county)

        def decide(standing: Person) -> Decision | Refusal:
            return person.transfer(standing, body.county, body.on, by=str(caller.actor), document=body.document)

        return await _answer(
            services, caller, await services.people.record(id, decide, await _recording(services, once, seen))
        )

    return await once.answer(run)


def _no_county(county: str) -> Problem:
    fault = Fault(
        "unknown_county",
        f"No county {county} takes part.",
        f"没有编号为 {county} 的区县单位。",
        "`GET /v1/institutions?kind=county` lists them.",
        "可用 `GET /v1/institutions?kind=county` 查询。",
        pointer="/county",
    )
    return Problem(problem_types.INVALID, fault)


@routes.post(
    "/{id}/join",
    operation_id="join_person",
    summary="Join another record of the same teacher into this one",
    response_model=PersonRecordOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def join_person(
    id: IdInPath,  # noqa: A002
    body: Join,
    caller: Writer,
    services: ServicesHere,
    once: OnceHere,
    seen: SeenHere,
) -> Response:
    """Claims, hours and restrictions of both count for one from now on, and both numbers find this record."""

    async def run() -> Answer:
        def decide(kept: Person, double: Person) -> Decision | Refusal:
            return person.join(kept, double, by=str(caller.actor), decided_by=body.decided_by, reasons=body.reasons)

        recording = await _recording(services, once, seen)
        return await _answer(services, caller, await services.people.record(id, decide, recording, body.double))

    return await once.answer(run)


@routes.post(
    "/{id}/erase",
    operation_id="erase_person",
    summary="Forget a teacher",
    response_model=PersonRecordOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def erase_person(
    id: IdInPath,  # noqa: A002
    body: Erase,
    caller: Writer,
    services: ServicesHere,
    once: OnceHere,
    seen: SeenHere,
) -> Response:
    """Destroy his keys. While he is barred the data are stored and not used, and erased when that ends (`held`)."""

    async def run() -> Answer:
        outcome = await services.people.erase(id, await _recording(services, once, seen), body.reason)
        return await _answer(services, caller, outcome)

    return await once.answer(run)


async def _answer(services: Services, caller: Caller, outcome: Person | Refusal) -> Answer:
    if isinstance(outcome, Refusal):
        raise refused(outcome)
    shown = await _shown(services, caller, outcome)
    return Answer(shown.model_dump(mode="json"), headers={"ETag": etag(outcome.version)})


async def _recording(services: Services, once: Once, seen: Versions) -> Recording:
    return Recording(
        command_id=once.command_id(),
        digest=once.digest,
        actor=once.caller.actor,
        now=await services.clock.now(),
        correlation_id=once.correlation_id,
        expected_versions=seen,
    )
