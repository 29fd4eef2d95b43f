"""Many commands judged by one process, with the same `decide` as everywhere, and appended in one commit.

`judge` takes them together: what they would come to in their order, and, if nothing stands against any of them, all of
them in one transaction or none. `judge_each` takes each by itself: what stands against one changes nothing for the
others, and one that cannot be settled here has to be sent to its workflow.

No workflow is asked: those that run are woken by the append itself, as by any decision that touches another process's
stream, and those that do not are started by it (docs/decisions/, "Rows together" and "Rows of one request").
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from activities.appending import append_of, content_hash, facts_of, refusal_of
from activities.facts import LedgerFacts
from activities.processes import PROCESSES, Process
from activities.receipts import receipt_of
from clock import Clock
from domain.decision import Context, Decision, Refusal, Start, UnreadableEvent
from domain.numbers import book_of, process_stream
from domain.refusals import refuse, stale_refusal
from ledger.errors import LedgerError
from ledger.store import Ledger
from ledger.types import (
    Append,
    Appended,
    AppendResult,
    ClaimRefused,
    CommandReused,
    Duplicate,
    RecordedEvent,
    StoredReply,
    StreamPlace,
    VersionConflict,
)
from projections.checkpoints import Checkpoints
from projections.plans import UnknownPlan
from workflows.messages import Outcome, Receipt, UpdateLedger

MAX_CONFLICTS: Final = 3
"""How often they are judged anew because somebody else appended meanwhile."""

PATIENCE_S: Final = 10.0
"""How long commands are judged by themselves; those that are not judged by then go to their workflows."""

PROGRESS_ROWS: Final = 50
"""So many commands are judged between two words of progress."""

Progress = Callable[[int], Awaitable[None]]
"""Told how many commands are judged so far; it begins anew when they have to be judged anew."""


class Contended(Exception):
    """The cases keep changing while they are judged; nothing was stored."""


class Judge:
    """Judges commands for the API. Give it what decisions read."""

    def __init__(self, pool: "asyncpg.Pool[Any]", ledger: Ledger, checkpoints: Checkpoints, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._facts = LedgerFacts(pool, ledger, checkpoints)

    async def judge(
        self, requests: Sequence[UpdateLedger], *, only_try: bool, progress: Progress | None = None
    ) -> list[Outcome]:
        """An outcome for each command, in their order. They are stored if all are allowed and it is not only tried.

        One with neither receipt nor refusal rests on a stream that an earlier one changes, so it cannot be judged yet.

        A command that was carried out before has its first answer. Raises Contended, and what the ledger raises.
        """
        for _ in range(MAX_CONFLICTS):
            outcomes = await self._attempt(requests, progress, only_try=only_try)
            if outcomes is not None:
                return outcomes
        raise Contended

    async def judge_each(self, requests: Sequence[UpdateLedger]) -> list[Outcome | None]:
        """An outcome for each command, as if it had come alone; what is allowed is stored.

        Of several for one case, each is judged on what the ones before it have left. None stands for a command that
        has to be sent to its workflow: somebody was faster, a view is behind, or the case cannot be read. It may have
        been carried out all the same; its id tells. Raises asyncpg's errors when the database is away.
        """
        outcomes: list[Outcome | None] = [None] * len(requests)
        waiting: dict[str, deque[int]] = {}
        for index, request in enumerate(requests):
            waiting.setdefault(_place_of(request).stream, deque()).append(index)
        while waiting:
            turn = {indexes.popleft(): stream for stream, indexes in waiting.items()}
            settled = await self._attempt_each([requests[index] for index in sorted(turn)])
            for index, outcome in zip(sorted(turn), settled, strict=True):
                outcomes[index] = outcome
                # What comes after one that is not settled has to wait for it.
                if outcome is None or not waiting[turn[index]]:
                    del waiting[turn[index]]
        return outcomes

    async def _attempt(
        self, requests: Sequence[UpdateLedger], progress: Progress | None, *, only_try: bool
    ) -> list[Outcome] | None:
        bench = await self._bench(requests)
        decided: list[Append | Outcome] = []
        for request in requests:
            decided.append(await bench.decide(request))
            if progress is not None and len(decided) % PROGRESS_ROWS == 0:
                await progress(len(decided))
        appends = [each for each in decided if isinstance(each, Append)]
        is_allowed = all(each.refusal is None for each in decided if isinstance(each, Outcome))
        results = iter(await self._ledger.append_together(appends, only_try=only_try or not is_allowed))
        outcomes: list[Outcome] = []
        written: set[str] = set()
        for each in decided:
            if isinstance(each, Outcome):
                outcomes.append(each)
                continue
            result = next(results)
            if not isinstance(result, VersionConflict):
                outcomes.append(bench.outcome(each, result))
            elif result.stream in written:
                # The first of a teacher's two nominations registers him, for instance: the second has not seen that.
                outcomes.append(Outcome())
            else:
                return None
            written.update(part.stream for part in each.writes)
        return outcomes

    async def _attempt_each(self, requests: Sequence[UpdateLedger]) -> list[Outcome | None]:
        """One round: no two of the commands are for the same case."""
        try:
            bench = await self._bench(requests)
        except (LedgerError, UnreadableEvent):
            return [None] * len(requests)
        decided: list[Outcome | asyncio.Task[Outcome | None] | None] = []
        give_up_s = asyncio.get_running_loop().time() + PATIENCE_S
        try:
            for request in requests:
                decided.append(await self._decided(bench, request, give_up_s))
                # Others have a turn, and what was decided is appended while the next ones are.
                await asyncio.sleep(0)
        finally:
            # Whatever becomes of the request, nothing of it goes on behind its back.
            appending = [each for each in decided if isinstance(each, asyncio.Task)]
            await asyncio.gather(*appending, return_exceptions=True)
        outcomes = [each.result() if isinstance(each, asyncio.Task) else each for each in decided]
        return await self._refused_on_the_newest(bench, requests, outcomes)

    async def _decided(
        self, bench: "_Bench", request: UpdateLedger, give_up_s: float
    ) -> "Outcome | asyncio.Task[Outcome | None] | None":
        """What the command has come to, or its append under way; None when its workflow has to decide it."""
        try:
            async with asyncio.timeout_at(give_up_s):
                decided = await bench.decide(request)
        except (TimeoutError, LedgerError, UnreadableEvent, UnknownPlan, ValidationError, KeyError):
            # Its workflow meets the same, and has words for it or more time.
            return None
        return asyncio.create_task(self._appended(bench, decided)) if isinstance(decided, Append) else decided

    async def _appended(self, bench: "_Bench", append: Append) -> Outcome | None:
        try:
            result = await self._ledger.append(append)
        except LedgerError:
            # It may be stored. Its workflow finds that out, or says what stands against it.
            return None
        return None if isinstance(result, VersionConflict) else bench.outcome(append, result)

    async def _refused_on_the_newest(
        self, bench: "_Bench", requests: Sequence[UpdateLedger], outcomes: list[Outcome | None]
    ) -> list[Outcome | None]:
        """The outcomes, but for refusals that rest on a case which has changed since it was read."""
        places = [replace(place, after_version=bench.version_read(place.stream)) for place in map(_place_of, requests)]
        refused = [
            place
            for place, outcome in zip(places, outcomes, strict=True)
            if outcome is not None and outcome.refusal is not None
        ]
        gone_on = await self._ledger.read_newer(refused) if refused else {}
        return [None if place in gone_on else outcome for place, outcome in zip(places, outcomes, strict=True)]

    async def _bench(self, requests: Sequence[UpdateLedger]) -> "_Bench":
        """Everything that the commands say they rest on, read at once."""
        done = await self._ledger.find_commands([each.command_id for each in requests])
        found = await self._ledger.read_newer(list({_place_of(each) for each in requests}))
        recorded = {place.stream: events for place, events in found.items()}
        return _Bench(self._facts, self._clock, await self._clock.now(), done, recorded)


def _place_of(request: UpdateLedger) -> StreamPlace:
    """The beginning of the command's stream."""
    return StreamPlace(book_of(request.kind, request.campaign), process_stream(request.kind, request.number))


