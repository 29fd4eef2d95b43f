"""The composition root of the HTTP API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from api import (
    attendance,
    attendance_imports,
    bulletins,
    campaign_commands,
    campaigns,
    certificates,
    classes,
    clock,
    deliveries,
    docs,
    duties,
    events,
    explanations,
    exports,
    health,
    host_standing,
    identity_reviews,
    institutions,
    keys,
    ledger,
    mailboxes,
    me,
    nomination_imports,
    nomination_rows,
    nominations,
    objections,
    operations,
    outcome_imports,
    person_records,
    personal_reads,
    quotas,
    registration_imports,
    restrictions,
    school_closures,
    sign_in,
    substitutions,
    trainees,
    training_days,
    waiting,
    webhook_deliveries,
    webhook_endpoints,
    witness,
)
from api.accounts import Accounts
from api.auth import Keys
from api.cases import Cases
from api.commands import Commands, TemporalLink
from api.draining import Drainer
from api.edge import Edge
from api.gate import Gate
from api.idempotency import sweep_for_ever
from api.inbox import Inbox
from api.numbers import Numbers
from api.oidc import Provider
from api.openapi import describe
from api.personal import NotingVault
from api.problems import add_problem_handlers
from api.rate_limits import Limit, RateLimits
from api.registry import Registry
from api.services import Services
from api.sessions import Sessions
from clock import clock_for
from database import application_pool, caller_pool
from event_schemas import SCHEMAS
from ledger.store import Ledger
from ledger_trust import witness_service_of
from projections.checkpoints import Checkpoints
from projections.plans import PlanStore
from secrets_box import SecretsBox
from services.judging import Judge
from services.person_records import PersonRecords
from services.personal_reads import Trail
from settings import Settings, former_keys, key_bytes
from signed_links import SignedLinks
from temporal_client import connect
from vaults import vault_of

POOL_SIZE: Final = 16
CALLERS_POOL_SIZE: Final = 8
"""Connections of the callers' role: their statements are short, and more would only take turns on the same cores."""

CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 30.0
ROUTERS: Final = (
    # A request is matched against one route after the other, so what comes most often stands first; but an export is
    # not a trainee of the number `export`.
    exports.routes,
    trainees.routes,
    nominations.routes,
    nomination_imports.routes,
    registration_imports.routes,
    attendance_imports.routes,
    outcome_imports.routes,
    operations.routes,
    classes.routes,
    restrictions.routes,
    campaigns.routes,
    campaign_commands.routes,
    quotas.routes,
    waiting.routes,
    substitutions.routes,
    institutions.routes,
    keys.routes,
    me.routes,
    attendance.routes,
    duties.routes,
    school_closures.routes,
    explanations.trainee_routes,
    explanations.routes,
    person_records.routes,
    identity_reviews.routes,
    personal_reads.routes,
    bulletins.routes,
    certificates.routes,
    certificates.public_routes,
    training_days.routes,
    training_days.person_routes,
    host_standing.routes,
    objections.public_routes,
    webhook_endpoints.routes,
    webhook_deliveries.routes,
    events.routes,
    mailboxes.routes,
    deliveries.routes,
    ledger.routes,
    ledger.proofs,
    witness.routes,
    clock.routes,
    sign_in.routes,
    sign_in.callback_routes,
    health.routes,
    docs.routes,
)

NOUNS: Final = (nomination_rows.NOUN, registration_imports.NOUN, attendance_imports.NOUN, outcome_imports.NOUN)
OPERATIONS: Final = operations.Operations({each.kind: each.carry_out for each in NOUNS})


def create_app(settings: Settings) -> FastAPI:
    """The API on these settings. It starts without database and Temporal, and says 503 until they are there."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = services = await _services(settings, stack)
            drainer = Drainer(services)
            stack.push_async_callback(drainer.give_up_lease)
            tasks = [
                asyncio.create_task(services.keys.touch_for_ever(), name="api.touch_keys"),
                asyncio.create_task(sweep_for_ever(services.pool), name="api.sweep_answers"),
                asyncio.create_task(services.limits.sweep_for_ever(), name="api.sweep_rate_limits"),
                asyncio.create_task(OPERATIONS.run_for_ever(services), name="api.operations"),
                asyncio.create_task(drainer.run_for_ever(), name="api.drain_inbox"),
            ]
            stack.push_async_callback(_end, tasks)
            yield
            await services.keys.touch()

    return _app(settings.public_url, lifespan)


def describe_without_settings() -> dict[str, Any]:
    """The API's description, which does not depend on where it runs."""
    return _app("", None).openapi()


