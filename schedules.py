"""The Temporal Schedules that xunji keeps: made when a worker starts, and again after a cluster was lost.

Making them again changes nothing; a schedule whose rhythm was changed by a new version, or by the demo, is updated.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from settings import Settings
from workflows.messages import BULLETINS_WORKFLOW_TYPE

BULLETINS: Final = "bulletins"
TIME_ZONE: Final = "Asia/Shanghai"
HOUR: Final = 1
"""In production the bulletins are looked at once a day, when nobody works."""
DEMO_INTERVAL: Final = timedelta(seconds=2)
"""A campaign day of the demo is an eighth of a second."""


def bulletins_schedule(settings: Settings) -> Schedule:
    """When bulletins are looked at, and by which workflow. A run that takes too long is not overtaken."""
    daily = ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(HOUR)])], time_zone_name=TIME_ZONE)
    often = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=DEMO_INTERVAL)])
    return Schedule(
        action=ScheduleActionStartWorkflow(
            BULLETINS_WORKFLOW_TYPE,
            id="bulletins/run",
            task_queue=settings.task_queue,
            static_summary="bulletins that are due",
        ),
        spec=often if settings.clock == "demo" else daily,
    )


async def ensure_schedules(client: Client, settings: Settings, *, prefix: str = "") -> None:
    """Make every schedule that is missing, and give those that are there their present rhythm. Raises RPCError."""
    wanted = bulletins_schedule(settings)
    id_ = prefix + BULLETINS
    try:
        await client.create_schedule(id_, wanted)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(id_).update(_with_rhythm(wanted))


def _with_rhythm(wanted: Schedule) -> Callable[[ScheduleUpdateInput], ScheduleUpdate]:
    def update(found: ScheduleUpdateInput) -> ScheduleUpdate:
        # Whether an operator has paused it is his to say.
        return ScheduleUpdate(schedule=replace(wanted, state=found.description.schedule.state))

    return update
