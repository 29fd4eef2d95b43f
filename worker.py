"""The composition root of the worker: workflows, activities, and the loops that keep views, mailboxes and seals going.

Run as many as wanted (`xunji worker`), one per core. The loops take turns by themselves: one process projects, one
dispatches, one seals, and another takes over when it ends.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import asyncpg
import structlog
import uvloop
from temporalio.client import Client
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    Worker,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.bulletins import BulletinActivities
from activities.deliveries import DeliveryLog
from activities.dispatch import Dispatcher
from activities.email import Mailer, MailServer
from activities.facts import LedgerFacts
from activities.institution_book import InstitutionBook
from activities.ledger import LedgerActivities
from activities.mailbox import MailboxActivities
from activities.mailbox_orders import MailboxOrders
from activities.overdue import DEMO_SWEEP_S, SWEEP_S, OverdueSweep
from activities.reach import ReachActivities
from activities.service_of_notice import ServiceOfNotice
from activities.sms_receipts import SmsReceipts
from activities.waiting import WaitingActivities
from activities.webhooks import WebhookSender
from clock import clock_for
from database import application_pool, sealer_pool
from domain.quiet_hours import QuietHours
from event_schemas import SCHEMAS
from eviction import EvictingWorkflowRunner
from ledger.store import Ledger
from ledger_trust import sealer_of, witnessing_of
from observability import configure_logging
from projections.checkpoints import Checkpoints
from projections.engine import Projector
from schedules import ensure_schedules
from secrets_box import SecretsBox, open_secret
from services.bounces import return_paths_of
from services.person_records import ErasureSweep, PersonRecords
from services.text_messages import texts_of
from settings import Settings, former_keys, key_bytes, load_settings
from signed_links import SignedLinks
from temporal_client import connect
from vaults import vault_of
from workflows.bulletins import Bulletins
from workflows.campaign import CampaignWorkflow
from workflows.mailbox import Mailbox
from workflows.quota import QuotaWorkflow
from workflows.restriction import RestrictionWorkflow
from workflows.trainee import TraineeWorkflow
from workflows.training_class import TrainingClassWorkflow

log = structlog.get_logger()
WORKFLOWS = [
    TraineeWorkflow,
    TrainingClassWorkflow,
    CampaignWorkflow,
    RestrictionWorkflow,
    QuotaWorkflow,
    Mailbox,
    Bulletins,
]
POOL_SIZE = 12
SEALER_POOL_SIZE = 2
MAX_CACHED_WORKFLOWS = 2_000
# A receiver that does not answer holds its activity for half a minute, and nothing else; many dead receivers must not
# keep commands from being carried out.
MAX_ACTIVITIES = 1_000
# As many of each as one process can feed; every poll that waits costs the server.
MAX_POLLERS = 4
# Thousands of cached workflows live long; looking through them for garbage as often as Python does by itself costs more
# than what is found. Young objects are still collected, only less often.
GARBAGE_THRESHOLDS = (50_000, 20, 100)
Loop = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


def workflow_runner(name: str) -> WorkflowRunner:
    """`unsandboxed` is what runs (docs/decisions/0004); the other two are there to be measured against."""
    match name:
        case "unsandboxed":
            return EvictingWorkflowRunner()
        case "passthrough":
            return SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_all_modules())
        case "sandboxed":
            ours = ("domain", "workflows", "asyncpg", "pydantic", "pydantic_core")
            return SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules(*ours))
        case _:
            raise ValueError(f"no workflow runner is called {name!r}")


async def keep_session(connection: Any) -> None:
    """Give a connection back as it is. Nothing here leaves session state behind, and a round trip saved counts."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set, then finish what is under way."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            application_pool(settings, min_size=2, max_size=POOL_SIZE, reset=keep_session)
        )
        sealing = await stack.enter_async_context(
            sealer_pool(settings, min_size=1, max_size=SEALER_POOL_SIZE, reset=keep_session)
        )
        ledger = Ledger(pool, SCHEMAS)
        stack.push_async_callback(ledger.close)
        checkpoints = Checkpoints(pool)
        stack.push_async_callback(checkpoints.close)
        client = await connect(settings)
        worker = create_worker(settings, client, pool, ledger, checkpoints)
        loops: tuple[Loop, ...] = (
            Projector(pool, ledger).run,
            Dispatcher(pool, client, task_queue=settings.task_queue).run,
            OverdueSweep(
                pool,
                client,
                clock_for(settings.clock, pool),
                task_queue=settings.task_queue,
                interval_s=DEMO_SWEEP_S if settings.clock == "demo" else SWEEP_S,
            ).run,
            sealer_of(settings, sealing).run,
            witnessing_of(settings, sealing).run,
            ErasureSweep(
                PersonRecords(pool, ledger, vault_of(settings, pool), checkpoints), clock_for(settings.clock, pool)
            ).run,
            DeliveryLog(pool).forget_for_ever,
        )
        texts = texts_of(settings)
        if texts is not None:
            loops = (*loops, SmsReceipts(pool, vault_of(settings, pool), texts).run)
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop(stop))
            async with worker:
                await ensure_schedules(client, settings)
                log.info("worker.ready", task_queue=settings.task_queue)
                await stop.wait()


