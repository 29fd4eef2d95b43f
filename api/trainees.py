"""Nominations: lists, one with its person and events, and every command of the lifecycle, for one and for many."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, cast
from uuid import UUID

import orjson
from fastapi import Body, Depends, Path, Query, Response
from pydantic import BaseModel, Field, create_model

from api import people
from api.bulk import Options, OptionsHere, answer_of_items, meant
from api.cases import Found
from api.commands import Envelope
from api.conditional import IfNoneMatch, Versions, answered, seen
from api.idempotency import Answer, Once, OnceHere
from api.pagination import Page, Window, WindowHere, next_cursor
from api.permissions import Caller, commands_of_people, roles_of
from api.problems import documented
from api.receipts import (
    CampaignId,
    ClassNumber,
    CommandReceipt,
    Job,
    ManyRows,
    RowResults,
    TraineeNumber,
    answer_of,
    parsed_row,
)
from api.routing import router
from api.services import Services, ServicesHere, allowed, step
from domain.decision import Command
from domain.numbers import stream_name
from domain.trainee import allowed_commands
from domain.trainee_messages import Code, TraineeNominated
from domain.trainee_state import Trainee, case_of
from ledger.types import RecordedEvent, StreamPlace
from projections import trainees as view
from workflows.messages import Receipt

routes = router("/v1/trainees", "trainees")
CREATING = frozenset({"nominate", "substitute"})
"""The commands that are not here, because they give a new number: see `api/nominations.py`, `api/substitutions.py`."""

ROW_FIELDS = frozenset({"trainee", "version"})
SeenVersion = Annotated[
    int,
    Field(
        ge=1,
        le=10**9,
        description="The nomination's version that was read; the row is refused (412) if it has changed since.",
    ),
]
Reader = Annotated[Caller, allowed("trainees:read")]
NumberInPath = Annotated[TraineeNumber, Path(description="The nomination's number.")]


class TraineeItem(BaseModel):
    """A nomination in a list, from a view that follows the ledger within moments. Nothing personal is in it."""

    number: str
    version: int
    campaign: str
    project_type: str
    county: str
    school: str
    stage: str
    subject: str
    position: str
    rural: bool
    phase: str
    closed: bool
    returned: bool
    waiting_for: str
    deadline: datetime | None
    host: str
    training_class: str
    certificate: str
    follow_up: str
    submitted_at: datetime
    restriction: str = Field(description="Its number; always empty for hosts.")


class TraineeOut(BaseModel):
    """A nomination as its stream stands at this moment. A host is shown what it needs to train and to reach somebody
    (edge case 61): no identity number, no years of service, no restriction.
    """

    number: str
    version: int
    campaign: str
    project_type: str
    county: str
    school: str
    person: people.PersonOut
    stage: str
    subject: str
    position: str
    rural: bool
    years_of_service: int | None
    phase: str
    closed: bool
    returned: bool
    waiting_for: str
    deadline: datetime | None
    host: str
    training_class: str
    starts: date | None
    ends: date | None
    leaves: list[str] = Field(description="The state of each request for leave, in their order: 1, 2, …")
    certificate: str
    restriction: str | None
    follow_up: str
    submitted_at: datetime
    self_nominated: bool = Field(description="The nominee signs for the nominating organisation.")
    identity_review: str = Field(description="Empty, `open` (who is meant is not decided yet) or `done`.")
    substitutes: str = Field(description="Whose seat this nomination took over; empty for most.")
    substituted_by: str = Field(description="Who took this nomination's seat over; empty for most.")
    allowed: list[str] = Field(description="The commands that somebody may send in this phase.")


class EventOut(BaseModel):
    """Something that has happened, as it was recorded."""

    id: UUID
    version: int
    sequence: int = Field(description="Its place in the campaign's book.")
    type: str
    actor: str
    recorded_at: datetime
    effective_at: datetime
    data: dict[str, Any]


class EventList(BaseModel):
    """The whole story of a case, in order."""

    items: list[EventOut]


async def filters(
    *,
    campaign: Annotated[CampaignId | None, Query()] = None,
    county: Annotated[Code | None, Query()] = None,
    school: Annotated[Code | None, Query()] = None,
    host: Annotated[Code | None, Query()] = None,
    training_class: Annotated[ClassNumber | None, Query()] = None,
    phase: Annotated[Code | None, Query()] = None,
    project_type: Annotated[Code | None, Query()] = None,
    closed: Annotated[bool | None, Query()] = None,
) -> view.TraineeFilter:
    return view.TraineeFilter(
        campaign=campaign,
        county=county,
        school=school,
        host=host,
        training_class=training_class,
        phase=phase,
        project_type=project_type,
        closed=closed,
    )


@routes.get(
    "",
    operation_id="list_trainees",
    summary="List nominations",
    response_model=Page[TraineeItem],
    responses=documented(),
)
async def list_trainees(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    wanted: Annotated[view.TraineeFilter, Depends(filters)],
) -> Response:
    """The nominations that are the caller's business, by number."""
    return Response(await _listed(caller, services, window, wanted), media_type="application/json")


