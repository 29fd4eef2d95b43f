"""Random races for a county's seats on the real ledger: several trainees, two workers, every order at once.

    nominations ──► update_ledger (worker A) ──┐
                ──► update_ledger (worker B) ──┴─► PostgreSQL: streams, claims, command ids

Nothing is held in memory between the steps but what was sent: after each step everything is read from the ledger again.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import asyncpg
from hypothesis.stateful import invariant, run_state_machine_as_test

from activities.facts import LedgerFacts
from activities.ledger import LedgerActivities
from docgen.lifecycles.plan import ACTORS
from domain import bulletin
from domain.decision import Actor
from domain.numbers import active_key, quota_number, seat_key
from domain.quota_messages import QuotaIssued
from domain.trainee_messages import EVENTS
from domain.trainee_state import Trainee, fold
from event_schemas import SCHEMAS
from ledger.store import Ledger
from ledger.types import Append, LimitClaim, NewEvent, StreamWrite
from migrations import STEPS
from projections import trainees
from projections.checkpoints import Checkpoints
from projections.engine import Projector
from projections.plans import PlanStore
from tests.domain.machines.walking import Walk, assert_well_refused, walks
from tests.specification import the_plan
from tests.workflows.conftest import SetClock, nomination
from workflows.messages import CommandMessage, Outcome, ProcessKind, UpdateLedger

T = TypeVar("T")
LINE = "gp5:410181"
SEATS = 3
PEOPLE = 5
PREFIXES = count(10)
"""Each walk's numbers and campaign are its own, because they share one database."""
STEPS_OF_TRAINEES: dict[str, tuple[Actor, dict[str, Any]]] = {
    "approve": (ACTORS["county"], {}),
    "return": (ACTORS["county"], {"reason": "the subject is missing"}),
    "resubmit": (ACTORS["school"], {}),
    "reject": (ACTORS["county"], {"reasons": ["weak_file"]}),
    "waitlist": (ACTORS["county"], {}),
    "offer-seat": (ACTORS["system"], {}),
    "accept-seat": (ACTORS["school"], {}),
    "decline-seat": (ACTORS["school"], {}),
    "withdraw": (ACTORS["county"], {"reason": "ill"}),
    "pass-deadline": (ACTORS["system"], {}),
    "lapse": (ACTORS["system"], {}),
}


@dataclass
class World:
    """A database with two workers on it. It outlives the walks; each has a campaign and people of its own."""

    runner: asyncio.Runner
    pool: "asyncpg.Pool[Any]"
    ledger: Ledger
    projector: Projector
    clock: SetClock
    workers: list[LedgerActivities] = field(default_factory=list)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)


