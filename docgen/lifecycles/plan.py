"""The plan of the notice, the organisations in it and instants of its year, on which all situations rest."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from domain.decision import SYSTEM, Actor, Role
from domain.plan_loader import load_plan

_FILE: Final = Path(__file__).parent.parent.parent / "plans" / "2022-zhengzhou.yaml"
THE_PLAN: Final = load_plan(_FILE.read_text(encoding="utf-8"))
CAMPAIGN: Final = THE_PLAN.id
NUMBER: Final = "zz22-410181-00001"
ACTORS: Final[dict[Role, Actor]] = {
    "bureau": Actor(organisation=THE_PLAN.bureau, role="bureau"),
    "county": Actor(organisation="410181", role="county"),
    "school": Actor(organisation="410181-s01", role="school"),
    "host": Actor(organisation="h001", role="host"),
    "system": SYSTEM,
    "teacher": Actor(organisation=f"{NUMBER}-r1", role="teacher"),
}
"""Whose step it is. A teacher comes through a link that names his restriction."""


def on(month: int, day: int, hour: int = 2) -> datetime:
    """An instant of 2022; 2 o'clock UTC is 10 in Zhengzhou, and 16 o'clock is 24:00."""
    return datetime(2022, month, day, hour, tzinfo=UTC)
