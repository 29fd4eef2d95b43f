"""Where decisions get their facts: streams as they stand, and views once they have caught up with the ledger."""

import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from activities.state_cache import StateCache
from domain import campaign as campaign_process
from domain import institution, quota, quota_messages, training_class
from domain.bulletin import BulletinRow
from domain.campaign_amendments import HostCases
from domain.numbers import INSTITUTIONS, quota_line, seat_key, stream_name
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
        self._campaigns = StateCache()
        self._campaigns_read_at: dict[str, float] = {}

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
            state = training_class.evolve(state, training_class.EVENTS.parse(each.type, dict(each.data)))
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

    async def campaign(self, campaign: str, *, max_age_s: float = 0.0) -> campaign_process.Campaign | None:
        """The campaign as its stream stands, or stood `max_age_s` real seconds ago."""
        stream = stream_name("campaign", campaign)
        state, version = self._campaigns.get(stream) or (None, 0)
        now_s = time.monotonic()
        if now_s - self._campaigns_read_at.get(stream, -max_age_s) < max_age_s:
            return state
        for each in await self._ledger.read_stream(campaign, stream, version):
            state = campaign_process.evolve(state, campaign_process.EVENTS.parse(each.type, dict(each.data)))
            version = each.version
        if state is not None:
            self._campaigns.put(stream, state, version)
        self._campaigns_read_at[stream] = now_s
        return state

    async def quota(self, campaign: str, line: str) -> tuple[quota.Quota | None, int]:
        """The quota line as its stream stands, with its version; None and 0 when it was never issued."""
        recorded = await self._ledger.read_stream(campaign, stream_name("quota", line))
        state = quota.fold(quota_messages.QUOTA_EVENTS.parse(each.type, dict(each.data)) for each in recorded)
        return state, recorded[-1].version if recorded else 0

    async def parent_of(self, organisation: str) -> str:
        """Above whom the organisation stands: a school's county; empty for one that nobody has registered."""
        recorded = await self._ledger.read_stream(INSTITUTIONS, stream_name("institution", organisation))
        if not recorded:
            return ""
        first = institution.EVENTS.parse(recorded[0].type, dict(recorded[0].data))
        return first.parent if isinstance(first, institution.InstitutionRegistered) else ""

    async def schools(self, campaign: str) -> tuple[str, ...]:
        """The registered schools of the campaign's recipients, by id."""
        await self._caught_up(INSTITUTIONS)
        plan = await self.plan(campaign)
        return await institutions.schools_of(self._pool, [each.id for each in plan.recipients])

    async def host_cases(self, campaign: str, host: str) -> HostCases:
        """Whom the host still has."""
        await self._caught_up(campaign)
        assigned, in_class = await trainees.of_host(self._pool, campaign, host)
        return HostCases(assigned=assigned, in_class=in_class)

    async def seats_left(self, campaign: str, line: str) -> int:
        """Seats of a line that can be taken at this moment."""
        counter = await self._ledger.counter(seat_key(campaign, line))
        return counter.limit - counter.used

    async def next_waiting(self, campaign: str, line: str, limit: int) -> list[str]:
        """The numbers of those who wait for a seat of the line, in the order in which they get one."""
        await self._caught_up(campaign)
        project_type, _, county = line.partition(":")
        assert quota_line(project_type, county) == line, "a line names its project type and its recipient"
        rows = await trainees.waiting(self._pool, campaign, project_type, county, limit=limit)
        return [each.number for each in rows]

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
