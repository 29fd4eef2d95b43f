"""On which day, and in which turn of the day, everything in the script is done: decided before the campaign begins.

Everybody works at 09:00, and the clock stands still until the day's work is done, so the days are all that matters.
They follow from the plan, the population and the classes alone: a slow machine tells the same story as a fast one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import IntEnum
from functools import cached_property
from typing import Any, Final, Literal

from domain.calendar import local_date, start_of_day
from domain.plan import Plan
from simulator.nominations import Nomination
from simulator.population import PlannedClass

OFFICE_HOUR: Final = timedelta(hours=9)
SHORTLY_BEFORE: Final = timedelta(microseconds=1)

RETURNED_AFTER_DAYS: Final = 1
RESUBMITTED_AFTER_DAYS: Final = 2
PLANNED_AFTER_DAYS: Final = 1
ANNOUNCED_AFTER_DAYS: Final = 2
LEFT_AFTER_DAYS: Final = 3
ENROLLED_AFTER_DAYS: Final = 5
"""Days after the city's selection is closed."""

POSTPONED_BEFORE_DAYS: Final = 5
"""So short before the first date a class is put off; nobody has confirmed by then, because nobody is asked yet."""
ONLINE_BEFORE_DAYS: Final = 4
REOPENED_AFTER_DAYS: Final = 1
REVERSED_AFTER_DAYS: Final = 3
NOMINATED_AGAIN_AFTER_DAYS: Final = 4
REOPENED_FOR_DAYS: Final = 14
"""Days after the decision on a restriction that is taken back."""

ILL_BEFORE_DAYS: Final = 9
CONFIRMED_BEFORE_DAYS: Final = 8
KEPT_AWAY_BEFORE_DAYS: Final = 5
"""Days before the class: more than any plan's rule for confirming."""

EXCUSED_AFTER_DAYS: Final = 1
SERVED_AFTER_DAYS: Final = 1
OBJECTED_AFTER_DAYS: Final = 3
REVIEWED_AFTER_DAYS: Final = 1
HANDED_IN_AGAIN_AFTER_DAYS: Final = 2
EARLY_ENOUGH_DAYS: Final = 6
"""A task handed in so early may be sent back once and is still in time."""


class Turn(IntEnum):
    """The order of a day's work: a turn begins when everybody is done with the one before."""

    OPENING = 0
    ARRIVAL = 1
    TOO_SOON = 2
    CHECK_IN = 3
    NOMINATION = 4
    REPEATED_NOMINATION = 5
    RESUBMISSION = 6
    SCHOOLS = 7
    RETURNS = 8
    COUNTIES = 9
    OVER_QUOTA = 10
    OVER_QUOTA_ANSWER = 11
    SHORTFALL = 12
    SEATS_OFFERED = 13
    SEATS_TAKEN = 14
    SEAT_ANSWERED = 15
    CITY = 16
    PREMATURE_DECISIONS = 17
    DECISIONS = 18
    PLANNING = 19
    HOSTS = 20
    OUTCOMES = 21
    REPORTS = 22
    NIGHT = 23


SubjectKind = Literal[
    "nomination",
    "trainee",
    "class",
    "restriction",
    "quota",
    "campaign",
    "case",
    "attendance",
    "person",
    "institution",
    "mailbox",
    "key",
    "endpoint",
]


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that an organisation does on a day. `subject` is the simulator's key of a nomination, attempt or class,
    the key of a quota line, or an organisation. A `case` is a nomination, commanded by its own address; `person` is the
    record of its teacher, `attendance` a mark of him.

    `training_class` is the key of a class that the command names. `refused_with` is the code that it must meet.
    """

    day: date
    turn: Turn
    organisation: str
    kind: SubjectKind
    command: str
    subject: str
    body: Mapping[str, Any] = field(default_factory=dict)
    training_class: str = ""
    refused_with: str = ""

    @property
    def action(self) -> str:
        """Its name within the run, from which its Idempotency-Key follows."""
        return f"{self.day.isoformat()}:{int(self.turn)}:{self.command}:{self.subject}"


WaitKind = Literal[
    "cut-off",
    "offered",
    "settled",
    "reminded",
    "told",
    "open",
    "absences",
    "closed",
    "unexcused",
    "window",
    "overdue",
    "lapsed",
    "handed-over",
    "unserved",
    "end",
]


@dataclass(frozen=True, slots=True)
class Wait:
    """What the system owes by itself, before the next turn begins; `NIGHT` is the end of the day.

    cut-off: nobody is left in the phase `subject`. offered: the nomination `subject` was offered a seat. settled: the
    campaign's selection is over. reminded, open, closed: a reminder of the class, its registration, the class. told:
    every trainee of the class knows of its change. absences: the class `subject` has nobody left who should have come.
    unexcused, window, overdue, lapsed: the excuse window, the objection window, the follow-up task and its last date of
    the nomination `subject`. handed-over: another host than the removed one has it. unserved: its restriction should
    have been served. end: the campaign is closed.
    """

    day: date
    turn: Turn
    kind: WaitKind
    subject: str


def office_hour(day: date) -> datetime:
    """09:00 of the day in the campaign's time zone, when everybody works."""
    return start_of_day(day) + OFFICE_HOUR


