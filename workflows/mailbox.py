"""The mailbox of one organisation: it empties the outbox in order, and waits when nobody takes what is sent.

    wake ─► deliver a batch ─┬─► nothing left ─► ended (the next wake starts it again)
               ▲             ├─► more left ────► the next batch
               │             ├─► held ─────────► waits for the end of the quiet hours, or until there is something new
               │             └─► failed ───────► waits by the schedule, or until there is something new
               └───────────────────────────────────────────┘

An operator pauses it, resumes it, skips a notice or has some posted once more by an Update, from the Temporal UI or by
the API. What was delivered, asked and stopped is known to the database, not to this workflow: it can be lost and
started again at any moment.
"""

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from workflows.messages import (
        MAILBOX_WORKFLOW_TYPE,
        BatchResult,
        DeliverBatch,
        MailboxAnswer,
        MailboxCommand,
        MailboxOrder,
        MailboxStart,
        Redeliver,
        SkipNotice,
    )

SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The waits before the first, second, … attempt, as Standard Webhooks 1.0 has them; the last one is repeated."""
JITTER = 0.1
"""Up to this part of a wait is added to it by chance, so that receivers that failed together are not met together."""
PAUSE = timedelta(seconds=5)
"""Something new is a reason to try before the schedule does, but not sooner than this after the last failure."""
QUIET_PAUSE = timedelta(milliseconds=10)
"""So long at least is waited for a morning: a clock that stands still, as the demo's, is not asked without a pause."""
BATCHES_PER_RUN = 200
"""Then the workflow continues as new, long before its history grows large."""
BATCH_TIMEOUT = timedelta(minutes=10)
BATCH_HEARTBEAT = timedelta(seconds=90)
"""Longer than the longest single send, so that only a lost worker misses it."""
BATCH_RETRY = RetryPolicy(maximum_interval=timedelta(seconds=30), maximum_attempts=5)
"""For our own database or worker; a receiver's failure is an answer of the activity and waits by the schedule."""
ORDER_TIMEOUT = timedelta(seconds=30)
SUMMARY_BYTES_MAX = 200


