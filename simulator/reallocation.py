"""Seats that one county leaves over and another one takes: which line gives, which line takes, and how many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.plan import Plan
from simulator.allocation import LineDemand

SEATS: Final = 2
"""So many seats are given where the lines are large enough."""


@dataclass(frozen=True, slots=True)
class Reallocation:
    """The seats of the line `giver` that its recipient cannot fill go to the line `taker` of another one."""

    giver: str
    taker: str
    seats: int

    @property
    def giving(self) -> str:
        """The recipient that gives."""
        return self.giver.partition(":")[2]

    @property
    def taking(self) -> str:
        """The recipient that takes."""
        return self.taker.partition(":")[2]


def reallocated(plan: Plan, demands: Sequence[LineDemand]) -> tuple[tuple[LineDemand, ...], Reallocation]:
    """The demands with one line that is short by SEATS and one of the same project type that is over by as many.

    What these two get or lose by it, a third line gives or takes, so that the sum stays. Raises ValueError when no
    project type has two lines that are large enough.
    """
    for giver in sorted(demands, key=lambda each: (not _is_county(plan, each), -each.line.seats)):
        others = [
            each
            for each in demands
            if each.line.project_type == giver.line.project_type and each.line.recipient != giver.line.recipient
        ]
        if giver.line.seats > SEATS and others:
            taker = min(others, key=lambda each: (each.line.seats, each.line.key))
            return _moved(demands, giver, taker), Reallocation(giver.line.key, taker.line.key, SEATS)
    raise ValueError("no two lines of one project type take part: ask for more nominations")


def _is_county(plan: Plan, demand: LineDemand) -> bool:
    recipient = plan.find_recipient(demand.line.recipient)
    return recipient is not None and recipient.kind == "county"


def _moved(demands: Sequence[LineDemand], giver: LineDemand, taker: LineDemand) -> tuple[LineDemand, ...]:
    wanted = {giver.line.key: giver.line.seats - SEATS, taker.line.key: taker.line.seats + SEATS}
    left = sum(each.nominations for each in (giver, taker)) - sum(wanted.values())
    rest = [each for each in demands if each.line.key not in wanted]
    # The largest lines give or take what is over, each as long as one nomination stays.
    for each in sorted(rest, key=lambda demand: -demand.nominations):
        change = max(left, 1 - each.nominations)
        wanted[each.line.key] = each.nominations + change
        left -= change
    if left:
        raise ValueError("too few nominations for a county that gives seats to another one")
    return tuple(replace(each, nominations=wanted.get(each.line.key, each.nominations)) for each in demands)