def last_day_before(instant: datetime) -> date:
    """The last day that begins before the instant: the day of `24:00` is the one that ends then."""
    return local_date(instant - SHORTLY_BEFORE)


def days_after(day: date, days: int) -> date:
    return day + timedelta(days=days)


def postponed_on(first_starts: date) -> date:
    """When the host of a class says that it will not begin on its first date."""
    return first_starts - timedelta(days=POSTPONED_BEFORE_DAYS)


def online_on(starts: date) -> date:
    """When the host of a class says that it will be held online."""
    return starts - timedelta(days=ONLINE_BEFORE_DAYS)


class Season:
    """The days of a campaign that everybody shares."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.county = last_day_before(plan.selection_deadline("county"))
        self.city = last_day_before(plan.selection_deadline("city"))
        self.planning = days_after(self.city, PLANNED_AFTER_DAYS)
        self.announcing = days_after(self.city, ANNOUNCED_AFTER_DAYS)
        self.leaving = days_after(self.city, LEFT_AFTER_DAYS)
        self.enrolling = days_after(self.city, ENROLLED_AFTER_DAYS)


class Story:
    """One nomination with the days of everything that happens to it."""

    def __init__(
        self,
        season: Season,
        nomination: Nomination,
        training_class: PlannedClass | None,
        served_after_days: int = SERVED_AFTER_DAYS,
    ) -> None:
        self.season = season
        self._served_after_days = served_after_days
        self.nomination = nomination
        self.fate = nomination.fate
        self._class = training_class

    @property
    def key(self) -> str:
        return self.nomination.key

    @property
    def training_class(self) -> PlannedClass:
        assert self._class is not None, "only the enrolled have a class"
        return self._class

    @property
    def returned_on(self) -> date:
        return days_after(self.nomination.nominated_on, RETURNED_AFTER_DAYS)

    @property
    def resubmitted_on(self) -> date:
        return days_after(self.nomination.nominated_on, RESUBMITTED_AFTER_DAYS)

    def before_class(self, days: int) -> date:
        return self.training_class.starts - timedelta(days=days)

    @property
    def withdrawn_on(self) -> date:
        """When the school takes the nomination back, by the phase it is in then."""
        season = self.season
        match self.fate.withdrawn_at:
            case "nominated":
                return season.county
            case "county-approved":
                return season.city
            case "selected":
                return season.leaving
            case "enrolled":
                return self.before_class(ILL_BEFORE_DAYS)
        return self.before_class(KEPT_AWAY_BEFORE_DAYS)

    @property
    def dismissed_on(self) -> date:
        return days_after(self.training_class.starts, self.fate.on_day)

    @property
    def unexcused_at(self) -> datetime:
        """When the time to excuse an absence is over."""
        plan = self.season.plan
        heard_from = office_hour(self.training_class.starts)
        return plan.add_working_days(heard_from, plan.rules.excuse_window_working_days)

    @property
    def proposed_on(self) -> date:
        """When the restriction comes to be."""
        match self.fate.kind:
            case "no_show":
                return local_date(self.unexcused_at)
            case "dismissed":
                return self.dismissed_on
        return self.training_class.ends

    @property
    def served_on(self) -> date:
        return days_after(self.proposed_on, self._served_after_days)

    @property
    def objected_on(self) -> date:
        return days_after(self.served_on, OBJECTED_AFTER_DAYS)

    @cached_property
    def window_ends_at(self) -> datetime:
        """When the time to object is over."""
        plan = self.season.plan
        return plan.add_working_days(office_hour(self.served_on), plan.rules.objection_window_working_days)

    @property
    def decided_on(self) -> date:
        return local_date(self.window_ends_at)

    @property
    def follow_up_due_on(self) -> date:
        """The last day for the follow-up task."""
        follow_up = self.season.plan.project_type(self.nomination.project_type).follow_up
        assert follow_up is not None, "this project type has a follow-up task"
        return days_after(self.training_class.ends, follow_up.due_days)

    @property
    def follow_up_lapses_on(self) -> date:
        """The last day of the grace that begins when the task is overdue, which is the day after it was due."""
        return days_after(self.follow_up_due_on, 1 + self.season.plan.rules.follow_up_grace_days)

    @property
    def follow_up_on(self) -> date:
        """When the school hands the task in."""
        return days_after(self.follow_up_due_on, self.fate.follow_up_days)

    @property
    def sent_back(self) -> bool:
        """Whether the host is not content with the first evidence; it then comes in a second time."""
        early = self.fate.follow_up == "on_time" and self.fate.follow_up_days <= -EARLY_ENOUGH_DAYS
        return early and self.fate.completion is not None and self.fate.completion.grade == "pass"
