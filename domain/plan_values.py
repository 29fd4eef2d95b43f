"""What the values of a plan are made of; its sections stand on it (`domain.plan`, `domain.plan_eligibility`)."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Source = Literal["notice", "ours", "invented"]
"""notice: it says so. ours: it leaves that open and we chose. invented: stands in for a missing annex."""


def _plan_date(value: object) -> date:
    # Only what is written as a date: pydantic would read a bare number as seconds since 1970.
    try:
        if isinstance(value, str):
            return date.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
    except ValueError:
        pass
    raise PydanticCustomError("plan_date", "a date like 2022-08-31 is expected")


PlanDate = Annotated[date, BeforeValidator(_plan_date)]
Text = Annotated[str, Field(min_length=1, max_length=400)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=32)]
Flag = Annotated[bool, Field(strict=True)]


class Part(BaseModel):
    """Base of everything in a plan: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
