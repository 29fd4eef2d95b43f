"""Organisations in the `institutions` book. No process waits here, so these events are the only ones that are appended
without Temporal: an organisation, its keys, its webhook endpoints.

An organisation is registered before anything else is said of it, and its stream tells the whole story of its keys.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID, uuid4, uuid5

from api.auth import KEY_ID_LENGTH, key_text, new_secret, secret_hash
from api.permissions import KeyRole
from api.problems import refused
from domain import institution_standing
from domain.decision import Block, ClaimRequest, Decision, Event, Refusal, Unblock
from domain.institution import EVENTS, InstitutionRegistered, KeyIssued
from domain.institution_standing import Institution
from domain.numbers import INSTITUTIONS, stream_name
from domain.plan import Plan
from domain.refusals import refuse, stale_refusal
from ledger.store import Ledger
from ledger.types import (
    Append,
    Appended,
    BlockClaim,
    Claim,
    ClaimRefused,
    CommandReused,
    Duplicate,
    NewEvent,
    OutboxEntry,
    StreamWrite,
    UnblockClaim,
    VersionConflict,
)

MAX_CONFLICTS: Final = 8
"""How often an append is tried anew because somebody else appended to the same organisation first."""

_INSERT_KEY: Final = """
INSERT INTO app.api_keys
    (key_id, organisation, role, secret_hash, scopes, created_at, expires_at, starts_at, officer, deputy_for)
VALUES ($1, $2, $3, $4, $5, clock_timestamp(), $6, $7, $8, $9)
ON CONFLICT (key_id) DO UPDATE SET secret_hash = EXCLUDED.secret_hash
WHERE app.api_keys.last_used_at IS NULL AND app.api_keys.revoked_at IS NULL
"""
_NOTHING_INSERTED: Final = "INSERT 0 0"


class Writable(Protocol):
    """Where a key is kept: the rows of the caller who issues it, or a pool that sees everything."""

    async def execute(self, query: str, /, *args: object) -> str: ...


class UnknownInstitution(LookupError):
    """The organisation was never registered."""


class KeyInUse(RuntimeError):
    """The command issued its key before, and the key was used since: its secret cannot be shown or replaced."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Under which command something is recorded, by whom, and when; and on which versions of the organisation's stream
    that was decided (any, when `expected_versions` is empty).
    """

    command_id: UUID
    digest: str
    actor: str
    now: datetime
    correlation_id: str = ""
    expected_versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who acts with a key, by staff number; a deputy also names whom he stands in for, and from when on."""

    officer: str = ""
    deputy_for: str = ""
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `text` is shown once and kept nowhere."""

    key_id: str
    text: str


def notice_entry(recipient: str, type_: str, data: dict[str, Any]) -> OutboxEntry:
    """What an organisation is to be told, as the mailboxes read it."""
    return OutboxEntry(recipient, type_, {"data": data, "person": None, "campaign": ""}, "")


class Registry:
    """Reads and writes the `institutions` book."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, InstitutionRegistered] = {}

    async def find(self, institution: str) -> InstitutionRegistered | None:
        """The organisation as it was registered, or None."""
        known = self._known.get(institution)
        if known is None:
            known, _ = await self._load(institution)
        return known

    async def register(self, registered: InstitutionRegistered, recording: Recording) -> None:
        """Register a new organisation. Raises Problem `already-exists`."""
        result = await self._append(registered.id, 0, registered, recording)
        if isinstance(result, VersionConflict):
            raise refused(refuse("already_exists", number=registered.id))

    async def record(
        self,
        institution: str,
        event: Event,
        recording: Recording,
        *,
        claims: tuple[Claim, ...] = (),
        outbox: tuple[OutboxEntry, ...] = (),
    ) -> int:
        """Add an event to an organisation's stream; the stream's version after it. Raises UnknownInstitution, and
        Problem `changed-meanwhile`.

        `claims` are only such as the ledger never refuses; `outbox` is what is to be told.
        """
        for _ in range(MAX_CONFLICTS):
            known, version = await self._load(institution)
            if known is None:
                raise UnknownInstitution(institution)
            stale = stale_refusal(recording.expected_versions, version)
            if stale is not None and await self._ledger.find_command(recording.command_id) is None:
                raise refused(stale)
            result = await self._append(institution, version, event, recording, claims, outbox)
            match result:
                case Appended():
                    return version + 1
                case Duplicate():
                    return version
        raise RuntimeError(f"institution/{institution} keeps changing")

    async def record_decision(self, institution: str, decided: Decision, recording: Recording) -> int:
        """Add what was decided on an organisation, one event with its claims and notices, as `record` does."""
        (event,) = decided.events
        told = tuple(notice_entry(each.recipient, each.type, each.data) for each in decided.notices)
        claims = tuple(_claim(each) for each in decided.claims)
        return await self.record(institution, event, recording, claims=claims, outbox=told)

    async def standing(self, institution: str, aside_from: UUID | None = None) -> Institution | None:
        """The organisation as it stands, without what the command `aside_from` did; None when there is none."""
        recorded = await self._ledger.read_stream(INSTITUTIONS, stream_name("institution", institution))
        return institution_standing.fold(EVENTS.read(each) for each in recorded if each.command_id != aside_from)

    async def _load(self, institution: str) -> tuple[InstitutionRegistered | None, int]:
        recorded = await self._ledger.read_stream(INSTITUTIONS, stream_name("institution", institution))
        if not recorded:
            return None, 0
        first = EVENTS.read(recorded[0])
        assert isinstance(first, InstitutionRegistered), "an organisation's stream begins with its registration"
        self._known[institution] = first
        return first, recorded[-1].version

    async def _append(
        self,
        institution: str,
        version: int,
        event: Event,
        recording: Recording,
        claims: tuple[Claim, ...] = (),
        outbox: tuple[OutboxEntry, ...] = (),
    ) -> Appended | Duplicate | VersionConflict:
        stream = stream_name("institution", institution)
        new = NewEvent(event.type, event.model_dump(mode="json"), event.schema_version)
        result = await self._ledger.append(
            Append(
                command_id=recording.command_id,
                content_hash=hashlib.sha256(recording.digest.encode()).digest(),
                actor=recording.actor,
                writes=(StreamWrite(INSTITUTIONS, stream, version, (new,)),),
                recorded_at=recording.now,
                claims=claims,
                outbox=outbox,
                correlation_id=recording.correlation_id or stream,
            )
        )
        match result:
            case CommandReused():
                raise refused(refuse("command_reused"))
            case ClaimRefused():
                raise AssertionError("these claims cannot be refused")
        return result


