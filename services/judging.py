"""Many commands judged together: what they would come to in their order, and, if nothing stands against any of them,
all of them in one transaction or none.

The same `decide` judges them, on the state that the ones before would leave; the ledger judges their claims, in a
transaction that is taken back unless every command is to be kept. No workflow is asked: those that run are woken by the
append itself, as by any decision that touches another process's stream (docs/decisions/, "Rows together").
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from activities.appending import append_of, content_hash, facts_of, refusal_of
from activities.facts import LedgerFacts
from activities.processes import PROCESSES, Process
from clock import Clock
from domain.decision import Context, Decision, Refusal, Start
from domain.numbers import book_of, process_stream
from domain.refusals import refuse, stale_refusal
from ledger.store import Ledger
from ledger.types import Append, Appended, ClaimRefused, CommandReused, Duplicate, VersionConflict
from projections.checkpoints import Checkpoints
from workflows.messages import Outcome, Receipt, UpdateLedger

MAX_CONFLICTS: Final = 3
"""How often they are judged anew because somebody else appended meanwhile."""


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

    async def _attempt(
        self, requests: Sequence[UpdateLedger], progress: Progress | None, *, only_try: bool
    ) -> list[Outcome] | None:
        bench = _Bench(self._ledger, self._facts, await self._clock.now())
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


class _Bench:
    """One round: the streams as the commands so far would leave them."""

    def __init__(self, ledger: Ledger, facts: LedgerFacts, now: datetime) -> None:
        self._ledger, self._facts, self._now = ledger, facts, now
        self._streams: dict[str, tuple[Any, int]] = {}
        self._decided: dict[UUID, tuple[UpdateLedger, Receipt, str]] = {}

    async def decide(self, request: UpdateLedger) -> Append | Outcome:
        """The append of a command, or what it has come to: its refusal, or the first answer of one that was done."""
        done = await self._ledger.find_command(request.command_id)
        if done is not None:
            if done.content_hash != content_hash(request.message.digest):
                return Outcome(refusal=refuse("command_reused"))
            return Outcome(receipt=Receipt.model_validate_json(done.reply))
        process = PROCESSES[request.kind]
        command = process.commands.parse(request.command, request.message.body)
        stream = process_stream(request.kind, request.number)
        state, version = await self._state(process, request, stream)
        if state is not None and (stale := stale_refusal(request.message.expected_versions, version)):
            return Outcome(refusal=stale)
        facts = await process.facts(self._facts, request.campaign, request.number, state, command)
        context = Context(request.number, request.message.actor, facts, self._now)
        decided, facts = await process.decided(self._facts, request.campaign, state, command, context)
        if isinstance(decided, Refusal):
            return Outcome(refusal=decided)
        return self._append(process, request, decided, state, version, facts.plan.sha256())

    async def _state(self, process: Process, request: UpdateLedger, stream: str) -> tuple[Any, int]:
        known = self._streams.get(stream)
        if known is None:
            recorded = await self._ledger.read_stream(book_of(request.kind, request.campaign), stream)
            state = process.fold(process.events.read(each) for each in recorded)
            known = (state, recorded[-1].version if recorded else 0)
        return known

    def _append(
        self, process: Process, request: UpdateLedger, decided: Decision, state: Any, version: int, rule_version: str
    ) -> Append:
        for event in decided.events:
            state = process.evolve(state, event)
        stream = process_stream(request.kind, request.number)
        self._streams[stream] = (state, version + len(decided.events))
        receipt = _receipt(process, request.number, state, version + len(decided.events))
        # The workflow that waits for this case, or a new one, reads it again.
        woken = Start(request.kind, request.number, request.campaign, wake=True)
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

    def outcome(self, append: Append, result: Appended | Duplicate | CommandReused | ClaimRefused) -> Outcome:
        """What the ledger's answer means for the command."""
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


def _receipt(process: Process, number: str, state: Any, version: int) -> Receipt:
    case = process.case_of(number, state)
    return Receipt(
        number=number,
        version=version,
        phase=case.phase,
        closed=case.closed,
        deadline=case.deadline,
        summary=case.summary,
        waiting_for=case.waiting_for,
        attributes=case.attributes,
        reach=asdict(case.reach) if case.reach else None,
    )
