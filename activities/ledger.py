"""The activities that decide and record: the only way from a workflow to the ledger.

`update_ledger` loads the stream, runs the pure `decide`, and appends. It runs as a local activity, so its answer is
in the workflow's history and a changed rule can never break the replay of an old one. It is idempotent by command
id: whatever is lost on the way back, the same command gets the first answer again.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.appending import append_of, content_hash, facts_of, refusal_of
from activities.processes import PROCESSES, FactReader, Process
from activities.receipts import receipt_of
from activities.state_cache import StateCache
from clock import Clock
from domain.decision import Context, Refusal, UnreadableEvent
from domain.numbers import book_of, process_stream
from domain.refusals import refuse, stale_refusal
from ledger.errors import BookClosed, BookDetached, InvalidAppend
from ledger.store import Ledger
from ledger.types import Appended, ClaimRefused, CommandReused, Duplicate, VersionConflict
from workflows.messages import LoadCase, Outcome, Receipt, UpdateLedger

MAX_CONFLICTS = 8
"""How often a decision is taken anew because somebody else appended first; the workflow's lock makes it rare."""
STALE_SAFE_COMMANDS = frozenset({"pass-deadline"})


class LedgerActivities:
    """The activities on the ledger. Give it a ledger, a clock and a reader of facts."""

    def __init__(self, ledger: Ledger, clock: Clock, facts: FactReader) -> None:
        self._ledger = ledger
        self._clock = clock
        self._facts = facts
        self._cache = StateCache()

    def all(self) -> Sequence[Any]:
        """What the worker registers."""
        return (self.update_ledger, self.load_case)

    @activity.defn(name="update_ledger")
    async def update_ledger(self, request: UpdateLedger) -> Outcome:
        """Decide one command and append what follows.

        Answers with a receipt, or with a refusal that names every reason. Raises only when the ledger is away.
        """
        process = PROCESSES[request.kind]
        try:
            command = process.commands.parse(request.command, request.message.body)
        except (KeyError, ValidationError) as error:
            # The front door checks every field; what arrives here malformed is a programming error of a caller.
            words = f"malformed {request.command}: {type(error).__name__}"
            raise ApplicationError(words, type="Malformed", non_retryable=True) from None
        for attempt in range(MAX_CONFLICTS):
            try:
                outcome = await self._attempt(process, command, request, first=attempt == 0)
            # Answers and no failures: no repetition would open the book again, or bring it back.
            except BookClosed as error:
                return Outcome(refusal=refuse("book_closed", book=error.book))
            except BookDetached as error:
                return Outcome(refusal=refuse("book_detached", book=error.book))
            except InvalidAppend as error:
                # A defect, for instance more text than an event may hold: trying again would never help.
                raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from None
            except UnreadableEvent as error:
                # A release that knows the event may have carried the command out already.
                done = await self._done_before(request)
                return done or Outcome(refusal=refuse("history_unreadable", problem=str(error)))
            if outcome is not None:
                return outcome
        raise ApplicationError(f"{request.kind}/{request.number} keeps changing", type="Contended")

    @activity.defn(name="load_case")
    async def load_case(self, request: LoadCase) -> Outcome:
        """Read a stream and say what its case waits for; neither receipt nor refusal when it does not exist.

        A stream that this release cannot read is a refusal: a later one starts the workflow again, as it would a lost
        one.
        """
        process = PROCESSES[request.kind]
        try:
            state, version = await self._load(process, request.number, request.campaign, fresh=True)
        except UnreadableEvent as error:
            return Outcome(refusal=refuse("history_unreadable", problem=str(error)))
        if state is None:
            return Outcome()
        return Outcome(receipt=await receipt_of(self._clock, process, request.number, state, version))

    async def _attempt(self, process: Process, command: Any, request: UpdateLedger, *, first: bool) -> Outcome | None:
        """One decision on the newest known state; None when somebody else appended first."""
        stream = process_stream(request.kind, request.number)
        if first and request.command in process.opening and self._cache.get(stream) is None:
            # There will be nothing to read; should there be, the append's expected version finds it out.
            state, version = None, 0
        else:
            state, version = await self._load(process, request.number, request.campaign)
        if state is not None and (stale := stale_refusal(request.message.expected_versions, version)):
            return await self._refused(process, stale, request, version)
        facts = await process.facts(self._facts, request.campaign, request.number, state, command)
        now = await self._clock.now()
        context = Context(request.number, request.message.actor, facts, now)
        decided, facts = await process.decided(self._facts, request.campaign, state, command, context)
        if isinstance(decided, Refusal):
            return await self._refused(process, decided, request, version)
        new_state = state
        for event in decided.events:
            new_state = process.evolve(new_state, event)
        new_version = version + len(decided.events)
        receipt = await receipt_of(self._clock, process, request.number, new_state, new_version)
        result = await self._ledger.append(
            append_of(
                decided,
                book=book_of(request.kind, request.campaign),
                stream=stream,
                version=version,
                command_id=request.command_id,
                digest=request.message.digest,
                actor=request.message.actor,
                now=now,
                reply=receipt.model_dump_json().encode(),
                correlation_id=request.message.correlation_id or stream,
                campaign=request.campaign,
            )
        )
        match result:
            case Appended():
                self._cache.put(stream, new_state, new_version)
                sequence = result.sequences.get(book_of(request.kind, request.campaign), 0)
                return Outcome(receipt=receipt.model_copy(update={"sequence": sequence}))
            case Duplicate():
                return Outcome(receipt=await self._repeated(result.reply))
            case CommandReused():
                return Outcome(refusal=refuse("command_reused"))
            case ClaimRefused():
                named = {"rule_version": facts.plan.sha256(), "facts": facts_of(result)}
                return Outcome(refusal=refusal_of(result).model_copy(update=named))
            case VersionConflict():
                self._cache.forget(stream)
                return None

    async def _refused(self, process: Process, refusal: Refusal, request: UpdateLedger, version: int) -> Outcome | None:
        """A refusal counts only if the command was not done before, and not if it rests on a stale state."""
        done = await self._done_before(request)
        if done is not None:
            return done
        state, newest = await self._load(process, request.number, request.campaign, fresh=True)
        if newest != version:
            return None
        receipt = None
        if state is not None and request.command in STALE_SAFE_COMMANDS:
            # A timer that fired early is told how long it still has to wait.
            receipt = await receipt_of(self._clock, process, request.number, state, newest)
        return Outcome(receipt=receipt, refusal=refusal)

    async def _done_before(self, request: UpdateLedger) -> Outcome | None:
        """What was answered to the command, None when it was never carried out."""
        stored = await self._ledger.find_command(request.command_id)
        if stored is None:
            return None
        if stored.content_hash != content_hash(request.message.digest):
            return Outcome(refusal=refuse("command_reused"))
        return Outcome(receipt=await self._repeated(stored.reply))

    async def _repeated(self, reply: bytes) -> Receipt:
        """The first answer, with the time that is left now."""
        receipt = Receipt.model_validate_json(reply)
        if receipt.wait_seconds is None or receipt.deadline is None:
            return receipt
        wait = await self._clock.real_seconds_until(receipt.deadline)
        return receipt.model_copy(update={"wait_seconds": wait})

    async def _load(self, process: Process, number: str, campaign: str, *, fresh: bool = False) -> tuple[Any, int]:
        stream = process_stream(process.kind, number)
        cached = None if fresh else self._cache.get(stream)
        if cached is not None:
            return cached
        recorded = await self._ledger.read_stream(book_of(process.kind, campaign), stream)
        state = process.fold(process.events.read(each) for each in recorded)
        version = recorded[-1].version if recorded else 0
        if recorded:
            self._cache.put(stream, state, version)
        return state, version
