"""Offering the free seats of a quota line to those who wait, in their order, through their own workflows."""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client

from activities.commanding import SystemCommands
from domain.trainee_seat_messages import OfferSeat
from workflows.messages import FillSeats, SeatsFilled

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
        self._commands = SystemCommands(client, task_queue)
        self._lists = lists

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
        refusal = await self._commands.send(
            "trainee",
            request.campaign,
            number,
            OfferSeat.name,
            # A new id for every offer: one that was refused while no seat was left must not stay refused, and who has
            # an offer already refuses the next.
            command_id=str(uuid4()),
            correlation_id=f"quota/{request.line}",
        )
        if refusal is not None:
            activity.logger.info("no seat offered", extra={"number": number, "code": refusal.code})
        return refusal is None