class _Bench:
    """One round: the streams as the commands so far would leave them."""

    def __init__(
        self,
        facts: LedgerFacts,
        clock: Clock,
        now: datetime,
        done: Mapping[UUID, StoredReply],
        recorded: Mapping[str, Sequence[RecordedEvent]],
    ) -> None:
        self._facts, self._clock, self._now = facts, clock, now
        self._done, self._recorded = done, recorded
        self._streams: dict[str, tuple[Any, int]] = {}
        self._decided: dict[UUID, tuple[UpdateLedger, Receipt, str]] = {}

    async def decide(self, request: UpdateLedger) -> Append | Outcome:
        """The append of a command, or what it has come to: its refusal, or the first answer of one that was done."""
        done = self._done.get(request.command_id)
        if done is not None:
            if done.content_hash != content_hash(request.message.digest):
                return Outcome(refusal=refuse("command_reused"))
            return Outcome(receipt=Receipt.model_validate_json(done.reply))
        process = PROCESSES[request.kind]
        command = process.commands.parse(request.command, request.message.body)
        stream = process_stream(request.kind, request.number)
        state, version = self._state(process, stream)
        if state is not None and (stale := stale_refusal(request.message.expected_versions, version)):
            return Outcome(refusal=stale)
        facts = await process.facts(self._facts, request.campaign, request.number, state, command)
        context = Context(request.number, request.message.actor, facts, self._now)
        decided, facts = await process.decided(self._facts, request.campaign, state, command, context)
        if isinstance(decided, Refusal):
            return Outcome(refusal=decided)
        return await self._append(process, request, decided, state, version, facts.plan.sha256())

    def version_read(self, stream: str) -> int:
        """The version of a case as it was read."""
        recorded = self._recorded.get(stream)
        return recorded[-1].version if recorded else 0

    def _state(self, process: Process, stream: str) -> tuple[Any, int]:
        known = self._streams.get(stream)
        if known is None:
            state = process.fold(process.events.read(each) for each in self._recorded.get(stream, ()))
            known = (state, self.version_read(stream))
        return known

    async def _append(
        self, process: Process, request: UpdateLedger, decided: Decision, state: Any, version: int, rule_version: str
    ) -> Append:
        # The workflow that waits for the case reads it again; one that begins with it reads it anyway.
        woken = Start(request.kind, request.number, request.campaign, wake=state is not None)
        for event in decided.events:
            state = process.evolve(state, event)
        stream = process_stream(request.kind, request.number)
        version_after = version + len(decided.events)
        self._streams[stream] = (state, version_after)
        receipt = await receipt_of(self._clock, process, request.number, state, version_after)
        append = append_of(
            replace(decided, starts=(*decided.starts, woken)),
            book=book_of(request.kind, request.campaign),
            stream=stream,
            version=version,
            command_id=request.command_id,
            digest=request.message.digest,
            actor=request.message.actor,
            now=self._now,
            reply=receipt.model_dump_json().encode(),
            correlation_id=request.message.correlation_id or stream,
            campaign=request.campaign,
        )
        self._decided[request.command_id] = (request, receipt, rule_version)
        return append

    def outcome(self, append: Append, result: AppendResult) -> Outcome:
        """What the ledger's answer means for the command; a conflict means nothing yet."""
        request, receipt, rule_version = self._decided[append.command_id]
        match result:
            case Appended():
                sequence = result.sequences.get(book_of(request.kind, request.campaign), 0)
                return Outcome(receipt=receipt.model_copy(update={"sequence": sequence}))
            case Duplicate():
                return Outcome(receipt=Receipt.model_validate_json(result.reply))
            case CommandReused():
                return Outcome(refusal=refuse("command_reused"))
            case ClaimRefused():
                named = {"rule_version": rule_version, "facts": facts_of(result)}
                return Outcome(refusal=refusal_of(result).model_copy(update=named))
            case VersionConflict():
                return Outcome()
