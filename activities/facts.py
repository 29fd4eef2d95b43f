"""Where decisions get their facts: streams as they stand, and views once they have caught up with the ledger."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from activities.state_cache import StateCache
from domain import training_class
from domain.bulletin import BulletinRow
from domain.numbers import INSTITUTIONS, class_seat_key, stream_name
from domain.plan import Plan
from ledger.store import Ledger
from projections import attendance, bulletins, class_members, institutions, trainees
from projections.checkpoints import Checkpoints
from projections.plans import PlanStore


class LedgerFacts:
    """Reads facts for `activities/ledger.py` and pages for `activities/reach.py`.

    What comes from a view is read after the view has met every event that the ledger held when the question was put.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger, checkpoints: Checkpoints) -> None:
        self._pool = pool
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._plans = PlanStore(pool)
        self._classes = StateCache()

    async def plan(self, campaign: str) -> Plan:
        """The plan that the campaign runs on. Raises UnknownPlan."""
        return await self._plans.by_campaign(campaign)

    async def plan_by_sha256(self, sha256: str) -> Plan:
        """The adopted plan with this digest. Raises UnknownPlan."""
        return await self._plans.by_sha256(sha256)

    async def stream_version(self, book: str, stream: str) -> int:
        """The number of events in a stream, 0 when there is none."""
        return await self._ledger.stream_version(book, stream)

    async def training_class(self, campaign: str, number: str) -> training_class.TrainingClass | None:
        """The class as its stream stands, None when there is none of that number."""
        stream = stream_name("class", number)
        state, version = self._classes.get(stream) or (None, 0)
        for each in await self._ledger.read_stream(campaign, stream, version):
            state = training_class.evolve(state, training_class.EVENTS.read(each))
            version = each.version
        if state is not None:
            self._classes.put(stream, state, version)
        return state

    async def without_outcome(self, campaign: str, number: str) -> int:
        """How many trainees of the class are still in training."""
        await self._caught_up(campaign)
        return await trainees.without_outcome(self._pool, number)

    async def class_schools(self, campaign: str, number: str) -> tuple[str, ...]:
        """The schools with teachers in the class."""
        await self._caught_up(campaign)
        return await class_members.schools(self._pool, number)

    async def class_members(self, campaign: str, number: str) -> frozenset[str]:
        """The trainees placed in the class."""
        await self._caught_up(campaign)
        return await class_members.members(self._pool, number)

    async def class_count(self, campaign: str, number: str, phase: str) -> int:
        """How many trainees of the class are in a phase."""
        await self._caught_up(campaign)
        return await class_members.count_in_phase(self._pool, number, phase)

    async def left_behind(self, campaign: str, number: str, revision: int, numbers: Sequence[str] | None) -> int:
        """How many trainees of the class did not follow it to a revision; of `numbers` when they are given."""
        await self._caught_up(campaign)
        return await class_members.left_behind(self._pool, number, revision, numbers)

    async def places_taken(self, number: str) -> int:
        """The places of a class that are in use."""
        return (await self._ledger.counter(class_seat_key(number))).used

    async def overlaps(self, person: UUID, number: str, starts: date, ends: date) -> tuple[str, ...]:
        """The person's other nominations with classes on these days, as the view has them at this moment."""
        return await class_members.overlaps(self._pool, person, number, starts, ends)

    async def attendance(self, campaign: str, training_class: str, trainee: str) -> dict[tuple[date, str], int]:
        """A trainee's marked units by day and session."""
        await self._caught_up(campaign)
        return await attendance.marked(self._pool, training_class, trainee)

    async def waiting_counties(self, campaign: str) -> tuple[str, ...]:
        """The counties that still have nominations before them."""
        await self._caught_up(campaign)
        return await trainees.waiting_counties(self._pool, campaign)

    async def open_cases(self, campaign: str) -> int:
        """How many cases of the campaign wait for something."""
        await self._caught_up(campaign)
        return await trainees.open_cases(self._pool, campaign)

    async def registered_institutions(self) -> frozenset[str]:
        """The ids of all organisations."""
        await self._caught_up(INSTITUTIONS)
        return await institutions.registered_ids(self._pool)

    async def bulletins(self, campaign: str) -> tuple[tuple[BulletinRow, ...], tuple[BulletinRow, ...]]:
        """The counties' and the hosts' rows as of now."""
        await self._caught_up(campaign)
        return await bulletins.compute(self._pool, campaign)

    async def page_for_reach(
        self, campaign: str, phases: Sequence[str], training_class: str, after: str, limit: int
    ) -> list[tuple[str, str]]:
        """(number, phase) of the trainees in `phases` after a number; of one class when it is given."""
        await self._caught_up(campaign)
        page = await trainees.page_for_reach(
            self._pool, campaign, phases, training_class or None, after=after, limit=limit
        )
        return [(row.number, row.phase) for row in page.items]

    async def _caught_up(self, book: str) -> None:
        await self._checkpoints.wait_for(book, await self._ledger.head(book))
