"""Where decisions get their facts: streams as they stand, and views once they have caught up with the ledger."""

import time
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from activities.state_cache import StateCache
from domain import (
    bulletin_publication,
    calendar,
    institution,
    quota,
    quota_messages,
    restriction_messages,
    restriction_state,
    training_class,
)
from domain import campaign as campaign_process
from domain.bulletin import BulletinRow
from domain.campaign_amendments import HostCases
from domain.eligibility import overlapping
from domain.history import History
from domain.numbers import INSTITUTIONS, RESTRICTIONS, class_seat_key, quota_line, seat_key, stream_name
from domain.plan import Plan
from domain.restriction_state import InFlight, Restriction
from domain.trainee_messages import EVENTS, TraineeNominated
from ledger.store import Ledger
from projections import attendance, bulletins, campaigns, class_members, history, institutions, restrictions, trainees
from projections.checkpoints import Checkpoints, reached
from projections.plans import PlanStore

MAX_OVERLAPS = 5
"""Other nominations that are named to those who can do something about them."""


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

    async def history(self, campaign: str, number: str, person: UUID) -> tuple[History, tuple[UUID, ...]]:
        """What the views know of a person beyond the nomination at hand, and his other records' ids."""
        return await history.history_of(self._pool, self.plan, campaign, number, person)

    async def given_fields(self, campaign: str, number: str) -> str:
        """The sealed fields of a nomination that is held for review, as they were given; empty when it is not."""
        events = await self._ledger.read_stream(campaign, stream_name("trainee", number), 0)
        if not events:
            return ""
        nominated = EVENTS.read(events[0])
        assert isinstance(nominated, TraineeNominated), "a nomination's stream begins with it"
        return nominated.sealed or ""

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
        """The person's other live nominations with trainings on these days, as the views have them at this moment."""
        known = await history.of_person(self._pool, person, number)
        records = [
            (await history.record_of(self.plan, row, person), each)
            for row, each in zip(known.others, known.numbers, strict=True)
        ]
        found = [each for record, each in records if overlapping(History(records=(record,)), starts, ends)]
        return tuple(sorted(found)[:MAX_OVERLAPS])

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

    async def restriction(self, number: str) -> tuple[Restriction | None, int]:
        """The restriction as its stream stands, with its version; None when there is none of that number."""
        events = await self._ledger.read_stream(RESTRICTIONS, stream_name("restriction", number))
        state = restriction_state.fold(restriction_messages.EVENTS.read(each) for each in events)
        return state, len(events)

    async def barred_until(self, person: UUID, aside_from: str) -> date | None:
        """The day on which all other imposed restrictions of the person have ended, None when there are none."""
        await self._caught_up(RESTRICTIONS)
        return await restrictions.last_barred_until(self._pool, person, aside_from)

    async def in_flight(self, person: UUID, *, frozen: bool) -> tuple[InFlight, ...]:
        """The person's nominations that have not reached their training, in every campaign that is not closed."""
        for campaign in await campaigns.open_ids(self._pool):
            await self._caught_up(campaign)
        found = await trainees.in_flight(self._pool, person, frozen=frozen)
        return tuple(InFlight(row.number, row.campaign, row.county, row.version) for row in found)

    async def bulletins(self, campaign: str) -> tuple[tuple[BulletinRow, ...], tuple[BulletinRow, ...]]:
        """The counties' and the hosts' rows as of now."""
        await self._caught_up(campaign)
        plan = await self.plan(campaign)
        return await bulletins.compute(self._pool, campaign, plan.outcomes)

    async def adopted_campaigns(self) -> tuple[str, ...]:
        """The campaigns whose plan was adopted, by id."""
        return tuple(await self._plans.adopted())

    async def publication(self, campaign: str) -> bulletin_publication.Facts | None:
        """What a bulletin of the campaign would rest on now; None while it is not open."""
        await self._caught_up(RESTRICTIONS)
        await self._caught_up(campaign)
        plan = await self.plan(campaign)
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await campaigns.get(connection, campaign)
            if row is None:
                return None
            county_rows, host_rows = await bulletins.compute(connection, campaign, plan.outcomes)
            return bulletin_publication.Facts(
                plan=plan,
                opened_on=calendar.local_date(row.opened_at),
                closed=row.closed,
                latest=await bulletins.latest(connection, campaign),
                corrected_at_sequence=await trainees.last_correction(connection, campaign),
                reversed_at=await restrictions.last_reversal(connection, campaign),
                as_of_sequence=await reached(connection, campaign),
                county_rows=county_rows,
                host_rows=host_rows,
            )

    async def campaign(self, campaign: str, *, max_age_s: float = 0.0) -> campaign_process.Campaign | None:
        """The campaign as its stream stands, or stood `max_age_s` real seconds ago."""
        stream = stream_name("campaign", campaign)
        state, version = self._campaigns.get(stream) or (None, 0)
        now_s = time.monotonic()
        if now_s - self._campaigns_read_at.get(stream, -max_age_s) < max_age_s:
            return state
        for each in await self._ledger.read_stream(campaign, stream, version):
            state = campaign_process.evolve(state, campaign_process.EVENTS.read(each))
            version = each.version
        if state is not None:
            self._campaigns.put(stream, state, version)
        self._campaigns_read_at[stream] = now_s
        return state

    async def quota(self, campaign: str, line: str) -> tuple[quota.Quota | None, int]:
        """The quota line as its stream stands, with its version; None and 0 when it was never issued."""
        recorded = await self._ledger.read_stream(campaign, stream_name("quota", line))
        state = quota.fold(quota_messages.QUOTA_EVENTS.read(each) for each in recorded)
        return state, recorded[-1].version if recorded else 0

    async def parent_of(self, organisation: str) -> str:
        """Above whom the organisation stands: a school's county; empty for one that nobody has registered."""
        recorded = await self._ledger.read_stream(INSTITUTIONS, stream_name("institution", organisation))
        if not recorded:
            return ""
        first = institution.EVENTS.read(recorded[0])
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
        rows = await trainees.waiting(self._pool, campaign, project_type, county, limit=limit, but_frozen=True)
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
