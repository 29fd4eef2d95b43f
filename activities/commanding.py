"""Sending the system's own commands to workflows from an activity, with the same care as the front door sends others'.

A workflow that is just closing, or whose task has failed and is tried again, turns an Update away (`is_passing`). That
passes within moments, so it is no reason to fail an activity that has hundreds of cases to reach.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from domain.decision import SYSTEM, Refusal
from temporal_client import is_passing, update_with_start
from workflows.messages import (
    REFUSED,
    WORKFLOW_TYPES,
    CommandMessage,
    ProcessKind,
    ProcessStart,
    Receipt,
    workflow_id,
)

MAX_ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.1
"""Before the second attempt; each further pause is twice as long."""


class SystemCommands:
    """`task_queue` is where a workflow is started that does not run, `rpc_timeout` bounds one attempt."""

    def __init__(self, client: Client, task_queue: str, rpc_timeout: timedelta | None = None) -> None:
        self._client = client
        self._task_queue = task_queue
        self._rpc_timeout = rpc_timeout

    async def send(
        self,
        kind: ProcessKind,
        campaign: str,
        number: str,
        command: str,
        *,
        command_id: str,
        correlation_id: str,
        body: Mapping[str, Any] | None = None,
    ) -> Refusal | None:
        """Carry out one command; the refusal if the case does not allow it. Raises what Temporal raises."""
        start = ProcessStart(number=number, campaign=campaign)
        message = CommandMessage(actor=SYSTEM, body=dict(body or {}), digest="", correlation_id=correlation_id)
        pause_s = FIRST_PAUSE_S
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return await self._attempt(kind, start, command, message, command_id)
            except (RPCError, WorkflowUpdateFailedError) as error:
                if not is_passing(error):
                    raise
            await asyncio.sleep(pause_s)
            pause_s *= 2
        return await self._attempt(kind, start, command, message, command_id)

    async def _attempt(
        self, kind: ProcessKind, start: ProcessStart, command: str, message: CommandMessage, command_id: str
    ) -> Refusal | None:
        operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW_TYPES[kind],
            start,
            id=workflow_id(kind, start.number),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        try:
            await update_with_start(
                self._client,
                command,
                message,
                start=operation,
                id=command_id,
                result_type=Receipt,
                rpc_timeout=self._rpc_timeout,
            )
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED:
                return Refusal.model_validate(error.cause.details[0])
            raise
        return None
