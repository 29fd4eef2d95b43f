"""The service of a restriction's notice by mail, when the mail does not reach the teacher: it has not taken place.

The case is told by a command like any other, under an id that follows from the notice, so that a repetition is one. Who
was served in another way, or again, stays served: the case itself looks at that.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from activities.outbox import QueuedNotice
from domain.decision import SYSTEM
from domain.restriction_messages import RecordBounce
from workflows.messages import (
    REFUSED,
    WORKFLOW_TYPES,
    CommandMessage,
    ProcessStart,
    Receipt,
    workflow_id,
)

RPC_TIMEOUT: Final = timedelta(seconds=20)
NAMESPACE: Final = UUID("8e0d1c55-4c1e-4f3b-9c5b-2f7a6d0e91b4")


class ServiceOfNotice:
    """Tells restrictions that their notice did not arrive."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def take_back(self, notice: QueuedNotice, reason: str) -> bool:
        """Whether the teacher counts as not served now. Raises RPCError when Temporal is away."""
        number, until = str(notice.data.get("restriction", "")), str(notice.data.get("until", ""))
        if not number or not until:
            return False
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW_TYPES["restriction"],
            ProcessStart(number=number, campaign=notice.campaign),
            id=workflow_id("restriction", number),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        body = {"until": until, "reason": reason}
        try:
            await self._client.execute_update_with_start_workflow(
                RecordBounce.name,
                CommandMessage(actor=SYSTEM, body=body, digest="", correlation_id=str(notice.id)),
                id=str(uuid5(NAMESPACE, str(notice.id))),
                start_workflow_operation=start,
                result_type=Receipt,
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED:
                return False
            raise
        return True
