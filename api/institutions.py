"""Organisations. A county registers its schools, the bureau anybody. Their keys: `api/keys.py`."""

from datetime import date, datetime
from typing import Annotated, Literal, Self, cast

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from api import problem_types
from api.conditional import IfNoneMatch, SeenHere, Versions, answered, etag
from api.idempotency import Answer, Once, OnceHere
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import Problem, documented, not_found, refused
from api.registry import Recording
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain.institution import InstitutionContactChanged, InstitutionRegistered, Kind
from domain.refusals import refuse
from domain.trainee_messages import Code
from projections import institutions as view

routes = router("/v1/institutions", "institutions")

InstitutionId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, examples=["410181-s01"])]
InPath = Annotated[InstitutionId, Path(description="The organisation's id.")]


class InstitutionOut(BaseModel):
    """An organisation that takes part. `email` is shown to the bureau, to itself and to what stands above it."""

    id: str
    version: int
    kind: Kind
    name_zh: str
    parent: str
    email: str | None
    gb_code: str | None
    generated: bool = Field(description="Invented to fill the notice's number of hosts.")
    registered_at: datetime
    successor: str = Field(description="The school that took over when this one was closed; empty while it takes part.")
    suspended_until: date | None = Field(description="A suspended host plans no class before this day.")


class NewInstitution(BaseModel):
    """A school that takes part, whose id begins with its county's (`410181-s01`), or an auditor (`audit-city`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[
        str,
        Field(pattern=r"^([a-z0-9]{1,32}-s[0-9]{2,4}|audit-[a-z]{2,24})$", max_length=40, examples=["410181-s01"]),
    ]
    kind: Literal["school", "auditor"] = "school"
    name_zh: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=2, max_length=100),
        Field(examples=["巩义市第一初级中学"]),
    ]
    email: Annotated[str, Field(max_length=200, pattern=r"^[^@\s]{1,64}@[^@\s]+$", examples=["s01@gy.example.invalid"])]

    @property
    def county(self) -> str:
        return self.id.rpartition("-s")[0]

    @model_validator(mode="after")
    def _id_tells_the_kind(self) -> Self:
        if self.id.startswith("audit-") != (self.kind == "auditor"):
            raise PydanticCustomError(
                "id_of_kind", "an auditor's id begins with audit-, a school's with its county's id"
            )
        return self


class RegisteredOut(BaseModel):
    """An organisation that was registered now."""

    id: str
    kind: Literal["school", "auditor"]
    name_zh: str
    parent: str


class NewContact(BaseModel):
    """The address of the office."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Annotated[str, Field(max_length=200, pattern=r"^[^@\s]{1,64}@[^@\s]+$", examples=["s01@gy.example.invalid"])]


class ContactOut(BaseModel):
    """Where an organisation's notices go now."""

    id: str
    email: str


Reader = Annotated[Caller, allowed("institutions:read")]
Registrar = Annotated[Caller, allowed("institutions:write")]


@routes.get("", operation_id="list_institutions", summary="List organisations", responses=documented())
async def list_institutions(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    kind: Annotated[Kind | None, Query()] = None,
    parent: Annotated[Code | None, Query()] = None,
) -> Page[InstitutionOut]:
    """The bureau, the hosts, the caller itself, and what stands above and below it; everything for the bureau."""
    found = await view.page(
        services.own_rows(caller), caller.actor, kind=kind, parent=parent, after=window.after, limit=window.limit
    )
    return Page(items=[_shown(row, caller) for row in found.items], next=next_cursor(found.next))


@routes.get(
    "/{institution}",
    operation_id="get_institution",
    summary="Read one organisation",
    response_model=InstitutionOut,
    responses=documented(404),
)
async def get_institution(
    institution: InPath, caller: Reader, services: ServicesHere, if_none_match: IfNoneMatch = None
) -> Response:
    """The organisation, if the caller may see it."""
    row = await view.get(services.own_rows(caller), caller.actor, institution)
    if row is None:
        raise not_found("institution", institution)
    return answered(services, _shown(row, caller), row.version, if_none_match)


