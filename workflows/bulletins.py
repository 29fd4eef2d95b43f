"""The workflow that the Schedule `bulletins` starts: it has what is due published, and ends."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from workflows.messages import BulletinRun

TIMEOUT = timedelta(minutes=10)
HEARTBEAT = timedelta(minutes=2)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))


@workflow.defn(name="Bulletins")
class Bulletins:
    """One run of the schedule."""

    @workflow.run
    async def run(self) -> BulletinRun:
        """Look at every campaign once. The next run comes by itself, so nothing is kept here."""
        done: BulletinRun = await workflow.execute_activity(
            "publish_bulletins",
            result_type=BulletinRun,
            start_to_close_timeout=TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary="publish what is due",
        )
        lines = "\n".join(f"- {each}" for each in done.published) or "- nothing was due"
        workflow.set_current_details(f"### {done.campaigns} campaigns\n\n{lines}\n")
        return done