def _claim(request: ClaimRequest) -> Claim:
    match request:
        case Block(key, owner, start, until):
            return BlockClaim(key, owner, start, until)
        case Unblock(key, owner):
            return UnblockClaim(key, owner)
    raise TypeError(f"no organisation claims {request}")


async def issue_key(
    keys: Writable,
    ledger: Ledger,
    organisation: str,
    role: KeyRole,
    scopes: Sequence[str],
    issued_by: str,
    *,
    institution: InstitutionRegistered | None = None,
    recording: Recording | None = None,
    expires_at: datetime | None = None,
    holder: Holder | None = None,
) -> IssuedKey:
    """Issue a key to an organisation and record it. Raises UnknownInstitution, KeyInUse and Problem `school-closed`.

    `institution` registers the organisation first if nobody has: that is how the bureau gets its first key before any
    campaign (see `bureau_of`). The key's id follows from the command's, so that a repetition issues no second key; as
    long as the key was never used, the repetition gets a new secret for it.
    """
    under = recording or Recording(uuid4(), "", issued_by, datetime.now(UTC))
    registry = Registry(ledger)
    if institution is not None and await registry.find(organisation) is None:
        await registry.register(institution, replace(under, command_id=uuid5(under.command_id, "register")))
    key_id = derived_id(under.command_id)
    held = holder or Holder()
    issued = KeyIssued(
        key=key_id,
        scopes=tuple(scopes),
        issued_by=issued_by,
        officer=held.officer,
        deputy_for=held.deputy_for,
        starts_at=held.starts_at,
        expires_at=expires_at,
    )
    standing = await registry.standing(organisation)
    if standing is None:
        raise UnknownInstitution(organisation)
    decided = institution_standing.issue_key(standing, issued)
    if isinstance(decided, Refusal):
        raise refused(decided)
    await registry.record_decision(organisation, decided, under)
    secret = new_secret()
    status = await keys.execute(
        _INSERT_KEY,
        key_id,
        organisation,
        role,
        secret_hash(secret),
        list(scopes),
        expires_at,
        held.starts_at,
        held.officer,
        held.deputy_for,
    )
    if status == _NOTHING_INSERTED:
        raise KeyInUse(key_id)
    return IssuedKey(key_id, key_text(key_id, secret))


def bureau_of(plan: Plan) -> InstitutionRegistered:
    """The bureau of a plan, to be registered with its first key."""
    return InstitutionRegistered(
        id=plan.bureau, kind="bureau", name_zh=plan.bureau_name_zh, parent="", email=plan.bureau_email
    )


def derived_id(command_id: UUID) -> str:
    """16 characters that follow from the id of the command that makes something."""
    return hashlib.sha256(command_id.bytes).hexdigest()[:KEY_ID_LENGTH]
