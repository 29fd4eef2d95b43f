"""Organisations and their API keys. A county registers its schools and gives them keys, the bureau all."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self, cast
from uuid import uuid5

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from api import problem_types
from api.conditional import IfNoneMatch, SeenHere, Versions, answered, etag
from api.idempotency import COMMAND_NAMESPACE, Answer, Once, OnceHere
from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller, KeyRole, excess, scopes_of
from api.problems import Problem, documented, not_found, refused
from api.receipts import Instant
from api.registry import Holder, KeyInUse, Recording, issue_key
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain import institution_standing
from domain.institution import InstitutionRegistered, KeyRevoked, Kind
from domain.refusals import refuse
from domain.trainee_messages import Code
from domain.trainee_review_messages import Officer
from projections import institutions as view

routes = router("/v1/institutions", "institutions")
KEYS_LIMIT = 500
"""Keys of one organisation that are listed, the newest first."""

InstitutionId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, examples=["410181-s01"])]
InPath = Annotated[InstitutionId, Path(description="The organisation's id.")]
KeyInPath = Annotated[str, Path(pattern=r"^[a-z0-9]{16}$", description="The key's public id.")]


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


class NewKey(BaseModel):
    """What a key is issued with; every scope of the role unless some are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scopes: Annotated[list[str] | None, Field(min_length=1, max_length=40, examples=[["trainees:read"]])] = None
    starts_at: Instant | None = None
    expires_at: Instant | None = None
    officer: Annotated[Officer | None, Field(description="The staff number of whoever acts with it.")] = None
    deputy_for: Annotated[
        Officer | None,
        Field(description="Whom he stands in for; such a key has an officer and both dates."),
    ] = None

    @model_validator(mode="after")
    def _deputy_has_dates(self) -> Self:
        if self.deputy_for and not (self.officer and self.starts_at and self.expires_at):
            raise PydanticCustomError("deputy_dates", "a deputy's key needs officer, starts_at and expires_at")
        if self.starts_at and self.expires_at and self.expires_at <= self.starts_at:
            raise PydanticCustomError("key_dates", "expires_at must lie after starts_at")
        return self


class IssuedKeyOut(BaseModel):
    """A new key. `key` is shown this once and kept nowhere."""

    key: str = Field(examples=["xj_0123456789abcdef_…"])
    key_id: str
    organisation: str
    role: KeyRole
    scopes: list[str]
    starts_at: datetime | None
    expires_at: datetime | None
    officer: str
    deputy_for: str


class KeyOut(BaseModel):
    """A key without its secret."""

    key_id: str
    role: KeyRole
    scopes: list[str]
    officer: str = Field(description="Whose key it is: the acts under its id stay his, also after he has moved.")
    deputy_for: str
    created_at: datetime
    starts_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyList(BaseModel):
    """An organisation's keys, the newest first."""

    items: list[KeyOut]


Reader = Annotated[Caller, allowed("institutions:read")]
Registrar = Annotated[Caller, allowed("institutions:write")]
KeyReader = Annotated[Caller, allowed("keys:read")]
KeyIssuer = Annotated[Caller, allowed("keys:write")]


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
        services.pool, caller.actor, kind=kind, parent=parent, after=window.after, limit=window.limit
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
    row = await view.get(services.pool, caller.actor, institution)
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
        await _managed(services, caller, institution)
        changed = institution_standing.change_contact(body.email, by=str(caller.actor))
        recording = await recording_of(services, once, seen)
        version = await services.registry.record_decision(institution, changed, recording)
        return Answer(ContactOut(id=institution, email=body.email).model_dump(), headers={"ETag": etag(version)})

    return await once.answer(run)


# --------------------------------------------------------------------------------------------------------- keys


