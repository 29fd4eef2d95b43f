"""The API on real parts: a migrated database, organisations with keys, and, where a test wants it, a Temporal with a
worker. Requests go through the whole app, from the edge inwards.
"""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import create_app
from api.permissions import KeyRole, scopes_of
from api.registry import issue_key
from api.services import Services
from clock import CACHE_S, create_demo_clock
from domain.institution import InstitutionRegistered
from domain.plan import Plan
from projections.engine import Projector
from settings import Settings
from tests.api.described import check_described
from tests.specification import the_plan
from worker import create_worker
from workflows.messages import MAILBOX_WORKFLOW_TYPE

BUREAU, COUNTY, OTHER_COUNTY = "zzedu", "410181", "410182"
SCHOOL, OTHER_SCHOOL = "410181-s01", "410182-s01"
HOST, OTHER_HOST = "h001", "h002"
AUDITOR = "audit-city"
ROLE_OF: dict[str, KeyRole] = {
    BUREAU: "bureau",
    COUNTY: "county",
    OTHER_COUNTY: "county",
    SCHOOL: "school",
    OTHER_SCHOOL: "school",
    HOST: "host",
    OTHER_HOST: "host",
    AUDITOR: "auditor",
}
PARENT_OF = {
    COUNTY: BUREAU,
    OTHER_COUNTY: BUREAU,
    SCHOOL: COUNTY,
    OTHER_SCHOOL: OTHER_COUNTY,
}
PRECONDITION_FAILED, PRECONDITION_REQUIRED = 412, 428
MAX_LOOKS = 10
"""A deadline that passes meanwhile moves a case on; who has looked before looks again."""

READ_FROM_VIEWS = ("/v1/institutions/", "/v1/campaigns/")
NOBODY_LISTENS = "127.0.0.1:1"
PLAN_NUMBERS = count(1)
DAYS_PER_SECOND = 1_000.0
"""Fast, so that the demo clock stands at its cap at once."""

FIRST_MOMENT = datetime(2022, 8, 25, 2, tzinfo=UTC)


