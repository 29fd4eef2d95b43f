"""Reaching every trainee of a class or a campaign: page by page, with command ids that make a repetition harmless."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID, uuid5

from temporalio import activity
from temporalio.client import Client

from activities.commanding import SystemCommands
from workflows.messages import Reached, ReachTrainees

PAGE = 200
CONCURRENCY = 8
REACH_NAMESPACE = UUID("0d5f3a52-9f5b-4b39-8a54-6a1d1d3f0c2e")


class TraineePages(Protocol):
    """Pages of trainees as the ledger has them now, by number; the reader waits until its view has caught up."""

    async def page_for_reach(
        self, campaign: str, phases: Sequence[str], training_class: str, after: str, limit: int
    ) -> list[tuple[str, str]]:
        """(number, phase) of the trainees after `after`, at most `limit`."""
        ...


class ReachActivities:
    """Sends a command to every trainee found in certain phases."""

    def __init__(self, client: Client, pages: TraineePages, task_queue: str) -> None:
        self._commands = SystemCommands(client, task_queue)
        self._pages = pages

    def all(self) -> Sequence[Any]:
        """What the worker registers."""
        return (self.reach_trainees,)

    @activity.defn(name="reach_trainees")
    async def reach_trainees(self, request: ReachTrainees) -> Reached:
        """Page the trainees and send each the command of its phase; a case that has moved on is left alone."""
        found = changed = 0
        after = ""
        phases = tuple(request.command_by_phase)
        gate = asyncio.Semaphore(CONCURRENCY)
        while phases:
            page = await self._pages.page_for_reach(request.campaign, phases, request.training_class, after, PAGE)
            if not page:
                break
            results = await asyncio.gather(*(self._send(gate, request, *each) for each in page))
            found, changed, after = found + len(page), changed + sum(results), page[-1][0]
            activity.heartbeat(found)
        return Reached(found=found, changed=changed)

    async def _send(self, gate: asyncio.Semaphore, request: ReachTrainees, number: str, phase: str) -> bool:
        command = request.command_by_phase[phase]
        async with gate:
            refusal = await self._commands.send(
                "trainee",
                request.campaign,
                number,
                command,
                command_id=str(uuid5(REACH_NAMESPACE, f"{request.causation}:{command}:{number}")),
                correlation_id=request.causation,
            )
        return refusal is None
