"""The plan's rules for what comes after a training: a second incident, bulletins, ratings of hosts.

The notice leaves all of them open, so every value here is ours (`Source` "ours") and a plan may say otherwise. They are
a section of their own with defaults: a plan that was adopted without it still has the digest that it was adopted with.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SecondIncident = Literal["extend", "parallel", "stack"]
"""What a second restriction does while an earlier one runs (edge case 34).

parallel: each has its own dates; the person is free when both have ended.
stack: the full years begin on the day the earlier one ends.
extend: the earlier one is prolonged by `extension_years` from the day it ends.
"""

Percent = Annotated[int, Field(strict=True, ge=0, le=100)]


class OutcomeRules(BaseModel):
    """Section `outcomes` of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    second_incident: SecondIncident = "parallel"
    extension_years: Annotated[int, Field(strict=True, ge=1, le=10)] = 1
    bulletin_every_days: Annotated[int, Field(strict=True, ge=1, le=366)] = 30
    """An interim bulletin is published so often, counted from the opening of the campaign."""
    rating_a_percent: Percent = 90
    rating_b_percent: Percent = 75
    """承训单位动态管理: a host whose 报到率, 结业率 and 实施情况 all reach this is rated A or B, else C."""
