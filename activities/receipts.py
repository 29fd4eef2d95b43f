"""What a command is answered with: the case as its stream stands, and how long its own timer still has to run."""

from dataclasses import asdict
from typing import Any

from activities.processes import Process
from clock import Clock
from workflows.messages import Receipt


async def receipt_of(clock: Clock, process: Process, number: str, state: Any, version: int) -> Receipt:
    """The receipt of a case at a version of its stream. Its `sequence` is known once it was appended."""
    case = process.case_of(number, state)
    wait = None
    if case.timer and case.deadline is not None and not case.closed:
        wait = await clock.real_seconds_until(case.deadline)
    return Receipt(
        number=number,
        version=version,
        phase=case.phase,
        closed=case.closed,
        deadline=case.deadline,
        wait_seconds=wait,
        summary=case.summary,
        waiting_for=case.waiting_for,
        attributes=case.attributes,
        reach=asdict(case.reach) if case.reach else None,
    )
