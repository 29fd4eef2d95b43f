"""The composition root of the HTTP API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from api import (
    attendance,
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
    ledger,
    mailboxes,
    me,
    nomination_import_work,
    nomination_imports,
    nominations,
    objections,
    operations,
    person_records,
    personal_reads,
    quotas,
    restrictions,
    school_closures,
    substitutions,
    trainees,
    training_days,
    waiting,
    webhook_deliveries,
    webhook_endpoints,
    witness,
)
from api.auth import Keys
from api.cases import Cases
from api.commands import Commands, TemporalLink
from api.edge import Edge
from api.gate import Gate
from api.idempotency import sweep_for_ever
from api.numbers import Numbers
from api.openapi import describe
from api.personal import NotingVault
from api.problems import add_problem_handlers
from api.rate_limits import Limit, RateLimits
from api.registry import Registry
from api.services import Services
from clock import clock_for
from database import application_pool
from event_schemas import SCHEMAS
from ledger.store import Ledger
from ledger_trust import witness_service_of
from projections.checkpoints import Checkpoints
from projections.plans import PlanStore
from secrets_box import SecretsBox
from services.person_records import PersonRecords
from settings import Settings, former_keys, key_bytes
from signed_links import SignedLinks
from temporal_client import connect
from vaults import vault_of

POOL_SIZE: Final = 16
CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 30.0
ROUTERS: Final = (
    # A request is matched against one route after the other, so what comes most often stands first; but an export is
    # not a trainee of the number `export`.
    exports.routes,
    trainees.routes,
    nominations.routes,
    nomination_imports.routes,
    operations.routes,
    classes.routes,
    restrictions.routes,
    campaigns.routes,
    campaign_commands.routes,
    quotas.routes,
    waiting.routes,
    substitutions.routes,
    institutions.routes,
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
    health.routes,
    docs.routes,
)

OPERATIONS: Final = operations.Operations({nomination_import_work.KIND: nomination_import_work.carry_out})


def create_app(settings: Settings) -> FastAPI:
    """The API on these settings. It starts without database and Temporal, and says 503 until they are there."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = services = await _services(settings, stack)
            tasks = [
                asyncio.create_task(services.keys.touch_for_ever(), name="api.touch_keys"),
                asyncio.create_task(sweep_for_ever(services.pool), name="api.sweep_answers"),
                asyncio.create_task(services.limits.sweep_for_ever(), name="api.sweep_rate_limits"),
                asyncio.create_task(OPERATIONS.run_for_ever(services), name="api.operations"),
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
    pool = await stack.enter_async_context(
        application_pool(
            settings,
            # No connection is opened before it is needed, so the process starts without its database.
            min_size=0,
            max_size=POOL_SIZE,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            reset=_leave_as_it_is,
        )
    )
    store = Ledger(pool, SCHEMAS)
    stack.push_async_callback(store.close)
    vault = vault_of(settings, pool, NotingVault)
    checkpoints = Checkpoints(pool)
    stack.push_async_callback(checkpoints.close)
    plans = PlanStore(pool)
    link = TemporalLink(partial(connect, settings))
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
        ledger=store,
        vault=vault,
        plans=plans,
        clock=clock_for(settings.clock, pool),
        keys=keys,
        limits=limits,
        gate=Gate(keys, limits),
        numbers=Numbers(pool),
        cases=Cases(store, plans),
        registry=Registry(store),
        people=PersonRecords(pool, store, vault, checkpoints),
        checkpoints=checkpoints,
        temporal=link,
        commands=Commands(link, settings.task_queue),
        box=SecretsBox(key_bytes(settings.master_key), former_keys(settings.former_master_keys)),
        digest_key=_derived_key(key_bytes(settings.index_key), b"xunji body digest 1"),
        certificate_key=_derived_key(key_bytes(settings.index_key), b"xunji certificate code 1"),
        links=SignedLinks(key_bytes(settings.link_key), settings.public_url),
        witness=witness_service_of(settings, pool),
    )


async def _leave_as_it_is(_connection: Any) -> None:
    """Nothing here changes a connection beyond its transaction, so the costly reset after each use is left out."""


def _derived_key(index_key: bytes, purpose: bytes) -> bytes:
    """A key of its own for one purpose, derived so that it tells nothing of the index key."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(index_key)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
