"""API keys of organisations: who gives one to whom, and how an organisation replaces its own.

A key makes no stronger one: for its own organisation it grants scopes that it carries itself, until no later than it
ends itself. So an organisation replaces its key without anybody's help: it makes a second one, gives it to its
programs, and revokes the first.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from uuid import uuid5

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api import problem_types
from api.idempotency import COMMAND_NAMESPACE, Answer, OnceHere
from api.institutions import InPath, managed, recording_of
from api.permissions import Caller, KeyRole, excess, scopes_of
from api.problems import Problem, documented, not_found
from api.receipts import Instant
from api.registry import Holder, KeyInUse, Recording, issue_key
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain.institution import KeyRevoked
from domain.trainee_review_messages import Officer

routes = router("/v1/institutions", "institutions")
KEYS_LIMIT: Final = 500
"""Keys of one organisation that are listed, the newest first."""

KeyInPath = Annotated[str, Path(pattern=r"^[a-z0-9]{16}$", description="The key's public id.")]
_AT_HAND: Final = """
SELECT officer, deputy_for, expires_at FROM app.api_keys WHERE key_id = $1 AND organisation = $2
"""

KeyReader = Annotated[Caller, allowed("keys:read")]
KeyIssuer = Annotated[Caller, allowed("keys:write")]


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
    """The bureau issues keys to everybody, a county to its schools, everybody to himself. The key is shown this once.

    A key for the caller's own organisation has at most the scopes of the key at hand, and ends no later; a deputy's is
    the same deputy's. Both work until one of them is revoked.
    """

    async def run() -> Answer:
        organisation = await managed(services, caller, institution)
        role: KeyRole = organisation.kind
        scopes = tuple(body.scopes) if body.scopes is not None else _default_scopes(role, caller, institution)
        _require_grantable(role, scopes, caller, institution)
        wanted = await _bounded(services, caller, institution, body)
        if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
            raise _already_over()
        try:
            issued = await issue_key(
                services.own_rows(caller),
                services.ledger,
                institution,
                role,
                scopes,
                str(caller.actor),
                recording=await recording_of(services, once),
                expires_at=wanted.expires_at,
                holder=Holder(wanted.officer or "", wanted.deputy_for or "", wanted.starts_at),
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
            starts_at=wanted.starts_at,
            expires_at=wanted.expires_at,
            officer=wanted.officer or "",
            deputy_for=wanted.deputy_for or "",
        )
        return Answer(shown.model_dump(mode="json"), 201)

    return await once.answer(run, secret=True)


@routes.get("/{institution}/keys", operation_id="list_keys", summary="List API keys", responses=documented(404))
async def list_keys(institution: InPath, caller: KeyReader, services: ServicesHere) -> KeyList:
    """An organisation's keys without their secrets: its own, or those that the caller may issue."""
    if caller.organisation != institution:
        await managed(services, caller, institution)
    rows = await services.own_rows(caller).fetch(
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
    await managed(services, caller, institution)
    known = await services.own_rows(caller).fetchval(
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
        await services.own_rows(caller).execute(
            "UPDATE app.api_keys SET revoked_at = clock_timestamp() WHERE key_id = $1 AND revoked_at IS NULL",
            key_id,
        )
    services.keys.forget(key_id)
    return Response(status_code=204)


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


async def _bounded(services: Services, caller: Caller, institution: str, body: NewKey) -> NewKey:
    """What the key is issued with: for the caller's own organisation within the bounds of the key at hand, and up to
    them where nothing is said. Raises Problem. Whoever has signed in has no key at hand.
    """
    if caller.organisation != institution:
        return body
    at_hand = await services.own_rows(caller).fetchrow(_AT_HAND, caller.key_id, institution)
    if at_hand is None:
        return body
    until, faults, changes = at_hand["expires_at"], [], dict[str, Any]()
    if until is not None:
        changes["expires_at"] = until if body.expires_at is None else body.expires_at
        if changes["expires_at"] > until or (body.starts_at is not None and body.starts_at >= until):
            faults.append(_outlives("/expires_at" if body.expires_at is not None else "/starts_at", until))
    if at_hand["deputy_for"]:
        for name in ("officer", "deputy_for"):
            changes[name] = at_hand[name]
            if getattr(body, name) not in (None, at_hand[name]):
                faults.append(_deputys(f"/{name}"))
    if faults:
        raise Problem(problem_types.INVALID, *faults)
    return body.model_copy(update=changes)


def _outlives(pointer: str, until: datetime) -> Fault:
    said = until.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Fault(
        "key_outlives_its_maker",
        f"The key at hand ends at {said}, and a key that it makes for its own organisation ends no later.",
        f"当前密钥于 {said} 到期，用它为本单位签发的密钥不得晚于该时间失效。",
        "Give an earlier instant, or leave `expires_at` out; the bureau, or a school's county, issues a longer one.",
        "请填写更早的时间，或省略 `expires_at`；更长有效期的密钥由教育局（学校由所属区县）签发。",
        pointer=pointer,
    )


def _deputys(pointer: str) -> Fault:
    return Fault(
        "deputy_hands_nothing_on",
        "The key at hand is a deputy's, and a key that it makes is the same deputy's.",
        "当前密钥属于代理人，用它签发的密钥也只能属于同一代理人。",
        "Leave it out, or use a key that is no deputy's.",
        "请省略该字段，或使用非代理人的密钥。",
        pointer=pointer,
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