def _shown(row: view.InstitutionRow, caller: Caller) -> InstitutionOut:
    sees_mail = caller.role == "bureau" or caller.organisation in (row.id, row.parent)
    return InstitutionOut(
        id=row.id,
        version=row.version,
        kind=cast("Kind", row.kind),
        name_zh=row.name_zh,
        parent=row.parent,
        email=row.email if sees_mail else None,
        gb_code=row.gb_code,
        generated=row.generated,
        registered_at=row.registered_at,
        successor=row.successor,
        suspended_until=row.suspended_until,
    )


@routes.post(
    "",
    operation_id="register_institution",
    summary="Register a school or an auditor",
    status_code=201,
    response_model=RegisteredOut,
    responses=documented(400, 409, 413, 415),
)
async def register_institution(
    body: NewInstitution, caller: Registrar, services: ServicesHere, once: OnceHere
) -> Response:
    """A county registers its own schools, the bureau anybody's and auditors. Counties and hosts come from the plan."""

    async def run() -> Answer:
        if body.kind == "auditor":
            parent = _require_bureau(caller)
        else:
            await _require_county(services, caller, body)
            parent = body.county
        registered = InstitutionRegistered(
            id=body.id, kind=body.kind, name_zh=body.name_zh, parent=parent, email=body.email
        )
        await services.registry.register(registered, await recording_of(services, once))
        shown = RegisteredOut(id=body.id, kind=body.kind, name_zh=body.name_zh, parent=parent)
        return Answer(shown.model_dump(), 201, {"Location": f"/v1/institutions/{body.id}"})

    return await once.answer(run)


def _require_bureau(caller: Caller) -> str:
    """The bureau that the caller is. Raises Problem for anybody else: an auditor answers to nobody whom he audits."""
    if caller.role != "bureau":
        raise refused(refuse("not_your_part", roles="bureau"))
    return caller.organisation


async def _require_county(services: Services, caller: Caller, school: NewInstitution) -> None:
    if caller.role == "county" and caller.organisation != school.county:
        fault = Fault(
            "school_of_another_county",
            f"The id of your school begins with `{caller.organisation}-s`.",
            f"本单位学校的编号应以“{caller.organisation}-s”开头。",
            "Correct the id.",
            "请更正编号。",
            pointer="/id",
        )
        raise Problem(problem_types.REFUSALS["school_of_another_county"], fault)
    county = await services.registry.find(school.county)
    if county is None or county.kind != "county":
        fault = Fault(
            "unknown_county",
            f"No county {school.county} takes part.",
            f"没有编号为 {school.county} 的区县单位。",
            "Begin the id with a county's; open the campaign first if there is none yet.",
            "编号应以区县单位编号开头；如尚无区县，请先启动项目。",
            pointer="/id",
        )
        raise Problem(problem_types.INVALID, fault)


async def recording_of(services: Services, once: Once, seen: Versions = ()) -> Recording:
    """What the request at hand records its events under; `seen` are the versions on which its caller has decided."""
    return Recording(
        command_id=once.command_id(),
        digest=once.digest,
        actor=str(once.caller.actor),
        now=await services.clock.now(),
        correlation_id=once.correlation_id,
        expected_versions=seen,
    )


@routes.post(
    "/{institution}/contact",
    operation_id="change_contact",
    summary="Change where notices go",
    response_model=ContactOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def change_contact(
    *, institution: InPath, body: NewContact, caller: Registrar, services: ServicesHere, once: OnceHere, seen: SeenHere
) -> Response:
    """An administrator has moved: notices go to his successor from now on; open work is the organisation's."""

    async def run() -> Answer:
        await managed(services, caller, institution)
        changed = InstitutionContactChanged(by=str(caller.actor), email=body.email)
        recording = await recording_of(services, once, seen)
        version = await services.registry.record(institution, changed, recording)
        return Answer(ContactOut(id=institution, email=body.email).model_dump(), headers={"ETag": etag(version)})

    return await once.answer(run)


async def managed(services: Services, caller: Caller, institution: str) -> InstitutionRegistered:
    """The organisation, if the caller may change it and issue keys to it: the bureau any, others themselves and what
    stands below them. Raises Problem.
    """
    found = await services.registry.find(institution)
    is_own = found is not None and caller.organisation in (found.id, found.parent)
    if found is None or not (caller.role == "bureau" or is_own):
        raise not_found("institution", institution)
    return found