class SeatsMachine(Walk):
    """One line with three seats, five teachers, and whatever is sent for them. `world` is set by the test."""

    world: ClassVar[World]
    happenings = MappingProxyType(
        {
            "schools_nominate_at_once": 4,
            "everybody_acts_at_once": 5,
            "all_trainees_do_the_same_at_once": 4,
            "the_bureau_overrides_the_line": 1,
            "free_seats_are_offered_in_the_declared_order": 3,
            "a_substitute_is_named": 3,
            "an_answer_was_lost_and_the_command_comes_again": 3,
            "a_worker_crashes": 1,
            "time_passes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"zz{next(PREFIXES):02d}"
        self.campaign = f"walk-{self.prefix}"
        self.people = [uuid4() for _ in range(PEOPLE)]
        self.numbers: list[str] = []
        self.sent: list[tuple[UpdateLedger, Outcome]] = []
        self.world.clock.at = datetime(2022, 8, 26, 2, tzinfo=UTC)

    def begins(self) -> None:
        self.world.run(self.issued())

    async def issued(self) -> None:
        """The campaign's one line, as its opening would issue it."""
        await PlanStore(self.world.pool).adopt(
            the_plan().model_copy(update={"id": self.campaign, "number_prefix": self.prefix})
        )
        issued = QuotaIssued(
            line=LINE, project_type="gp5", recipient="410181", seats=SEATS, invented=True, parent="", level="city"
        )
        event = NewEvent(issued.type, issued.model_dump(mode="json"), issued.schema_version)
        write = StreamWrite(self.campaign, f"quota/{LINE}", 0, (event,))
        limit = LimitClaim(seat_key(self.campaign, LINE), SEATS)
        await self.world.ledger.append(
            Append(uuid4(), b"0" * 32, "bureau:zzedu", (write,), self.world.clock.at, claims=(limit,))
        )

    # --------------------------------------------------------------------------------------------------- rules

    def time_passes(self) -> None:
        self.world.clock.at += timedelta(hours=self.dice.randint(1, 20))

    def schools_nominate_at_once(self) -> None:
        """The same teacher may be among them twice: two schools, or one that clicks twice."""
        requests = []
        for each in self.dice.choices(range(PEOPLE), k=self.dice.randint(1, 3)):
            self.numbers.append(f"{self.prefix}-410181-{len(self.numbers) + 1:05d}")
            body = nomination(self.people[each], rural=self.dice.random() < 0.5)
            requests.append(self.request("trainee", self.numbers[-1], "nominate", ACTORS["school"], body))
        self.all_at_once(requests)

    def everybody_acts_at_once(self) -> None:
        if self.numbers:
            steps = self.dice.choices(list(STEPS_OF_TRAINEES), k=self.dice.randint(1, 6))
            self.all_at_once([self.step(self.dice.randrange(len(self.numbers)), each) for each in steps])

    def all_trainees_do_the_same_at_once(self) -> None:
        command = self.dice.choice(["approve", "approve", "accept-seat", "waitlist", "withdraw", "decline-seat"])
        self.all_at_once([self.step(each, command) for each in range(len(self.numbers))])

    def the_bureau_overrides_the_line(self) -> None:
        body = {"seats": self.dice.randint(0, 6), "reason": "a new campus", "document": "letter 12"}
        number = quota_number(self.campaign, LINE)
        self.all_at_once([self.request("quota", number, "override", ACTORS["bureau"], body)])

    def free_seats_are_offered_in_the_declared_order(self) -> None:
        """What the line's own process does: one offer for each free seat, to whoever waits first."""
        self.world.run(self.offer_free_seats())

    def a_substitute_is_named(self) -> None:
        if not self.numbers:
            return
        number = self.dice.choice(self.numbers)
        body = nomination(self.dice.choice(self.people))
        del body["county"], body["project_type"]
        self.numbers.append(f"{self.prefix}-410181-{len(self.numbers) + 1:05d}")
        body |= {"number": self.numbers[-1], "reason": "ill"}
        approve = self.request("trainee", number, "approve", ACTORS["bureau"], {"host": "h001"})
        self.all_at_once([approve])
        self.all_at_once([self.request("trainee", number, "substitute", ACTORS["county"], body)])

    def an_answer_was_lost_and_the_command_comes_again(self) -> None:
        """The same command id: the same answer, and nothing happens twice."""
        if not self.sent:
            return
        request, first = self.dice.choice(self.sent)
        before = self.world.run(self.world.ledger.head(self.campaign))
        again = self.all_at_once([request] * self.dice.randint(1, 3), remember=False)
        if first.receipt is not None and first.refusal is None:
            assert self.world.run(self.world.ledger.head(self.campaign)) == before, (
                "a repetition has appended something"
            )
            for each in again:
                assert each.receipt is not None and each.refusal is None
                assert (each.receipt.version, each.receipt.phase) == (first.receipt.version, first.receipt.phase)

    def a_worker_crashes(self) -> None:
        """It forgets whatever it knew; the other one goes on with what it knows."""
        self.world.workers[0] = worker_on(self.world)

    def teardown(self) -> None:
        self.world.run(self.every_rate_is_counted_again())

    # -------------------------------------------------------------------------------------------- how it is sent

    def step(self, index: int, command: str) -> UpdateLedger:
        by, body = STEPS_OF_TRAINEES[command]
        return self.request("trainee", self.numbers[index % len(self.numbers)], command, by, body)

    def request(self, kind: ProcessKind, number: str, command: str, by: Actor, body: dict[str, Any]) -> UpdateLedger:
        return UpdateLedger(
            kind=kind,
            number=number,
            campaign=self.campaign,
            command=command,
            command_id=uuid4(),
            message=CommandMessage(actor=by, body=body, digest=f"{command}:{body}"),
        )

    def all_at_once(self, requests: list[UpdateLedger], *, remember: bool = True) -> list[Outcome]:
        outcomes = self.world.run(self.race(requests))
        for request, outcome in zip(requests, outcomes, strict=True):
            if outcome.refusal is not None:
                assert_well_refused(outcome.refusal)
            if remember:
                self.sent.append((request, outcome))
        return outcomes

    async def race(self, requests: list[UpdateLedger]) -> list[Outcome]:
        """Each to another worker than the one before, all before the first is answered."""
        workers = self.world.workers
        return await asyncio.gather(
            *(workers[place % len(workers)].update_ledger(each) for place, each in enumerate(requests))
        )

    async def offer_free_seats(self) -> None:
        await self.world.projector.catch_up()
        counter = await self.world.ledger.counter(seat_key(self.campaign, LINE))
        rows = await trainees.waiting(self.world.pool, self.campaign, "gp5", "410181", but_frozen=True)
        ranks = [(row.waiting_rank, row.priority, row.submitted_at) for row in rows]
        assert ranks == sorted(ranks), "the list is not in its declared order"
        offers = [
            self.request("trainee", row.number, "offer-seat", ACTORS["system"], {})
            for row in rows[: counter.limit - counter.used]
        ]
        await self.race(offers)

    # ---------------------------------------------------------------------------------------------- invariants

    async def cases(self) -> dict[str, Trainee]:
        found = {}
        for number in self.numbers:
            recorded = await self.world.ledger.read_stream(self.campaign, f"trainee/{number}")
            state = fold(EVENTS.read(each) for each in recorded)
            if state is not None:
                found[number] = state
        return found

    @invariant()
    def no_seat_is_oversold_and_each_is_counted_once(self) -> None:
        counter = self.world.run(self.world.ledger.counter(seat_key(self.campaign, LINE)))
        held = [number for number, state in self.world.run(self.cases()).items() if state.seat_held]
        assert counter.used == len(held) <= counter.limit, (counter, held)

    @invariant()
    def a_teacher_has_one_live_nomination(self) -> None:
        live = Counter(
            state.person
            for state in self.world.run(self.cases()).values()
            if state.phase not in ("rejected", "withdrawn")
        )
        assert all(count == 1 for count in live.values()), live
        keys = [active_key(person, self.campaign, "gp5") for person in self.people]
        query = "SELECT count(*) FROM ledger.holds WHERE key = ANY($1)"
        assert self.world.run(self.world.pool.fetchval(query, keys)) == len(live)

    async def every_rate_is_counted_again(self) -> None:
        """From the events alone, and from the views that the bulletins read: the same rows."""
        await self.world.projector.catch_up()
        from_events = []
        for number in sorted(self.numbers):
            recorded = await self.world.ledger.read_stream(self.campaign, f"trainee/{number}")
            record = bulletin.case_record(EVENTS.read(each) for each in recorded)
            from_events += [record] if record is not None else []
        from_views = [each async for each in trainees.records(self.world.pool, self.campaign)]
        assert bulletin.county_rows((), from_views) == bulletin.county_rows((), from_events)
        assert bulletin.host_rows(from_views) == bulletin.host_rows(from_events)


def worker_on(world: World) -> LedgerActivities:
    """A worker with nothing in its memory."""
    facts = LedgerFacts(world.pool, world.ledger, Checkpoints(world.pool))
    return LedgerActivities(world.ledger, world.clock, facts)


def test_whatever_races_for_its_seats_a_line_is_never_oversold(database_url: str) -> None:
    async def begin(runner: asyncio.Runner) -> World:
        connection = await asyncpg.connect(database_url)
        for step in STEPS:
            await step(connection)
        await connection.close()
        pool = await asyncpg.create_pool(database_url, min_size=2, max_size=10)
        ledger = Ledger(pool, SCHEMAS)
        return World(runner, pool, ledger, Projector(pool, ledger), SetClock(datetime(2022, 8, 26, tzinfo=UTC)))

    async def end(world: World) -> None:
        await world.ledger.close()
        await world.pool.close()

    with asyncio.Runner() as runner:
        world = runner.run(begin(runner))
        world.workers = [worker_on(world), worker_on(world)]
        SeatsMachine.world = world
        try:
            run_state_machine_as_test(SeatsMachine, settings=walks(examples=10, steps=20))
        finally:
            runner.run(end(world))
