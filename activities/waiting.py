"""Offering the free seats of a quota line to those who wait, in their order, through their own workflows."""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from domain.decision import SYSTEM, Refusal
from domain.trainee_seat_messages import OfferSeat
from workflows.messages import (
    REFUSED,
    WORKFLOW_TYPES,
    CommandMessage,
    FillSeats,
    ProcessStart,
    Receipt,
    SeatsFilled,
    workflow_id,
)

PAGE = 100
MAX_OFFERS = 10_000
"""More seats than this are not offered in one go."""


class WaitingLists(Protocol):
    """Free seats as the ledger counts them, and who waits as the views have it once they have caught up."""

    async def seats_left(self, campaign: str, line: str) -> int: ...
    async def next_waiting(self, campaign: str, line: str, limit: int) -> list[str]: ...


class WaitingActivities:
    """One offer per free seat: the offer's own append claims the seat, so a repetition can't make two of one."""

    def __init__(self, client: Client, lists: WaitingLists, task_queue: str) -> None:
        self._client = client
        self._lists = lists
        self._task_queue = task_queue

    def all(self) -> Sequence[Any]:
        """What the worker registers."""
        return (self.fill_seats,)

    @activity.defn(name="fill_seats")
    async def fill_seats(self, request: FillSeats) -> SeatsFilled:
        """Offer seats to the nominations that wait for the line until none is left of one or of the other."""
        offered = 0
        while offered < MAX_OFFERS:
            left = await self._lists.seats_left(request.campaign, request.line)
            if left < 1:
                break
            page = await self._lists.next_waiting(request.campaign, request.line, min(left, PAGE))
            made = 0
            # One after the other: a later one in the list must never be faster than an earlier one.
            for number in page:
                made += await self._offer(request, number)
                activity.heartbeat(offered + made)
            offered += made
            if not made:
                # Nobody waits, or whoever was on the page has moved on: whatever moved him wakes the line again.
                break
        return SeatsFilled(offered=offered)

    async def _offer(self, request: FillSeats, number: str) -> bool:
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW_TYPES["trainee"],
            ProcessStart(number=number, campaign=request.campaign),
            id=workflow_id("trainee", number),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        try:
            await self._client.execute_update_with_start_workflow(
                OfferSeat.name,
                CommandMessage(actor=SYSTEM, body={}, digest="", correlation_id=f"quota/{request.line}"),
                # A new id for every attempt: one that was refused while no seat was left must not stay refused, and
                # who has an offer already refuses the next.
                id=str(uuid4()),
                start_workflow_operation=start,
                result_type=Receipt,
            )
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED:
                code = Refusal.model_validate(error.cause.details[0]).code
                activity.logger.info("no seat offered", extra={"number": number, "code": code})
                return False
            raise
        return True