@dataclass
class API:
    """A running app, and how each organisation calls it."""

    app: FastAPI
    http: httpx2.AsyncClient
    settings: Settings
    plan: Plan
    projector: Projector
    keys: dict[str, str] = field(default_factory=dict)
    projecting: "asyncio.Task[None] | None" = None

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    async def call(
        self, organisation: str, method: str, path: str, body: Any = None, *, key: str = "", **more: Any
    ) -> httpx2.Response:
        """A request with the organisation's key; a POST gets a fresh Idempotency-Key unless one is given.

        What needs an `If-Match` and was sent without one is read and sent again, as people do who look first. Every
        answer is held against the API's description. Raises what the views have ended with, should they: whoever asks
        until they show something would ask for ever.
        """
        if self.projecting is not None and self.projecting.done():
            self.projecting.result()
            raise RuntimeError("the views are not kept any more")
        headers = {"Authorization": f"Bearer {self.keys[organisation]}", **more.pop("headers", {})}
        if method == "POST":
            headers.setdefault("Idempotency-Key", key or str(uuid4()))
        if body is not None:
            more["json"] = body
        response = await self.http.request(method, path, headers=headers, **more)
        if response.status_code == PRECONDITION_REQUIRED and "If-Match" not in headers:
            for _ in range(MAX_LOOKS):
                headers["If-Match"] = await self.tag(organisation, path.rpartition("/")[0])
                response = await self.http.request(method, path, headers=headers, **more)
                if response.status_code != PRECONDITION_FAILED or key:
                    break
                # What was refused is answered so for ever under its key.
                headers["Idempotency-Key"] = str(uuid4())
        assert response.status_code != 500, response.text
        check_described(method, response)
        return response

    async def tag(self, organisation: str, path: str) -> str:
        """The `ETag` of what the organisation reads at the address; any tag where there is nothing for it."""
        if path.startswith(READ_FROM_VIEWS):
            await self.seen()
        read = await self.get(organisation, path)
        return read.headers.get("ETag", '"1"')

    async def get(self, organisation: str, path: str, **more: Any) -> httpx2.Response:
        return await self.call(organisation, "GET", path, **more)

    async def post(self, organisation: str, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return await self.call(organisation, "POST", path, body, **more)

    async def seen(self) -> None:
        """Wait until the views have met everything that is recorded."""
        await self.projector.catch_up()

    async def recorded(self) -> int:
        """How many events there are of cases, people and quotas; what timers of campaign and classes do is left out."""
        count: int = await self.services.pool.fetchval(
            "SELECT count(*) FROM ledger.events WHERE split_part(stream, '/', 1) NOT IN ('campaign', 'class')"
        )
        return count

    async def go_to(self, instant: datetime) -> None:
        """Let the demo's time pass up to an instant."""
        answer = await self.post(BUREAU, "/v1/clock/advance", {"until": instant.isoformat()})
        assert answer.status_code == 200, answer.text
        while await self.services.clock.now() < instant:
            await asyncio.sleep(0.005)
        # The worker has a clock of its own, which may show the time before for as long as it is cached.
        await asyncio.sleep(2 * CACHE_S)

    def problem(self, response: httpx2.Response) -> str:
        """The slug of the problem that a response is; checks that it is a whole problem document."""
        return check_problem(response.json(), response)


def check_problem(document: dict[str, Any], response: httpx2.Response | None = None) -> str:
    """The slug of a problem document, after checking everything that each of them must have."""
    if response is not None:
        assert response.headers["content-type"] == "application/problem+json", response.text
        assert response.status_code == document["status"]
        assert response.headers["x-request-id"] == document["request_id"]
    assert document["type"].startswith("http://xunji.test/problems/")
    assert document["title"]
    assert document["title_zh"]
    assert document["detail"]
    assert document["errors"]
    for each in document["errors"]:
        assert {"code", "detail", "detail_zh", "remedy", "remedy_zh"} <= each.keys(), each
        assert all(each[name] for name in ("code", "detail", "detail_zh", "remedy", "remedy_zh")), each
    return str(document["type"]).rsplit("/", 1)[1]


def settings_for(database_url: str, state_dir: Path, **changes: Any) -> Settings:
    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    values = {
        "database_url": database_url,
        "master_key": key(),
        "index_key": key(),
        "signing_key": key(),
        "link_key": key(),
        "public_url": "http://xunji.test",
        "temporal_address": NOBODY_LISTENS,
        "state_dir": state_dir,
        "rate_limit_per_minute": 0,
        "failed_sign_ins_per_minute": 0,
        **changes,
    }
    return Settings.model_validate(values)


def own_plan() -> Plan:
    """The plan under an id and a number prefix of this test's own, because tests share one Temporal server."""
    number = next(PLAN_NUMBERS)
    prefix = f"{chr(97 + number // 2_600 % 26)}{chr(97 + number // 100 % 26)}{number % 100:02d}"
    return the_plan().model_copy(update={"id": f"test-{uuid4().hex[:8]}", "number_prefix": prefix})


@contextlib.asynccontextmanager
async def running(settings: Settings, plan: Plan) -> AsyncIterator[API]:
    """The app on these settings, with every organisation of ROLE_OF and a key for each."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        projector = Projector(services.pool, services.ledger)
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://xunji.test") as http:
            api = API(app, http, settings, plan, projector)
            for organisation, role in ROLE_OF.items():
                api.keys[organisation] = await new_key(services, organisation, role)
            yield api
        await projector.close()


@contextlib.asynccontextmanager
async def prepared(
    database_url: str, state_dir: Path, temporal_address: str, plan: Plan | None = None
) -> AsyncIterator[API]:
    """The API on a migrated database, with a demo clock that stands at the first morning, and a task queue of its own
    for a worker.
    """
    connection = await asyncpg.connect(database_url)
    await create_demo_clock(connection, FIRST_MOMENT, DAYS_PER_SECOND)
    # Earlier restrictions have no prefix of their own, and tests share one Temporal server.
    await connection.execute("INSERT INTO app.number_series VALUES ('prior', $1)", secrets.randbelow(10**8))
    await connection.close()
    queue = f"test-{uuid4()}"
    settings = settings_for(database_url, state_dir, temporal_address=temporal_address, clock="demo", task_queue=queue)
    async with running(settings, plan or own_plan()) as api:
        yield api


async def new_key(services: Services, organisation: str, role: KeyRole, *scopes: str) -> str:
    """A key as the operator issues it; the organisation is registered if it was not."""
    issued = await issue_key(
        services.pool,
        services.ledger,
        organisation,
        role,
        scopes or scopes_of(role),
        "operator",
        institution=InstitutionRegistered(
            id=organisation,
            kind=role,
            name_zh=f"单位{organisation}",
            parent=PARENT_OF.get(organisation, ""),
            email=f"{organisation}@example.invalid",
        ),
    )
    return issued.text


@contextlib.asynccontextmanager
async def working(api: API, client: Client) -> AsyncIterator[None]:
    """A worker and the views, until the block is left."""
    await remove_mailboxes(client)
    services, stop = api.services, asyncio.Event()
    projecting = api.projecting = asyncio.create_task(api.projector.run(stop))
    try:
        async with create_worker(api.settings, client, services.pool, services.ledger, api.projector._checkpoints):
            yield
    finally:
        api.projecting = None
        stop.set()
        await projecting


async def remove_mailboxes(client: Client) -> None:
    """End the mailboxes of the tests before. Organisations are the same in every test, so their mailboxes have the same
    workflow ids, and one that is left over waits on the task queue of a worker that is gone.
    """
    async for left in client.list_workflows(
        f"WorkflowType = '{MAILBOX_WORKFLOW_TYPE}' AND ExecutionStatus = 'Running'"
    ):
        with contextlib.suppress(RPCError):
            await client.get_workflow_handle(left.id, run_id=left.run_id).terminate("the test has ended")


async def open_campaign(api: API) -> httpx2.Response:
    """The bureau sends the plan."""
    response = await api.call(
        BUREAU,
        "POST",
        "/v1/campaigns",
        headers={"Content-Type": "application/yaml"},
        content=api.plan.canonical(),
    )
    assert response.status_code == 201, response.text
    return response
