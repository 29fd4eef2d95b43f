"""What the routes work with, made once when the process starts, and how a route asks for it.

The dependencies are coroutines although they wait for nothing: FastAPI sends a plain function to a thread.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import asyncpg
from fastapi import Depends, Request

from api import problem_types
from api.accounts import Accounts
from api.auth import NOT_YOUR_PART, Keys, not_your_part, require_scope
from api.cases import Cases
from api.commands import Commands, TemporalLink
from api.gate import Gate
from api.inbox import Inbox
from api.numbers import Numbers
from api.oidc import Provider
from api.own_rows import OwnRows
from api.permissions import KEY_ROLES, SCOPES, Caller, KeyRole, ProcessWithCommands, roles_of
from api.problem_types import ProblemType
from api.rate_limits import RateLimits
from api.registry import Registry
from api.sessions import Sessions
from clock import Clock
from ledger.store import Ledger
from ledger.vault import Vault
from ledger.witness import WitnessService
from projections.checkpoints import Checkpoints
from projections.plans import PlanStore
from secrets_box import SecretsBox
from services.judging import Judge
from services.person_records import PersonRecords
from services.personal_reads import Trail
from settings import Settings
from signed_links import SignedLinks
from spreadsheets.process import SpreadsheetProcesses


@dataclass(frozen=True, slots=True)
class Services:
    """The parts behind the routes. `digest_key` keys digests of bodies, `certificate_key` codes of certificates.

    `pool` sees every row: it is for what the process does by itself, and for what belongs to nobody. What is asked for
    a caller goes through `own_rows`. `tests/api/test_scope_of_queries.py` has every use of `pool` with its reason.
    """

    settings: Settings
    pool: "asyncpg.Pool[Any]"
    callers_pool: "asyncpg.Pool[Any]"
    ledger: Ledger
    vault: Vault
    plans: PlanStore
    clock: Clock
    keys: Keys
    limits: RateLimits
    sessions: Sessions
    accounts: Accounts
    provider: Provider | None
    gate: Gate
    numbers: Numbers
    cases: Cases
    registry: Registry
    people: PersonRecords
    trail: Trail
    checkpoints: Checkpoints
    temporal: TemporalLink
    inbox: Inbox
    commands: Commands
    judge: Judge
    box: SecretsBox
    digest_key: bytes
    certificate_key: bytes
    links: SignedLinks
    witness: WitnessService | None = None
    sheets: SpreadsheetProcesses = field(default_factory=SpreadsheetProcesses)
    work_announced: asyncio.Event = field(default_factory=asyncio.Event)

    def own_rows(self, caller: Caller) -> OwnRows:
        """The database as the caller sees it."""
        return OwnRows(self.callers_pool, caller)


async def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    services: Services = request.app.state.services
    return services


async def caller_of(request: Request) -> Caller:
    """The caller, whom the route has authenticated before anything else (`api.routing`)."""
    caller: Caller = request.state.caller
    return caller


ANY_KEY: Final = ""


class Allowed:
    """A dependency that lets only certain keys through, and gives the caller: those that carry a scope, and, for a
    command, those of a role whose step it is. ANY_KEY is no scope: every key passes.
    """

    def __init__(self, scope: str, roles: tuple[str, ...] = ()) -> None:
        assert scope in SCOPES or (scope == ANY_KEY and not roles), f"no scope {scope}"
        self.scope = scope
        self.roles = roles

    @property
    def open_to(self) -> tuple[KeyRole, ...]:
        """The roles that get through, given a key with every scope of its role."""
        carrying = SCOPES.get(self.scope, frozenset(KEY_ROLES))
        return tuple(role for role in KEY_ROLES if role in carrying and (not self.roles or role in self.roles))

    def refusal(self, role: KeyRole) -> ProblemType | None:
        """What a key with every scope of its role is answered with, None when it gets through."""
        if role in self.open_to:
            return None
        return problem_types.SCOPE_MISSING if not self.roles or role in self.roles else NOT_YOUR_PART

    async def __call__(self, caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if self.roles and caller.role not in self.roles:
            raise not_your_part(self.roles)
        if self.scope != ANY_KEY:
            require_scope(caller, self.scope)
        return caller


ServicesHere = Annotated[Services, Depends(services_of)]
CallerHere = Annotated[Caller, Depends(caller_of)]


def allowed(scope: str, *roles: KeyRole) -> Any:
    """For a route's parameter: the caller, whose key must carry `scope`, and be of one of `roles` if some are named."""
    return Depends(Allowed(scope, roles))


def any_key() -> Any:
    """For a route's parameter: the caller, whatever his key may do."""
    return Depends(Allowed(ANY_KEY))


def step(scope: str, process: ProcessWithCommands, command: str) -> Any:
    """For a command's route: the key must carry `scope`, and the command must be a step of its role."""
    return Depends(Allowed(scope, roles_of(process, command)))
