"""The service of a restriction's notice by mail, when the mail does not reach the teacher: it has not taken place.

The case is told by a command like any other, under an id that follows from the notice, so that a repetition is one. Who
was served in another way, or again, stays served: the case itself looks at that.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID, uuid5

from temporalio.client import Client

from activities.commanding import SystemCommands
from activities.outbox import QueuedNotice
from domain.restriction_messages import RecordBounce

RPC_TIMEOUT: Final = timedelta(seconds=20)
NAMESPACE: Final = UUID("8e0d1c55-4c1e-4f3b-9c5b-2f7a6d0e91b4")


class ServiceOfNotice:
    """Tells restrictions that their notice did not arrive."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._commands = SystemCommands(client, task_queue, RPC_TIMEOUT)

    async def take_back(self, notice: QueuedNotice, reason: str) -> bool:
        """Whether the teacher counts as not served now. Raises RPCError when Temporal is away."""
        number, until = str(notice.data.get("restriction", "")), str(notice.data.get("until", ""))
        if not number or not until:
            return False
        refusal = await self._commands.send(
            "restriction",
            notice.campaign,
            number,
            RecordBounce.name,
            command_id=str(uuid5(NAMESPACE, str(notice.id))),
            correlation_id=str(notice.id),
            body={"until": until, "reason": reason},
        )
        return refusal is None