@workflow.defn(name=MAILBOX_WORKFLOW_TYPE)
class Mailbox:
    """Delivers an organisation's notices until none is left."""

    @workflow.init
    def __init__(self, start: MailboxStart) -> None:
        self._organisation = start.organisation
        self._attempt = start.attempt
        self._woken = False
        self._left = 0
        self._last_problem = ""
        self._problems: tuple[str, ...] = ()
        self._paused = ""
        self._resumed = False
        self._next_attempt: datetime | None = None
        self._held = ""

    @workflow.signal(description="There are new notices for this organisation.")
    def wake(self) -> None:
        self._woken = True

    @workflow.update(description='Send nothing until it is resumed: {"reason": "…"}. The batch under way is finished.')
    async def pause(self, command: MailboxCommand) -> MailboxAnswer:
        answer = await self._carry_out("pause", command)
        self._paused = f"by {command.actor}: {command.reason}"
        self._show()
        return answer

    @workflow.update(description='Go on with sending, at once: {"reason": "…"}.')
    async def resume(self, command: MailboxCommand) -> MailboxAnswer:
        answer = await self._carry_out("resume", command)
        self._paused, self._woken, self._resumed = "", True, True
        return answer

    @workflow.update(description='Do not send this notice any more: {"notice": "<webhook-id>", "reason": "…"}.')
    async def skip(self, command: SkipNotice) -> MailboxAnswer:
        answer = await self._carry_out("skip", command, notice=command.notice)
        self._woken = True
        return answer

    @workflow.update(
        description='Post once more: {"endpoint": "we_…", "notice": "<webhook-id>", "reason": "…"}, or with "since" '
        'and "before" instead of "notice"; "missing_only": true leaves out what was taken.'
    )
    async def redeliver(self, command: Redeliver) -> MailboxAnswer:
        what = command.model_dump(include={"endpoint", "notice", "since", "before", "missing_only"})
        answer = await self._carry_out("redeliver", command, **what)
        self._woken = True
        return answer

    async def _carry_out(self, kind: str, command: MailboxCommand, **what: Any) -> MailboxAnswer:
        order = MailboxOrder.model_validate(
            {
                "kind": kind,
                "organisation": self._organisation,
                "command_id": command.command_id or workflow.uuid4(),
                "actor": command.actor,
                "reason": command.reason,
                **what,
            }
        )
        answer: MailboxAnswer = await workflow.execute_activity(
            "carry_out_mailbox_order",
            order,
            result_type=MailboxAnswer,
            start_to_close_timeout=ORDER_TIMEOUT,
            retry_policy=BATCH_RETRY,
            summary=_short(f"{kind} · {command.actor} · {command.reason}"),
        )
        return answer

    @workflow.run
    async def run(self, start: MailboxStart) -> None:
        """Ends when a batch has left nothing and nobody has woken the mailbox meanwhile."""
        for _ in range(BATCHES_PER_RUN):
            self._woken = self._resumed = False
            result = await self._deliver()
            if result.paused:
                # A batch that was begun before the mailbox was resumed may say that it is stopped.
                if not self._resumed:
                    await self._stay_paused()
                if self._paused:
                    break
                continue
            if result.problem and result.left:
                await self._rest(result)
                continue
            self._attempt, self._next_attempt = 0, None
            if result.held and (result.left <= result.held or not result.delivered):
                await self._wait_for_morning(result)
                continue
            if not result.left and not self._woken:
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._woken:
                    return
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(MailboxStart(organisation=self._organisation, attempt=self._attempt))

    async def _deliver(self) -> BatchResult:
        """One batch. What our own side could not do in several attempts becomes a problem like a receiver's."""
        self._show()
        request = DeliverBatch(organisation=self._organisation, attempt=self._attempt)
        try:
            result: BatchResult = await workflow.execute_activity(
                "deliver_batch",
                request,
                result_type=BatchResult,
                start_to_close_timeout=BATCH_TIMEOUT,
                heartbeat_timeout=BATCH_HEARTBEAT,
                retry_policy=BATCH_RETRY,
                summary=_short(f"notices to {self._organisation} · attempt {self._attempt + 1}"),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = error.cause.type if isinstance(error.cause, ApplicationError) else type(error.cause).__name__
            # How many are left is not known; that the mailbox was started means that there is at least one.
            result = BatchResult(delivered=0, left=max(self._left, 1), problem=f"deliver_batch failed ({cause})")
        if not result.problem and result.left and not result.delivered and not result.held:
            # Without this a notice that nothing can be done about would be tried without a pause, for ever.
            result = result.model_copy(update={"problem": "nothing could be delivered"})
        self._left, self._last_problem = result.left, result.problem
        self._paused = "" if self._resumed else result.paused
        self._problems = result.problems
        self._held = ""
        if result.held:
            self._held = f"{result.held} wait until {result.held_until}, quiet hours"
        return result

    async def _wait_for_morning(self, result: BatchResult) -> None:
        """Wait until the quiet hours are over. Something new is looked at before: it may be urgent, or for webhooks."""
        self._show()
        rest = f"{self._organisation} · {self._held}"
        try:
            await workflow.wait_condition(
                lambda: self._woken, timeout=_until_morning(result), timeout_summary=_short(rest)
            )
        except TimeoutError:
            return

    async def _stay_paused(self) -> None:
        """Wait until it is resumed, or until so much has happened meanwhile that a new run is due."""
        self._show()
        await workflow.wait_condition(lambda: not self._paused or workflow.info().is_continue_as_new_suggested())

    async def _rest(self, result: BatchResult) -> None:
        """Wait for the next attempt of the schedule, or until something new has come.

        An attempt that something new has caused does not move the schedule: only its own attempts count.
        """
        now = workflow.now()
        if self._next_attempt is None or now >= self._next_attempt:
            self._attempt = min(self._attempt + 1, len(SCHEDULE) - 1)
            self._next_attempt = now + self._wait(result)
        self._show()
        rest = f"{self._organisation} · attempt {self._attempt + 1} · {result.problem}"
        earliest = now + max(PAUSE, timedelta(seconds=result.retry_after_seconds or 0))
        try:
            remaining = self._next_attempt - now
            if result.held:
                # What only waits for the morning does not wait for the next attempt of another way.
                remaining = min(remaining, _until_morning(result))
            await workflow.wait_condition(lambda: self._woken, timeout=remaining, timeout_summary=_short(rest))
        except TimeoutError:
            return
        pause = min(earliest, self._next_attempt) - workflow.now()
        if pause > timedelta(0):
            await workflow.sleep(pause, summary=_short(f"something new · {rest}"))

    def _wait(self, result: BatchResult) -> timedelta:
        scheduled = SCHEDULE[self._attempt]
        asked_for = timedelta(seconds=result.retry_after_seconds or 0)
        return max(scheduled * (1 + JITTER * workflow.random().random()), asked_for)

    def _show(self) -> None:
        lines = [f"### Mailbox of {self._organisation}", f"- notices left: {self._left}"]
        if self._last_problem:
            lines.append(f"- last problem: {self._last_problem}")
            lines.append(f"- next attempt: number {self._attempt + 1}")
            if self._next_attempt is not None:
                lines[-1] += f", by {self._next_attempt:%Y-%m-%d %H:%M:%S} UTC"
        if self._held:
            lines.append(f"- {self._held}")
        others = [each for each in self._problems if each != self._last_problem]
        if others:
            lines += ["", "Other ways that failed:", *(f"- {each}" for each in others)]
        if self._paused:
            lines[1:1] = [f"- **paused** {self._paused}", "- to go on: Update `resume`"]
        workflow.set_current_details("\n".join(lines))


def _until_morning(result: BatchResult) -> timedelta:
    return max(timedelta(seconds=result.held_seconds or 0), QUIET_PAUSE)


def _short(text: str) -> str:
    """As much of `text` as the Temporal UI shows in a summary."""
    return text.encode()[:SUMMARY_BYTES_MAX].decode(errors="ignore")
