"""The one path from a request to Temporal: update-with-start, so that a command works whatever happened to Temporal.

The Update's id is the command's id. Sending a command again, for whatever reason, gets its first answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from pydantic import ValidationError
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.problems import internal_error, refused, still_working, temporal_away
from domain.decision import Actor, Command, Refusal
from temporal_client import update_with_start
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

COMMAND_TIMEOUT_S: Final = 30.0
"""How long a request waits for its command. The command may still be carried out afterwards."""

RPC_TIMEOUT: Final = timedelta(seconds=20)
CONNECT_TIMEOUT_S: Final = 10.0
MAX_ATTEMPTS: Final = 4
PAUSE_S: Final = 0.1
"""Before the second attempt; each further pause is twice as long."""

_CLOSING: Final = frozenset(
    {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.ABORTED,
        RPCStatusCode.ALREADY_EXISTS,
        RPCStatusCode.FAILED_PRECONDITION,
    }
)
"""The workflow was just closing, or its task has failed and is tried again (WorkflowNotReady): the next attempt
finds it or starts it.
"""

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
_LOST_WITH_ITS_WORKFLOW: Final = "AcceptedUpdateCompletedWorkflow"
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
    """Who sends a command, under which id. `digest` stands for what the caller sent."""

    caller: Sender
    command_id: UUID
    digest: str
    correlation_id: str


class TemporalAway(Exception):
    """Temporal cannot be reached."""


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

    async def _connected(self) -> Client:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._connect()
        except (RPCError, RuntimeError, OSError, TimeoutError) as error:
            raise TemporalAway(type(error).__name__) from error


class Commands:
    """Sends commands to their workflows and brings back a receipt, or raises the Problem that came of it."""

    def __init__(self, link: TemporalLink, task_queue: str = TASK_QUEUE) -> None:
        self._link = link
        self._task_queue = task_queue

    async def send(self, target: Target, command: Command, envelope: Envelope) -> Receipt:
        """Carry out one command. Raises Problem: a refusal, or 503 when Temporal is away or takes too long."""
        message = CommandMessage(
            actor=envelope.caller.actor,
            body=command.model_dump(mode="json"),
            digest=envelope.digest,
            correlation_id=envelope.correlation_id,
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                return await self._attempts(target, command.name, message, envelope.command_id)
        except TimeoutError:
            raise still_working() from None
        except TemporalAway:
            raise temporal_away() from None

    async def _attempts(self, target: Target, command: str, message: CommandMessage, command_id: UUID) -> Receipt:
        pause_s = PAUSE_S
        for _ in range(MAX_ATTEMPTS):
            receipt = await self._attempt(target, command, message, command_id)
            if receipt is not None:
                return receipt
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise still_working()

    async def _attempt(self, target: Target, command: str, message: CommandMessage, command_id: UUID) -> Receipt | None:
        """One round trip; None when it met a workflow that was just closing."""
        client = await self._link.client()
        try:
            receipt = await update_with_start(
                client,
                command,
                message,
                start=start_of(target, self._task_queue),
                id=str(command_id),
                result_type=Receipt,
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowUpdateFailedError as error:
            _raise_failure(error, target, command)
            return None
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            raise still_working() from None
        except RPCError as error:
            if error.status in _CLOSING:
                return None
            if error.status in _AWAY:
                raise TemporalAway(error.status.name) from error
            raise
        return receipt


def _raise_failure(error: WorkflowUpdateFailedError, target: Target, command: str) -> None:
    """Raise the Problem that the failure means; return for an Update that its workflow took along when it closed."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        if cause.type == _LOST_WITH_ITS_WORKFLOW:
            return
        if cause.type == REFUSED and cause.details:
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