def _app(origin: str, lifespan: Any) -> FastAPI:
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=[Middleware(Edge, origin=origin)],
    )
    for each in ROUTERS:
        # The routes themselves rather than `include_router`, whose nested matching costs as much as a small request.
        app.router.routes.extend(each.routes)
    docs.mount_static(app)
    add_problem_handlers(app, origin)
    own = [route for each in ROUTERS for route in each.routes if isinstance(route, APIRoute)]
    described: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not described:
            described.update(describe(app, own))
        return described

    # FastAPI's documented way to describe an app in one's own words.
    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _services(settings: Settings, stack: AsyncExitStack) -> Services:
    options: dict[str, Any] = {
        # No connection is opened before it is needed, so the process starts without its database.
        "min_size": 0,
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": STATEMENT_TIMEOUT_S,
        "reset": _leave_as_it_is,
    }
    pool = await stack.enter_async_context(application_pool(settings, max_size=POOL_SIZE, **options))
    callers = await stack.enter_async_context(caller_pool(settings, max_size=CALLERS_POOL_SIZE, **options))
    store = Ledger(pool, SCHEMAS)
    stack.push_async_callback(store.close)
    vault = vault_of(settings, pool, NotingVault)
    checkpoints = Checkpoints(pool)
    stack.push_async_callback(checkpoints.close)
    plans = PlanStore(pool)
    registry = Registry(store)
    sessions = Sessions(
        pool,
        settings.public_url,
        lasts=timedelta(hours=settings.session_hours),
        idle=timedelta(minutes=settings.session_idle_minutes),
    )
    provider = _provider(settings)
    if provider is not None:
        stack.push_async_callback(provider.close)
    link = TemporalLink(partial(connect, settings))
    box = SecretsBox(key_bytes(settings.master_key), former_keys(settings.former_master_keys))
    inbox = Inbox(pool, box)
    keys = Keys(pool)
    limits = RateLimits(
        pool,
        _derived_key(key_bytes(settings.index_key), b"xunji rate limit 1"),
        requests=Limit(settings.rate_limit_per_minute, settings.rate_limit_burst),
        failures=Limit(settings.failed_sign_ins_per_minute, settings.failed_sign_ins_per_minute),
    )
    return Services(
        settings=settings,
        pool=pool,
        callers_pool=callers,
        ledger=store,
        vault=vault,
        plans=plans,
        clock=clock_for(settings.clock, pool),
        keys=keys,
        limits=limits,
        sessions=sessions,
        accounts=Accounts(pool, registry),
        provider=provider,
        gate=Gate(keys, sessions, limits),
        numbers=Numbers(pool),
        cases=Cases(store, plans),
        registry=registry,
        people=PersonRecords(pool, store, vault, checkpoints),
        trail=Trail(pool),
        checkpoints=checkpoints,
        temporal=link,
        inbox=inbox,
        commands=Commands(link, inbox, settings.task_queue),
        judge=Judge(pool, store, checkpoints, clock_for(settings.clock, pool)),
        box=box,
        digest_key=_derived_key(key_bytes(settings.index_key), b"xunji body digest 1"),
        certificate_key=_derived_key(key_bytes(settings.index_key), b"xunji certificate code 1"),
        links=SignedLinks(key_bytes(settings.link_key), settings.public_url),
        witness=witness_service_of(settings, pool),
    )


def _provider(settings: Settings) -> Provider | None:
    """The provider of the settings, if they name one."""
    if not settings.oidc_issuer:
        return None
    secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else ""
    redirect = f"{settings.public_url.rstrip('/')}/sign-in/callback"
    return Provider(settings.oidc_issuer, settings.oidc_client_id, secret, redirect)


async def _leave_as_it_is(_connection: Any) -> None:
    """Nothing here changes a connection beyond its transaction, so the costly reset after each use is left out."""


def _derived_key(index_key: bytes, purpose: bytes) -> bytes:
    """A key of its own for one purpose, derived so that it tells nothing of the index key."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(index_key)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
