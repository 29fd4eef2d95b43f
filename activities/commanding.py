"""Sending a command to a trainee's workflow from an activity, with the same care as the front door sends one.

A workflow that is just closing, or whose task has failed and is tried again, turns an Update away (`WorkflowNotReady`).
That passes within moments, so it is no reason to fail an activity that has hundreds of trainees to reach.
"""

import asyncio
from typing import Any, Final

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.decision import SYSTEM, Refusal
from temporal_client import update_with_start
from workflows.messages import REFUSED, WORKFLOW_TYPES, CommandMessage, ProcessStart, Receipt, workflow_id

MAX_ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.1
"""Before the second attempt; each further pause is twice as long."""
LOST_WITH_ITS_WORKFLOW: Final = "AcceptedUpdateCompletedWorkflow"
PASSING: Final = frozenset(
    {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.ABORTED,
        RPCStatusCode.ALREADY_EXISTS,
        RPCStatusCode.FAILED_PRECONDITION,
    }
)


class TraineeCommands:
    """The system's own commands to trainees. `task_queue` is where a workflow is started that does not run."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def send(
        self, campaign: str, number: str, command: str, *, command_id: str, correlation_id: str
    ) -> Refusal | None:
        """Carry out one command; the refusal if the case does not allow it. Raises what Temporal raises."""
        pause_s = FIRST_PAUSE_S
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return await self._attempt(campaign, number, command, command_id, correlation_id)
            except (RPCError, WorkflowUpdateFailedError) as error:
                if not _passes(error):
                    raise
            await asyncio.sleep(pause_s)
            pause_s *= 2
        return await self._attempt(campaign, number, command, command_id, correlation_id)

    async def _attempt(
        self, campaign: str, number: str, command: str, command_id: str, correlation_id: str
    ) -> Refusal | None:
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW_TYPES["trainee"],
            ProcessStart(number=number, campaign=campaign),
            id=workflow_id("trainee", number),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        message = CommandMessage(actor=SYSTEM, body={}, digest="", correlation_id=correlation_id)
        try:
            await update_with_start(self._client, command, message, start=start, id=command_id, result_type=Receipt)
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED:
                return Refusal.model_validate(error.cause.details[0])
            raise
        return None


def _passes(error: RPCError | WorkflowUpdateFailedError) -> bool:
    """Whether the next attempt finds the workflow ready, or starts it."""
    if isinstance(error, RPCError):
        return error.status in PASSING
    return isinstance(error.cause, ApplicationError) and error.cause.type == LOST_WITH_ITS_WORKFLOW
