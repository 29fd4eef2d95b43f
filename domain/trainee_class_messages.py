"""What a change of the class means for one of its trainees: events and commands of `trainee/{number}`."""

from datetime import date, datetime
from typing import ClassVar

from pydantic import Field

from domain.decision import Command, Event


class ClassChanged(Event):
    """调班: the trainee goes on in this class, which may be the one he was in, as it now stands.

    `changes` says what became of it (postponed, moved, online, merged, split; empty when the host moved him alone).
    `confirm_by` is given when the dates are other ones: what he confirmed before was for other days, so he is asked
    again. `centralised_days` are those that the class offers. `overlaps` are his other nominations with classes on the
    same days (edge case 23).
    """

    type: ClassVar[str] = "trainee.class_changed"
    training_class: str
    by: str
    revision: int
    changes: tuple[str, ...]
    starts: date
    ends: date
    centralised_days: int
    confirm_by: datetime | None = None
    overlaps: tuple[str, ...] = ()


class PlaceLost(Event):
    """The class was cancelled: the trainee keeps his seat and waits for another class (edge case 22)."""

    type: ClassVar[str] = "trainee.place_lost"
    training_class: str


class FollowClass(Command):
    """The class was changed; the trainee goes with it."""

    name: ClassVar[str] = "follow-class"


class ChangeClass(Command):
    """Place the trainee in another class of the same host and project type (调班)."""

    name: ClassVar[str] = "change-class"
    training_class: str = Field(min_length=1, max_length=64)
