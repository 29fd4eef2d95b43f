"""Restrictions 限制参训: internal, never published. Served, objected to, imposed or dropped; earlier ones recorded."""

from datetime import date, datetime
from typing import Annotated, Final, Literal

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api import people
from api.cases import Found
from api.commands import Envelope, Target
from api.conditional import IfNoneMatch, Versions, answered, seen
from api.idempotency import Answer, OnceHere
from api.nominations import plan_of
from api.pagination import Page, WindowHere, next_cursor
from api.people import EMAIL, TELEPHONE, PersonOut
from api.permissions import Caller, roles_of
from api.personal import PERSONAL
from api.problems import documented, refused
from api.receipts import (
    CampaignId,
    CommandReceipt,
    Day,
    RestrictionNumber,
    TraineeNumber,
    answer_of,
)
from api.routing import router
from api.services import Services, ServicesHere, allowed, step
from domain.decision import Command
from domain.numbers import earlier_restriction_number
from domain.refusals import refuse
from domain.restriction import Restriction, allowed_commands, case_of
from domain.restriction_messages import (
    Drop,
    FailService,
    Impose,
    Object,
    ObjectionFiled,
    Record,
    Reverse,
    Serve,
    Waive,
)
from domain.trainee_messages import Code, Text
from ledger.errors import SubjectErased
from projections import restrictions as view

routes = router("/v1/restrictions", "restrictions")
EARLIER_SERIES: Final = "prior"
LIST_LIMIT: Final = 100
"""Each row of the list opens a person's sealed fields, so its pages are shorter than others."""

Reader = Annotated[Caller, allowed("restrictions:read")]
NumberInPath = Annotated[RestrictionNumber, Path(description="The restriction's number.")]


class EarlierPerson(BaseModel):
    """A teacher as an older document names him."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=64)]
    identity_number: Annotated[str, Field(max_length=200)]
    telephone: Annotated[str | None, Field(max_length=20, pattern=TELEPHONE, examples=["13800000000"])] = None
    email: Annotated[str | None, Field(max_length=200, pattern=EMAIL, examples=["wxm@example.invalid"])] = None


class EarlierRestriction(BaseModel):
    """A restriction that was imposed before xunji, from its document. `until` is the first free day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    campaign: Annotated[CampaignId, Field(description="The campaign whose office enters it.")]
    person: EarlierPerson
    starts: Day
    until: Day
    document: Annotated[Text, Field(examples=["郑教师函〔2021〕88号"])]


class RestrictionItem(BaseModel):
    """A restriction in a list, from a view that follows the ledger within moments. The person is masked."""

    number: str
    version: int
    campaign: str
    trainee: str
    person: PersonOut
    county: str
    school: str
    host: str
    ground: str
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    incident_on: date | None
    served_at: datetime | None
    objection_until: datetime | None
    starts: date | None
    until: date | None
    policy: str


class WaiverOut(BaseModel):
    """A waiver for one project type of one campaign; `used_by` is the nomination that rests on it, if one does."""

    campaign: str
    project_type: str
    used_by: str


class ObjectionLinkOut(BaseModel):
    """The address at which the teacher himself objects, to be printed on the notice that is handed over."""

    url: str
    until: datetime


class RestrictionOut(BaseModel):
    """A restriction as its stream stands at this moment. The person is masked."""

    number: str
    version: int
    campaign: str
    trainee: str
    person: PersonOut
    county: str
    school: str
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None
    incident_on: date | None
    served_on: date | None
    window_closed: bool
    starts: date | None
    until: date | None
    waivers: list[WaiverOut]
    objection: Annotated[
        str | None, PERSONAL, Field(description="What the teacher wrote through his link; for the bureau.")
    ]
    allowed: list[str] = Field(description="The commands that somebody may send in this phase.")


@routes.get("", operation_id="list_restrictions", summary="List restrictions", responses=documented())
async def list_restrictions(
    *,
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    campaign: Annotated[CampaignId | None, Query()] = None,
    county: Annotated[Code | None, Query()] = None,
    phase: Annotated[Code | None, Query()] = None,
    ground: Annotated[Literal["absent", "dismissed", "not-completed"] | None, Query()] = None,
    trainee: Annotated[TraineeNumber | None, Query()] = None,
) -> Page[RestrictionItem]:
    """All for the bureau, their own for a county and a school. At most 100 per page."""
    found = await view.page(
        services.own_rows(caller),
        caller.actor,
        campaign=campaign,
        county=county,
        phase=phase,
        ground=ground,
        trainee=trainee,
        after=window.after,
        limit=min(window.limit, LIST_LIMIT),
    )
    return Page(items=[await item_of(services, row) for row in found.items], next=next_cursor(found.next))


async def item_of(services: Services, row: view.RestrictionRow) -> RestrictionItem:
    person = await people.show(services, row.person, name_is_clear=False)
    fields = {name: getattr(row, name) for name in RestrictionItem.model_fields if name != "person"}
    return RestrictionItem(person=person, **fields)