@routes.post(
    "/{institution}/keys",
    operation_id="issue_key",
    summary="Issue an API key",
    status_code=201,
    response_model=IssuedKeyOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def issue(
    institution: InPath, body: NewKey, caller: KeyIssuer, services: ServicesHere, once: OnceHere
) -> Response:
    """The bureau issues keys to everybody, a county to its schools and to itself. The key is shown this once."""

    async def run() -> Answer:
        organisation = await _managed(services, caller, institution)
        role: KeyRole = organisation.kind
        scopes = tuple(body.scopes) if body.scopes is not None else _default_scopes(role, caller, institution)
        _require_grantable(role, scopes, caller, institution)
        if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
            raise _already_over()
        try:
            issued = await issue_key(
                services.pool,
                services.ledger,
                institution,
                role,
                scopes,
                str(caller.actor),
                recording=await recording_of(services, once),
                expires_at=body.expires_at,
                holder=Holder(body.officer or "", body.deputy_for or "", body.starts_at),
            )
        except KeyInUse:
            raise _shown_before() from None
        services.keys.forget(issued.key_id)
        shown = IssuedKeyOut(
            key=issued.text,
            key_id=issued.key_id,
            organisation=institution,
            role=role,
            scopes=list(scopes),
            starts_at=body.starts_at,
            expires_at=body.expires_at,
            officer=body.officer or "",
            deputy_for=body.deputy_for or "",
        )
        return Answer(shown.model_dump(mode="json"), 201)

    return await once.answer(run, secret=True)


@routes.get("/{institution}/keys", operation_id="list_keys", summary="List API keys", responses=documented(404))
async def list_keys(institution: InPath, caller: KeyReader, services: ServicesHere) -> KeyList:
    """An organisation's keys without their secrets: its own, or those that the caller may issue."""
    if caller.organisation != institution:
        await _managed(services, caller, institution)
    rows = await services.pool.fetch(
        "SELECT key_id, role, scopes, officer, deputy_for, created_at, starts_at, expires_at, revoked_at, last_used_at "
        "FROM app.api_keys "
        "WHERE organisation = $1 ORDER BY created_at DESC, key_id LIMIT $2",
        institution,
        KEYS_LIMIT,
    )
    return KeyList(items=[KeyOut.model_validate(dict(row)) for row in rows])


@routes.delete(
    "/{institution}/keys/{key_id}",
    operation_id="revoke_key",
    summary="Revoke an API key",
    status_code=204,
    responses=documented(404),
)
async def revoke_key(institution: InPath, key_id: KeyInPath, caller: KeyIssuer, services: ServicesHere) -> Response:
    """The key is not accepted any more: here at once, in other processes within seconds. Again changes nothing."""
    await _managed(services, caller, institution)
    known = await services.pool.fetchval(
        "SELECT revoked_at IS NOT NULL FROM app.api_keys WHERE organisation = $1 AND key_id = $2",
        institution,
        key_id,
    )
    if known is None:
        raise not_found("key", key_id)
    if not known:
        by = str(caller.actor)
        recording = Recording(
            command_id=uuid5(COMMAND_NAMESPACE, f"revoke {key_id}"),
            digest=f"revoke {key_id}",
            actor=by,
            now=await services.clock.now(),
        )
        await services.registry.record(institution, KeyRevoked(key=key_id, revoked_by=by), recording)
        await services.pool.execute(
            "UPDATE app.api_keys SET revoked_at = clock_timestamp() WHERE key_id = $1 AND revoked_at IS NULL",
            key_id,
        )
    services.keys.forget(key_id)
    return Response(status_code=204)


async def _managed(services: Services, caller: Caller, institution: str) -> InstitutionRegistered:
    """The organisation, if the caller may issue keys to it. Raises Problem."""
    found = await services.registry.find(institution)
    is_own = found is not None and caller.organisation in (found.id, found.parent)
    if found is None or not (caller.role == "bureau" or is_own):
        raise not_found("institution", institution)
    return found


def _default_scopes(role: KeyRole, caller: Caller, institution: str) -> tuple[str, ...]:
    """Every scope of the role; for one's own organisation no more than the key at hand carries."""
    return tuple(scope for scope in scopes_of(role) if caller.organisation != institution or scope in caller.scopes)


def _require_grantable(role: KeyRole, scopes: tuple[str, ...], caller: Caller, institution: str) -> None:
    wrong = set(excess(role, scopes))
    if caller.organisation == institution:
        # A key must not make itself a stronger one.
        wrong |= set(scopes) - caller.scopes
    if not wrong:
        return
    known = ", ".join(_default_scopes(role, caller, institution))
    raise Problem(
        problem_types.INVALID,
        *(
            Fault(
                "scope_not_grantable",
                f"`{scope[:64]}` cannot be given to this key.",
                f"不能授予权限“{scope[:64]}”。",
                f"Possible here: {known}.",
                f"此处可用：{known}。",
                pointer=f"/scopes/{scopes.index(scope)}",
            )
            for scope in sorted(wrong)
        ),
    )


def _shown_before() -> Problem:
    fault = Fault(
        "already_exists",
        "This request issued its key before, and the key was used since.",
        "该请求已签发过密钥，且密钥已被使用。",
        "Send a new Idempotency-Key to get another key.",
        "如需另一密钥，请使用新的 Idempotency-Key。",
        parameter="Idempotency-Key",
    )
    return Problem(problem_types.REFUSALS["already_exists"], fault)


def _already_over() -> Problem:
    fault = Fault(
        "already_over",
        "The key would have expired already.",
        "有效期已过。",
        "Give an instant in the future, or leave it out.",
        "请填写将来的时间，或省略。",
        pointer="/expires_at",
    )
    return Problem(problem_types.INVALID, fault)
