"""What somebody on the waiting list is told: his position, and why he has no seat yet (edge case 7)."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from api.permissions import Caller
from api.problems import documented
from api.receipts import TraineeNumber
from api.routing import router
from api.services import ServicesHere, allowed
from domain.numbers import seat_key
from domain.trainee_context import line_of
from projections import trainees

routes = router("/v1/trainees", "trainees")
Reader = Annotated[Caller, allowed("trainees:read")]
NumberInPath = Annotated[TraineeNumber, Path(description="The nomination's number.")]
Why = Literal["no_seat_left", "others_first", "next_in_line", "offered", "last_day_passed", "not_waiting"]
WORDS: dict[Why, tuple[str, str]] = {
    "no_seat_left": (
        "名额已满，有名额空出时按顺序递补。",
        "No seat is free; each that becomes free goes to the first.",
    ),
    "others_first": ("名额有空出，但前面还有候补。", "Seats are free, but they go to those who stand before you."),
    "next_in_line": ("正在为您递补名额。", "A seat is being offered to you."),
    "offered": ("已为您保留名额，请在期限前答复。", "A seat is held for you; answer before the time is over."),
    "last_day_passed": ("最后可用日期已过，不再递补。", "The last useful day has passed; no seat is offered any more."),
    "not_waiting": ("该推荐不在候补名单中。", "This nomination is not on a waiting list."),
}


class WaitingState(BaseModel):
    """Where a nomination stands on the waiting list of its quota line."""

    trainee: str
    line: str
    position: int | None = Field(description="1 gets the next seat; null when the nomination does not wait.")
    waiting: int = Field(description="How many wait for this line.")
    left: int = Field(description="Seats of the line that are free at this moment.")
    until: datetime | None = Field(description="The end of the offer, or the last useful day.")
    reason: Why
    reason_zh: str
    reason_en: str


@routes.get(
    "/{number}/waiting",
    operation_id="get_trainee_waiting",
    summary="Read why a nomination has no seat yet",
    responses=documented(404),
)
async def get_trainee_waiting(number: NumberInPath, caller: Reader, services: ServicesHere) -> WaitingState:
    """Position and reason, in both languages."""
    found = await services.cases.trainee(number, caller)
    state, line = found.state, line_of(found.state)
    rows = await trainees.waiting(services.pool, state.campaign, state.project_type, state.county)
    counter = await services.ledger.counter(seat_key(state.campaign, line))
    left = counter.limit - counter.used
    position = next((place for place, row in enumerate(rows, start=1) if row.number == number), None)
    why: Why = "not_waiting"
    if state.phase == "offered":
        why = "offered"
    elif state.phase == "waitlisted":
        why = _why(position, left, is_over=state.deadline is not None and await services.clock.now() >= state.deadline)
    zh, en = WORDS[why]
    waits = state.phase in ("waitlisted", "offered")
    return WaitingState(
        trainee=number,
        line=line,
        position=position,
        waiting=len(rows),
        left=left,
        until=state.deadline if waits else None,
        reason=why,
        reason_zh=zh,
        reason_en=en,
    )


def _why(position: int | None, left: int, *, is_over: bool) -> Why:
    if is_over:
        return "last_day_passed"
    if left < 1:
        return "no_seat_left"
    return "next_in_line" if position is None or position <= left else "others_first"
