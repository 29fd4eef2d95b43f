"""The mailbox of one organisation: it empties the outbox in order, and waits when nobody takes what is sent.

    wake ─► deliver a batch ─┬─► nothing left ─► ended (the next wake starts it again)
               ▲             ├─► more left ────► the next batch
               │             └─► failed ───────► waits by the schedule, or until there is something new
               └───────────────────────────────────────────┘

What was delivered is known to the database, not to this workflow: it can be lost and started again at any moment.
"""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from workflows.messages import MAILBOX_WORKFLOW_TYPE, BatchResult, DeliverBatch, MailboxStart

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
BATCHES_PER_RUN = 200
"""Then the workflow continues as new, long before its history grows large."""
BATCH_TIMEOUT = timedelta(minutes=10)
BATCH_HEARTBEAT = timedelta(seconds=90)
"""Longer than the longest single send, so that only a lost worker misses it."""
BATCH_RETRY = RetryPolicy(maximum_interval=timedelta(seconds=30), maximum_attempts=5)
"""For our own database or worker; a receiver's failure is an answer of the activity and waits by the schedule."""
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
        self._next_attempt: datetime | None = None

    @workflow.signal(description="There are new notices for this organisation.")
    def wake(self) -> None:
        self._woken = True

    @workflow.run
    async def run(self, start: MailboxStart) -> None:
        """Ends when a batch has left nothing and nobody has woken the mailbox meanwhile."""
        for _ in range(BATCHES_PER_RUN):
            self._woken = False
            result = await self._deliver()
            if result.problem and result.left:
                await self._rest(result)
                continue
            self._attempt, self._next_attempt = 0, None
            if not result.left and not self._woken:
                return
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
        if not result.problem and result.left and not result.delivered:
            # Without this a notice that nothing can be done about would be tried without a pause, for ever.
            result = result.model_copy(update={"problem": "nothing could be delivered"})
        self._left, self._last_problem = result.left, result.problem
        return result

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
        workflow.set_current_details("\n".join(lines))


def _short(text: str) -> str:
    """As much of `text` as the Temporal UI shows in a summary."""
    return text.encode()[:SUMMARY_BYTES_MAX].decode(errors="ignore")