def create_worker(
    settings: Settings,
    client: Client,
    pool: "asyncpg.Pool[asyncpg.Record]",
    ledger: Ledger,
    checkpoints: Checkpoints,
) -> Worker:
    """A worker with every workflow and activity."""
    master_key, former = key_bytes(settings.master_key), former_keys(settings.former_master_keys)
    facts = LedgerFacts(pool, ledger, checkpoints)
    mailbox = MailboxActivities(
        pool,
        people=ledger,
        vault=vault_of(settings, pool),
        webhooks=WebhookSender(allow_loopback=settings.webhook_allow_loopback),
        mailer=Mailer(
            MailServer(settings.smtp_host, settings.smtp_port, settings.mail_from, return_paths_of(settings))
        ),
        open_secret=partial(open_secret, master_key, former=former),
        objection_link=SignedLinks(key_bytes(settings.link_key), settings.public_url).objection,
        seal=SecretsBox(master_key, former).seal,
        book=InstitutionBook(ledger),
        clock=clock_for(settings.clock, pool),
        quiet_hours=QuietHours.from_text(settings.quiet_hours),
        service=ServiceOfNotice(client, settings.task_queue),
        texts=texts_of(settings),
    )
    orders = MailboxOrders(pool, InstitutionBook(ledger), clock_for(settings.clock, pool))
    polling = PollerBehaviorAutoscaling(minimum=1, initial=4, maximum=MAX_POLLERS)
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=[
            *LedgerActivities(ledger, clock_for(settings.clock, pool), facts).all(),
            *ReachActivities(client, facts, settings.task_queue).all(),
            BulletinActivities(ledger, clock_for(settings.clock, pool), facts).publish_bulletins,
            *WaitingActivities(client, facts, settings.task_queue).all(),
            mailbox.deliver_batch,
            orders.carry_out,
        ],
        workflow_runner=workflow_runner(settings.workflow_runner),
        workflow_task_poller_behavior=polling,
        activity_task_poller_behavior=polling,
        max_concurrent_activities=MAX_ACTIVITIES,
        max_cached_workflows=MAX_CACHED_WORKFLOWS,
        # Activations run on the event loop, not in threads of their own (docs/decisions/0011).
        debug_mode=True,
        # There is no external storage; with more than 1 the SDK makes a task for every payload it looks at.
        max_workflow_task_external_storage_concurrency=1,
    )


async def run_until_signalled(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    # What the imports have made stays: to look through it again and again would find nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    # A worker has a core for itself: more threads of the SDK's core would only hand their work to each other.
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)


async def main() -> None:
    """Be a worker, by the settings of the environment."""
    settings = load_settings()
    configure_logging("worker", settings.log_format, settings.log_level)
    await run_until_signalled(settings)


if __name__ == "__main__":
    uvloop.run(main())
