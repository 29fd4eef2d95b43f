"""Where decisions get their facts: streams as they stand, and views once they have caught up with the ledger."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from activities.state_cache import StateCache
from domain import training_class
from domain.bulletin import BulletinRow
from domain.numbers import INSTITUTIONS, stream_name
from domain.plan import Plan
from ledger.store import Ledger
from projections import bulletins, institutions, trainees
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