@routes.get(
    "/{number}",
    operation_id="get_restriction",
    summary="Read one restriction",
    response_model=RestrictionOut,
    responses=documented(404),
)
async def get_restriction(
    number: NumberInPath,
    caller: Reader,
    services: ServicesHere,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The restriction. The `ETag` begins with the stream's version."""
    found = await services.cases.restriction(number, caller)
    person = await people.show(services, found.state.person, name_is_clear=False)
    objection = await _objection(services, found) if caller.role == "bureau" else None
    shown = _shown(number, found.version, found.state, person, objection)
    return answered(services, shown, found.version, if_none_match, shows_more=True)


async def _objection(services: Services, found: Found[Restriction]) -> str | None:
    """The teacher's own words, None when he did not object through his link or was erased."""
    sealed = [str(each.data.get("sealed", "")) for each in found.events if each.type == ObjectionFiled.type]
    if not sealed or not sealed[-1]:
        return None
    try:
        return (await services.vault.open(found.state.person, sealed[-1])).get("statement")
    except SubjectErased:
        return None


@routes.get(
    "/{number}/objection-link",
    operation_id="get_objection_link",
    summary="The teacher's own way to object",
    responses=documented(404, 409),
)
async def get_objection_link(number: NumberInPath, caller: Reader, services: ServicesHere) -> ObjectionLinkOut:
    """A signed link that serves this one purpose and ends with the window. A letter to the teacher has it already."""
    state = (await services.cases.restriction(number, caller)).state
    if state.phase != "served" or state.objection_until is None:
        allowed_now = ", ".join(allowed_commands(state)) or "—"
        words = {"phase": state.phase, "command": "objection-link", "allowed": allowed_now}
        raise refused(refuse("not_allowed_in_phase", **words))
    return ObjectionLinkOut(url=services.links.objection(number, state.objection_until), until=state.objection_until)


def _shown(number: str, version: int, state: Restriction, person: PersonOut, objection: str | None) -> RestrictionOut:
    case = case_of(number, state)
    return RestrictionOut(
        number=number,
        version=version,
        campaign=state.campaign,
        trainee=state.trainee,
        person=person,
        county=state.county,
        school=state.school,
        phase=state.phase,
        closed=state.closed,
        waiting_for=case.waiting_for,
        deadline=state.deadline,
        incident_on=state.incident_on,
        served_on=state.served_on,
        window_closed=state.window_closed,
        starts=state.starts,
        until=state.until,
        waivers=[WaiverOut.model_validate(each, from_attributes=True) for each in state.waivers],
        objection=objection,
        allowed=allowed_commands(state),
    )


@routes.post(
    "",
    operation_id="record_restriction",
    summary="Record an earlier restriction",
    status_code=201,
    response_model=CommandReceipt,
    responses=documented(400, 409, 413, 415),
    dependencies=[step("restrictions:write", "restriction", Record.name)],
)
async def record_restriction(services: ServicesHere, once: OnceHere, body: EarlierRestriction) -> Response:
    """Enter a restriction that was imposed before xunji, so that its teacher is not nominated meanwhile."""

    async def run() -> Answer:
        plan = await plan_of(services, body.campaign)
        identity = await people.read_identity(services, body.person.identity_number)
        reference = await people.resolve(services, body.person, identity)
        command = Record(
            person=reference.id,
            sealed=reference.sealed,
            starts=body.starts,
            until=body.until,
            document=body.document,
        )
        number = earlier_restriction_number(await services.numbers.reserve_one(once.command_id(), EARLIER_SERIES))
        target = Target("restriction", number, plan.id, "earlier restriction", new=True)
        envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id)
        receipt = await services.commands.send(target, command, envelope)
        return answer_of(receipt, status=201, location=f"/v1/restrictions/{number}")

    return await once.answer(run)


def _add_command(command: type[Command]) -> None:
    name = command.name
    words = (command.__doc__ or name).splitlines()[0]
    whose = " / ".join(roles_of("restriction", name))
    expected_here = seen("restriction", name)

    async def one(
        number: NumberInPath,
        services: ServicesHere,
        once: OnceHere,
        body: command,  # type: ignore[valid-type]
        expected: Versions = expected_here,
    ) -> Response:
        async def run() -> Answer:
            target = await services.cases.target("restriction", number, once.caller)
            envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id, expected)
            return answer_of(await services.commands.send(target, body, envelope))

        return await once.answer(run)

    routes.add_api_route(
        f"/{{number}}/{name}",
        one,
        methods=["POST"],
        operation_id=f"{name.replace('-', '_')}_restriction",
        summary=words.rstrip("."),
        description=f"{words} Whose step it is: {whose}.",
        response_model=CommandReceipt,
        responses=documented(400, 404, 409, 413, 415),
        dependencies=[step("restrictions:write", "restriction", name)],
    )


for _command in (Serve, FailService, Object, Impose, Drop, Waive, Reverse):
    _add_command(_command)
