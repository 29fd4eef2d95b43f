"""The one path from a request to Temporal: update-with-start, so that a command works whatever happened to Temporal.

The Update's id is the command's id. Sending a command again, for whatever reason, gets its first answer. A command
that Temporal or the workers do not answer in time is handed back as `Postponed`, to be kept in the inbox
(`api/inbox.py`) and sent again later, under the same id.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, Protocol
from uuid import UUID

import structlog
from pydantic import ValidationError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api import problem_types
from api.problems import Problem, internal_error, refused
from domain.decision import Actor, Command, Refusal
from temporal_client import is_passing, update_with_start
from workflows import listing
from workflows.messages import (
    REFUSED,
    TASK_QUEUE,
    WORKFLOW_TYPES,
    CommandMessage,
    ProcessKind,
    ProcessStart,
    Receipt,
    workflow_id,
)

PATIENCE_S: Final = 20.0
"""How long a request waits for its command; then it is kept in the inbox. It may still be carried out meanwhile."""

AWAY_S: Final = 5.0
"""How long nobody waits for Temporal once it did not answer: commands are kept at once. Then one of them tries."""

SILENCES: Final = 3
"""So many commands in a row without an answer, of whatever case, mean that no worker is there."""

CONNECT_TIMEOUT_S: Final = 10.0
POLLED_WITHIN: Final = timedelta(seconds=75)
"""A worker that has nothing to do asks at least once a minute."""

MAX_ATTEMPTS: Final = 4
PAUSE_S: Final = 0.1
"""Before the second attempt; each further pause is twice as long."""

_AWAY: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
    }
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """The process that a command is for. `summary` is what the Temporal UI shows if it has to be started.

    `attributes` and `deadline` are what a new one is listed by from its start, where they are known beforehand.
    """

    kind: ProcessKind
    number: str
    campaign: str
    summary: str
    new: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    deadline: datetime | None = None


def start_of(target: Target, task_queue: str) -> WithStartWorkflowOperation[Any, Any]:
    """Start the process's workflow unless it runs."""
    return WithStartWorkflowOperation(
        WORKFLOW_TYPES[target.kind],
        ProcessStart(number=target.number, campaign=target.campaign, new=target.new),
        id=workflow_id(target.kind, target.number),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=target.summary,
        search_attributes=listing.at_start(target.attributes, target.deadline) if target.attributes else None,
    )


class Sender(Protocol):
    """Whoever may send a command: an organisation through a key, or a teacher through a signed link."""

    @property
    def actor(self) -> Actor: ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends a command, under which id. `digest` stands for what the caller sent, `expected_versions` are those of
    the stream on which he has decided (any, when it is empty).
    """

    caller: Sender
    command_id: UUID
    digest: str
    correlation_id: str
    expected_versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A command in the words of the workflows: what is sent, as often as it takes."""

    target: Target
    command: str
    message: CommandMessage
    command_id: UUID

    @property
    def process(self) -> str:
        """The process that the command is for, by the id of its workflow."""
        return workflow_id(self.target.kind, self.target.number)


class TemporalAway(Exception):
    """Temporal cannot be reached."""


class Unanswered(Exception):
    """A command got no answer: `slug` is `temporal-unavailable`, or `command-pending` when only its workflow is silent.

    It may have been carried out all the same.
    """

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


class Postponed(Exception):
    """The command was not carried out, or nobody knows whether it was. Whoever asked has it kept in the inbox."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.command)
        self.delivery = delivery


class Queue(Protocol):
    """What is kept already and must not be overtaken."""

    @property
    def in_use(self) -> bool: ...
    async def holds(self, process: str, organisation: str) -> bool: ...


waits_behind: Final[ContextVar[bool]] = ContextVar("waits_behind", default=False)
"""Whether the command at hand comes after one that waits, in the same request."""


class Breaker:
    """Whether it is worth while to wait for Temporal. `monotonic` counts seconds; a test may give its own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._silences = 0
        self._open_until_s: float | None = None

    def allows(self) -> bool:
        """Whether the command at hand may try. While Temporal is away, one of them does now and then."""
        if self._open_until_s is None:
            return True
        now_s = self._monotonic()
        if now_s < self._open_until_s:
            return False
        # This one tries; until it knows, the others do not.
        self._open_until_s = now_s + PATIENCE_S + AWAY_S
        return True

    def answered(self) -> None:
        """Somebody was answered, so everybody may try."""
        self._silences, self._open_until_s = 0, None

    def unanswered(self, slug: str) -> None:
        """Somebody was not answered: whether that says anything of the others depends on why, and how often."""
        self._silences += 1
        is_known_away = slug == problem_types.TEMPORAL_AWAY.slug or self._open_until_s is not None
        if is_known_away or self._silences >= SILENCES:
            self._open_until_s = self._monotonic() + AWAY_S


