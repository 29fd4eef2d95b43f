"""What every process's workflow does: hand commands to the ledger, show the case, keep one timer.

The ledger decides, this keeps time. A workflow knows only the last receipt: version, phase, deadline. It can be lost
and started again at any moment, because the receipt can be read from the ledger.
"""

import asyncio
from collections import deque
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid5

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from domain.decision import SYSTEM, Refusal
    from workflows.listing import Listed, changes, read
    from workflows.messages import (
        REFUSED,
        CommandMessage,
        LoadCase,
        Outcome,
        ProcessKind,
        ProcessStart,
        Reached,
        ReachTrainees,
        Receipt,
        UpdateLedger,
    )

COMMAND_NAMESPACE = UUID("6f1f4a3e-5d0c-4a9b-9f55-2a0f3c1f7c11")
"""Ids of the commands that a workflow gives itself are derived in this namespace, so that a replay repeats them."""
LOCAL_TIMEOUT = timedelta(seconds=5)
"""A decision takes milliseconds. After this the same command goes to a regular activity, where an operator sees it."""
LOCAL_RETRY = RetryPolicy(maximum_attempts=2)
REMOTE_TIMEOUT = timedelta(seconds=30)
REMOTE_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
REACH_TIMEOUT = timedelta(hours=2)
REACH_HEARTBEAT = timedelta(minutes=1)
SHOWN_COMMANDS = 8
LISTING_INTERVAL = timedelta(seconds=5)
"""Search attributes are written at once, and then at most once in so long: each write costs the server more than the
command itself (docs/decisions/0009). The end of a case is always written at once."""
TIMER_COMMAND = "pass-deadline"
TOO_EARLY = "too_early"
READ_WHEN_WOKEN = "read-when-woken"
"""The patch since which a woken case without a timer reads its stream: another process may have added to it."""
WAIT_FOR_A_FAILING_LEDGER = "wait-for-a-failing-ledger"
"""The patch since which a command waits for a ledger that answers with an error; before, it failed with the error."""