async def read_page(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    wanted: Annotated[view.TraineeFilter, Depends(filters)],
) -> Page[TraineeItem]:
    """What `list_trainees` answers, as a model: for exports."""
    return Page[TraineeItem].model_validate_json(await _listed(caller, services, window, wanted))


async def _listed(caller: Caller, services: Services, window: Window, wanted: view.TraineeFilter) -> str:
    """A page as it goes out. Its items lie in the view as they are shown: making each anew costs more than the rest."""
    found = await view.page_of_items(services.own_rows(caller), caller.actor, wanted, window.after, window.limit)
    following = orjson.dumps(next_cursor(found.next)).decode()
    return f'{{"items":[{",".join(found.items)}],"next":{following}}}'


@routes.get(
    "/{number}",
    operation_id="get_trainee",
    summary="Read one nomination",
    response_model=TraineeOut,
    responses=documented(404),
)
async def get_trainee(
    number: NumberInPath,
    caller: Reader,
    services: ServicesHere,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The nomination with its person. The `ETag` begins with the stream's version."""
    found, person = await _seen_with_person(services, number, caller)
    if caller.role == "host":
        # It trains and reaches him without (edge case 61), and without what is left out below.
        person.identity_number = None
    shown = _shown(found, person, is_for_host=caller.role == "host")
    return answered(services, shown, found.version, if_none_match, shows_more=True)


async def _seen_with_person(services: Services, number: str, caller: Caller) -> tuple[Found[Trainee], people.PersonOut]:
    """The nomination and its person as they stand: asked for together where both are remembered."""
    remembered = await services.cases.remembered_trainee(number, caller)
    if remembered is not None:
        state = remembered.state
        place = StreamPlace(state.campaign, stream_name("trainee", number), remembered.version)
        person = await people.show_remembered(services, state.person, place, name_is_clear=True)
        if person is not None:
            return remembered, person
    found = await services.cases.trainee(number, caller)
    return found, await people.show(services, found.state.person, name_is_clear=True)


def _shown(found: Found[Trainee], person: people.PersonOut, *, is_for_host: bool) -> TraineeOut:
    state, case = found.state, case_of(found.number, found.state)
    nominated = found.opening
    assert isinstance(nominated, TraineeNominated), "a nomination's stream begins with it"
    return TraineeOut(
        number=found.number,
        version=found.version,
        campaign=state.campaign,
        project_type=state.project_type,
        county=state.county,
        school=state.school,
        person=person,
        stage=nominated.stage,
        subject=nominated.subject,
        position=nominated.position,
        rural=nominated.rural,
        years_of_service=None if is_for_host else nominated.years_of_service,
        phase=state.phase,
        closed=state.closed,
        returned=state.returned,
        waiting_for=case.waiting_for,
        deadline=state.deadline,
        host=state.host,
        training_class=state.training_class,
        starts=state.starts,
        ends=state.ends,
        leaves=list(state.leaves),
        certificate=state.certificate,
        restriction=None if is_for_host else state.restriction,
        follow_up=state.follow_up,
        submitted_at=state.submitted_at,
        self_nominated=nominated.self_nominated,
        identity_review=state.identity_review,
        substitutes=state.substitutes,
        substituted_by=state.substituted_by,
        allowed=allowed_commands(state),
    )


@routes.get(
    "/{number}/events",
    operation_id="list_trainee_events",
    summary="Read a nomination's events",
    responses=documented(404),
)
async def list_trainee_events(number: NumberInPath, caller: Reader, services: ServicesHere) -> EventList:
    """Everything that has happened to the nomination, by whom and when; for a host from its own selection on."""
    found = await services.cases.trainee(number, caller)
    events = _since_selection(found.events) if caller.role == "host" else found.events
    return EventList(items=[_event(each) for each in events])


def _since_selection(events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """The events from the city's choice of the host on: what came before is between school, county and city."""
    chosen = (place for place, each in enumerate(events) if each.data.get("host"))
    return events[next(chosen, len(events)) :]


def _event(recorded: RecordedEvent) -> EventOut:
    # Sealed fields are shown by nobody's leave but `xunji ledger person`.
    data = {name: value for name, value in recorded.data.items() if name != "sealed"}
    shown = EventOut.model_validate(recorded, from_attributes=True)
    return shown.model_copy(update={"data": data})


# ----------------------------------------------------------------------------------------------------- commands


async def send_one(
    services: Services, once: Once, number: str, command: Command, row: int = 0, expected: Versions = ()
) -> Receipt:
    """Send a command to a nomination that is the caller's business; `expected` are the versions it was decided on."""
    target = await services.cases.target("trainee", number, once.caller)
    envelope = Envelope(once.caller, once.command_id(row), once.digest, once.correlation_id, expected)
    return await services.commands.send(target, command, envelope)


def row_model(command: type[Command]) -> type[BaseModel]:
    """The command's fields with the number of the trainee whom it is for, and the version that it is decided on."""
    assert not ROW_FIELDS & command.model_fields.keys(), f"a row of {command.name} has fields of its own"
    fields: dict[str, Any] = {"trainee": (TraineeNumber, ...), "version": (SeenVersion | None, None)}
    return create_model(f"{command.__name__}Row", __base__=command, __doc__=command.__doc__, **fields)


def _add_routes(name: str, command: type[Command]) -> None:
    row = row_model(command)
    operation = name.replace("-", "_")
    allowed_here = step("trainees:write", "trainee", name)
    words = (command.__doc__ or name).splitlines()[0]
    summary = words.split(". ")[0].rstrip(".")
    whose = " / ".join(roles_of("trainee", name))
    takes_nothing = not any(field.is_required() for field in command.model_fields.values())
    body = Body(default_factory=command) if takes_nothing else Body()
    expected_here = seen("trainee", name)

    async def one(
        number: NumberInPath,
        services: ServicesHere,
        once: OnceHere,
        body: command = body,  # type: ignore[valid-type]
        expected: Versions = expected_here,
    ) -> Response:
        async def run() -> Answer:
            return answer_of(await send_one(services, once, number, cast("Command", body), expected=expected))

        return await once.answer(run)

    async def many(
        services: ServicesHere,
        once: OnceHere,
        options: OptionsHere,
        body: ManyRows[row],  # type: ignore[valid-type]
    ) -> Response:
        asked = meant(once, options)

        async def run() -> Answer:
            return await _run_many(services, asked, command, row, body.items, options)

        return await asked.answer(run)

    routes.add_api_route(
        f"/{name}",
        many,
        methods=["POST"],
        operation_id=f"{operation}_trainees",
        summary=f"{summary} — for many",
        description=f"{words} For up to 2,000 nominations at once, a result per row; more than 500 are carried out "
        f"after the answer, as an operation. Whose step it is: {whose}.",
        response_model=RowResults,
        status_code=207,
        responses=documented(400, 409, 413, 415),
        dependencies=[allowed_here],
    )
    routes.add_api_route(
        f"/{{number}}/{name}",
        one,
        methods=["POST"],
        operation_id=f"{operation}_trainee",
        summary=summary,
        description=f"{words} Whose step it is: {whose}.",
        response_model=CommandReceipt,
        responses=documented(400, 404, 409, 413, 415),
        dependencies=[allowed_here],
    )


async def _run_many(
    services: Services, once: Once, command: type[Command], row: type[BaseModel], items: list[Any], options: Options
) -> Answer:
    def job_of(index: int, raw: object) -> Job:
        fields = parsed_row(row, raw).model_dump()
        number, version = fields.pop("trainee"), fields.pop("version")
        expected = () if version is None else (version,)
        return job_for(services, once, index, number, command.model_validate(fields), expected)

    return await answer_of_items(services, once, items, options, job_of)


def job_for(services: Services, once: Once, index: int, number: str, command: Command, expected: Versions = ()) -> Job:
    """A row's command, to be run in the lane of its trainee."""

    async def run() -> Receipt:
        return await send_one(services, once, number, command, index, expected)

    return Job(index, number, run, number)


for _name, _command in commands_of_people("trainee").items():
    if _name not in CREATING:
        _add_routes(_name, _command)