class TemporalLink:
    """A client that connects when it is first needed, and again when the first attempt failed."""

    def __init__(self, connect: Callable[[], Awaitable[Client]]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._lock = asyncio.Lock()

    async def client(self) -> Client:
        """Raises TemporalAway."""
        if self._client is not None:
            return self._client
        async with self._lock:
            if self._client is None:
                self._client = await self._connected()
            return self._client

    async def is_healthy(self) -> bool:
        """Whether Temporal answers now."""
        try:
            client = await self.client()
            return await client.service_client.check_health(timeout=timedelta(seconds=CONNECT_TIMEOUT_S))
        except (TemporalAway, RPCError):
            return False

    async def has_workers(self, task_queue: str) -> bool:
        """Whether a worker has asked for work lately. One that was killed is noticed after POLLED_WITHIN."""
        request = DescribeTaskQueueRequest(
            task_queue=TaskQueue(name=task_queue), task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        )
        try:
            client = await self.client()
            request.namespace = client.namespace
            described = await client.workflow_service.describe_task_queue(
                request, timeout=timedelta(seconds=CONNECT_TIMEOUT_S)
            )
        except (TemporalAway, RPCError):
            return False
        since = datetime.now(UTC) - POLLED_WITHIN
        return any(each.last_access_time.ToDatetime(UTC) >= since for each in described.pollers)

    async def _connected(self) -> Client:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._connect()
        except (RPCError, RuntimeError, OSError, TimeoutError) as error:
            raise TemporalAway(type(error).__name__) from error


class Commands:
    """Sends commands to their workflows and brings back a receipt, or raises what came of it instead."""

    def __init__(self, link: TemporalLink, queue: Queue, task_queue: str = TASK_QUEUE) -> None:
        self._link = link
        self._queue = queue
        self._task_queue = task_queue
        self._breaker = Breaker()

    async def send(self, target: Target, command: Command, envelope: Envelope) -> Receipt:
        """Carry out one command. Raises Problem for a refusal, and Postponed when it has to wait.

        It waits when Temporal or the workers are away, and behind what is kept for its process or from its sender.
        """
        message = CommandMessage(
            actor=envelope.caller.actor,
            body=command.model_dump(mode="json"),
            digest=envelope.digest,
            correlation_id=envelope.correlation_id,
            expected_versions=envelope.expected_versions,
        )
        return await self.pass_on(Delivery(target, command.name, message, envelope.command_id))

    async def pass_on(self, delivery: Delivery) -> Receipt:
        """The same for a command in the words of the workflows."""
        message = delivery.message
        if waits_behind.get():
            raise Postponed(delivery)
        if self._queue.in_use and await self._queue.holds(delivery.process, message.actor.organisation):
            raise Postponed(delivery)
        if not self._breaker.allows():
            raise Postponed(delivery)
        try:
            return await self.deliver(delivery)
        except Unanswered:
            raise Postponed(delivery) from None

    async def deliver(self, delivery: Delivery) -> Receipt:
        """One try within PATIENCE_S, whatever is kept. Raises Problem and Unanswered."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                receipt = await self._attempts(delivery)
        except (TimeoutError, TemporalAway, Unanswered) as error:
            is_away = isinstance(error, TemporalAway)
            slug = (problem_types.TEMPORAL_AWAY if is_away else problem_types.STILL_WORKING).slug
            self._breaker.unanswered(slug)
            raise Unanswered(slug) from None
        except Problem:
            self._breaker.answered()
            raise
        self._breaker.answered()
        return receipt

    async def _attempts(self, delivery: Delivery) -> Receipt:
        pause_s = PAUSE_S
        for _ in range(MAX_ATTEMPTS):
            receipt = await self._attempt(delivery)
            if receipt is not None:
                return receipt
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise Unanswered(problem_types.STILL_WORKING.slug)

    async def _attempt(self, delivery: Delivery) -> Receipt | None:
        """One round trip; None when it met a workflow that was just closing."""
        client = await self._link.client()
        try:
            receipt = await update_with_start(
                client,
                delivery.command,
                delivery.message,
                start=start_of(delivery.target, self._task_queue),
                id=str(delivery.command_id),
                result_type=Receipt,
                rpc_timeout=timedelta(seconds=PATIENCE_S),
            )
        except WorkflowUpdateFailedError as error:
            if is_passing(error):
                return None
            _raise_failure(error, delivery.target, delivery.command)
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            raise Unanswered(problem_types.STILL_WORKING.slug) from None
        except RPCError as error:
            if is_passing(error):
                return None
            if error.status in _AWAY:
                raise TemporalAway(error.status.name) from error
            raise
        return receipt


def _raise_failure(error: WorkflowUpdateFailedError, target: Target, command: str) -> NoReturn:
    """Raise the Problem that the failure means."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == REFUSED and cause.details:
        try:
            raise refused(Refusal.model_validate(cause.details[0]))
        except ValidationError:
            log.error("unreadable_refusal", kind=target.kind, command=command)
    log.error(
        "command_failed",
        kind=target.kind,
        number=target.number,
        command=command,
        cause=type(cause).__name__,
        type=getattr(cause, "type", ""),
    )
    raise internal_error()