class ProcessWorkflow:
    """The base of the trainee's, the class's, the campaign's and the restriction's workflow."""

    kind: ClassVar[ProcessKind]

    def __init__(self, start: ProcessStart) -> None:
        self._start = start
        self._receipt: Receipt | None = None
        self._refused = False
        self._woken = False
        self._shown: deque[str] = deque(maxlen=SHOWN_COMMANDS)
        info = workflow.info()
        self._listed: Listed = read(info.typed_search_attributes)
        self._listed_at: datetime | None = info.start_time if self._listed[0] else None
        self._listing: asyncio.Task[None] | None = None
        # Two commands of one case must not decide on the same version: each waits for the one before.
        self._lock = asyncio.Lock()

    @property
    def _closed(self) -> bool:
        return self._receipt.closed if self._receipt is not None else self._refused

    @workflow.signal(description="The ledger has this case as overdue: look at the clock again.")
    def wake(self) -> None:
        self._woken = True

    # ---------------------------------------------------------------------------------------- the life of a process

    async def open(self) -> None:
        """Know the case: from the command that creates it, or from the ledger."""
        if self._start.new:
            await workflow.wait_condition(lambda: self._receipt is not None or self._refused)
        elif self._receipt is None:
            await self._read_again()

    async def _read_again(self) -> None:
        """Know the case as the ledger has it."""
        load = LoadCase(kind=self.kind, number=self._start.number, campaign=self._start.campaign)
        async with self._lock:
            loaded: Outcome = await workflow.execute_local_activity(
                "load_case", load, result_type=Outcome, start_to_close_timeout=REMOTE_TIMEOUT
            )
        # A stream that does not exist leaves nothing to wait for.
        self._refused = loaded.receipt is None
        if loaded.receipt is not None:
            if self._receipt is not None and loaded.receipt.version > self._receipt.version:
                self._shown.appendleft(f"{loaded.receipt.phase} · read from the ledger")
            self._show(loaded.receipt)

    async def while_in(self, *phases: str) -> None:
        """Wait for commands and keep the case's timer, for as long as it is in one of `phases`."""
        while not self._closed and self._receipt is not None and self._receipt.phase in phases:
            if workflow.info().is_continue_as_new_suggested():
                # `finish` goes on with a fresh history; the case is read from the ledger again.
                return
            if self._receipt.reach is not None:
                await self._reach_trainees(self._receipt.reach)
            else:
                await self._wait(phases)

    async def finish(self) -> None:
        """End, or go on with a fresh history, once no command is under way."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._listing is not None:
            self._listing.cancel()
        if not self._closed:
            workflow.continue_as_new(self._start.model_copy(update={"new": False}))

    async def _wait(self, phases: tuple[str, ...]) -> None:
        receipt = self._receipt
        assert receipt is not None, "a case is known once it was opened"
        armed_for = receipt.deadline if receipt.wait_seconds is not None else None

        def timer() -> datetime | None:
            now = self._receipt
            assert now is not None, "a known case stays known"
            return now.deadline if now.wait_seconds is not None else None

        def moved_on() -> bool:
            now = self._receipt
            assert now is not None, "a known case stays known"
            return self._woken or now.closed or now.phase not in phases or now.reach is not None or timer() != armed_for

        if armed_for is None or receipt.wait_seconds is None:
            await workflow.wait_condition(moved_on)
            if self._woken and workflow.patched(READ_WHEN_WOKEN):
                await self._read_again()
            self._woken = False
            return
        try:
            await workflow.wait_condition(
                moved_on,
                timeout=timedelta(seconds=receipt.wait_seconds),
                timeout_summary=f"{receipt.waiting_for}, until {armed_for:%Y-%m-%d %H:%M}Z",
            )
            is_due = self._woken and timer() == armed_for
        except TimeoutError:
            is_due = True
        self._woken = False
        if is_due:
            await self._give_itself(TIMER_COMMAND)

    async def _reach_trainees(self, reach: dict[str, object]) -> None:
        done_body = reach.get("done_body") or {}
        assert isinstance(done_body, dict), "the fields of a command are an object"
        request = ReachTrainees.model_validate({"campaign": self._start.campaign, **_without_done(reach)})
        reached = await workflow.execute_activity(
            "reach_trainees",
            request,
            result_type=Reached,
            start_to_close_timeout=REACH_TIMEOUT,
            heartbeat_timeout=REACH_HEARTBEAT,
            retry_policy=REMOTE_RETRY,
            summary=f"reach {', '.join(request.command_by_phase) or 'nobody'}",
        )
        workflow.logger.info("trainees reached", extra={"found": reached.found, "changed": reached.changed})
        await self._give_itself(str(reach["done_by"]), done_body)

    async def _give_itself(self, command: str, body: dict[str, Any] | None = None) -> None:
        """A command of the system's own; its id follows from the case's version, so that a repetition is one."""
        assert self._receipt is not None, "a case is known once it was opened"
        name = f"{self.kind}/{self._start.number}:{command}:{self._receipt.version}"
        message = CommandMessage(actor=SYSTEM, body=body or {}, digest="")
        outcome = await self._decide(command, uuid5(COMMAND_NAMESPACE, name), message)
        if outcome.refusal is not None and outcome.refusal.code != TOO_EARLY:
            # Somebody was faster: the case has moved on and needs no such command any more.
            workflow.logger.info("superseded", extra={"command": command, "code": outcome.refusal.code})

    # ------------------------------------------------------------------------------------------- handling a command

    async def handle(self, command: str, message: CommandMessage) -> Receipt:
        """Decide a command that came as an Update. Raises ApplicationError of type `Refused` with every reason."""
        update = workflow.current_update_info()
        assert update is not None, "handle is called by Update handlers only"
        outcome = await self._decide(command, UUID(update.id), message)
        if outcome.receipt is None or outcome.refusal is not None:
            raise _refused(outcome.refusal)
        return outcome.receipt

    async def _decide(self, command: str, command_id: UUID, message: CommandMessage) -> Outcome:
        request = UpdateLedger(
            kind=self.kind,
            number=self._start.number,
            campaign=self._start.campaign,
            command=command,
            command_id=command_id,
            message=message,
        )
        async with self._lock:
            outcome = await self._update_ledger(request)
            if outcome.receipt is not None:
                if outcome.refusal is None:
                    self._shown.appendleft(f"{command} · {message.actor}")
                self._show(outcome.receipt)
            elif self._receipt is None:
                self._refused = True
        return outcome

    async def _update_ledger(self, request: UpdateLedger) -> Outcome:
        try:
            outcome: Outcome = await workflow.execute_local_activity(
                "update_ledger",
                request,
                result_type=Outcome,
                schedule_to_close_timeout=LOCAL_TIMEOUT,
                retry_policy=LOCAL_RETRY,
            )
            return outcome
        except FailureError as error:
            if not _passes(error):
                raise
            # The ledger is slow or away. The same command, under the same id, now waits where it can be seen.
            seen: Outcome = await workflow.execute_activity(
                "update_ledger",
                request,
                result_type=Outcome,
                start_to_close_timeout=REMOTE_TIMEOUT,
                retry_policy=REMOTE_RETRY,
                summary=f"{request.command} waits for the ledger",
            )
            return seen

    # ------------------------------------------------------------------------------------------- what operators see

    def _show(self, receipt: Receipt) -> None:
        if self._receipt is not None and receipt.version < self._receipt.version:
            return
        self._receipt = receipt
        workflow.set_current_details(self._details(receipt))
        if not changes(self._listed, receipt.attributes, receipt.deadline):
            return
        elapsed = workflow.now() - self._listed_at if self._listed_at is not None else LISTING_INTERVAL
        if receipt.closed or elapsed >= LISTING_INTERVAL:
            self._list()
        elif self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._list_after(LISTING_INTERVAL - elapsed))

    async def _list_after(self, pause: timedelta) -> None:
        await workflow.sleep(pause, summary="then list the case as it stands")
        self._list()

    def _list(self) -> None:
        """Write the search attributes that have changed; one call is one event, however many they are."""
        receipt = self._receipt
        assert receipt is not None, "only a known case is listed"
        if updates := changes(self._listed, receipt.attributes, receipt.deadline):
            workflow.upsert_search_attributes(updates)
            self._listed_at = workflow.now()
            self._listed = (dict(receipt.attributes), receipt.deadline)

    def _details(self, receipt: Receipt) -> str:
        until = f" until **{receipt.deadline:%Y-%m-%d %H:%M}Z**" if receipt.deadline else ""
        waiting = f"waits for {receipt.waiting_for}{until}" if receipt.waiting_for else "waits for nothing"
        steps = "\n".join(f"- {step}" for step in self._shown) or "- read from the ledger"
        return (
            f"### {receipt.phase}\n\n{receipt.summary}\n\n- {waiting}\n- ledger version {receipt.version}\n\n"
            f"#### Last commands\n\n{steps}\n"
        )


def _passes(error: FailureError) -> bool:
    """Whether the ledger may carry the command out later.

    A local activity that took too long raises an ActivityError, and only its cause when it is replayed; one that has
    failed raises what it has failed with, here as there.
    """
    if not isinstance(error, ApplicationError):
        return True
    return not error.non_retryable and workflow.patched(WAIT_FOR_A_FAILING_LEDGER)


def _refused(refusal: Refusal | None) -> ApplicationError:
    assert refusal is not None, "an outcome is a receipt or a refusal"
    words = "; ".join(reason.en for reason in refusal.reasons)
    return ApplicationError(words, refusal.model_dump(mode="json"), type=REFUSED, non_retryable=True)


def _without_done(reach: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in reach.items() if key not in ("done_by", "done_body")}
