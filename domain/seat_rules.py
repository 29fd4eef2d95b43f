"""How seats move once they are handed out: the plan's section `seat_rules`, with what holds when a plan is silent.

The notice only says 足额完成下达指标 (N5): windows, order and last day are the bureau's own choice, so each of them
stands in the plan.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from domain import calendar
from domain.calendar import DeadlineOnHoliday

if TYPE_CHECKING:
    from domain.plan import Plan

Hours = Annotated[int, Field(strict=True, ge=1, le=24 * 60)]
Preference = Literal["rural", "project-county"]
"""rural: 向农村教学一线教师倾斜 (N6). project-county: a teacher of a 项目县."""


def _no_number(value: object) -> object:
    # pydantic would read a bare number as seconds since 1970.
    if isinstance(value, int | float):
        raise PydanticCustomError("plan_date", "a date like 2022-08-31 is expected")
    return value


LastOffer = Annotated[date | None, BeforeValidator(_no_number)]


class SeatRules(BaseModel):
    """seat_offer_hours: how long a waiting nomination's offer of a seat stands. reallocation_hours: how long a
    recipient may think about seats that another one leaves over. last_offer: the last useful day; None: as late as a
    class that ends by the plan's soft end can still be attended in full. preferences: the order of the
    waiting list where the plan declares none (`eligibility.priority`), the first submission deciding among equals.
    deadline_on_holiday: what becomes of a selection deadline that falls on a day off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seat_offer_hours: Hours = 24
    reallocation_hours: Hours = 24
    last_offer: LastOffer = None
    preferences: Annotated[tuple[Preference, ...], Field(max_length=10)] = ("rural",)
    deadline_on_holiday: DeadlineOnHoliday = "keep"


DEFAULT_SEAT_RULES = SeatRules()


def offers_end(plan: Plan, project_type: str) -> datetime:
    """24:00 of the last day on which a seat of the project type is still of use to somebody (edge case 7)."""
    rules = plan.seat_rules
    if rules.last_offer is not None:
        return calendar.end_of_day(rules.last_offer)
    return calendar.end_of_day(last_day_to_join(plan.dates.soft_end, required_days(plan, project_type)))


def required_days(plan: Plan, project_type: str) -> int:
    """Days of 集中培训 that the project type asks for."""
    return plan.project_type(project_type).centralised_days_required


def last_day_to_join(ends: date, days: int) -> date:
    """The last day on which somebody can begin and still reach `days` days by `ends`, both counted."""
    return ends - timedelta(days=max(days, 1) - 1)


def waiting_rank(plan: Plan, *, rural: bool, county: str) -> int:
    """The place of a nomination by the plan's preferences; the smaller comes first."""
    recipient = plan.find_recipient(county)
    meets = {"rural": rural, "project-county": recipient is not None and recipient.project_county}
    preferences = plan.seat_rules.preferences
    return next((index for index, each in enumerate(preferences) if meets[each]), len(preferences))
