"""What is known of a person beyond the nomination at hand, as far as whoever nominates him may learn it.

No number and no organisation of another case stands here: another county learns that somebody is not eligible, until
when, and which trainings he has had, and nothing else (edge case 15).
"""

from collections.abc import Iterator
from datetime import date

from pydantic import Field

from domain.decision import Message
from domain.plan import Plan

MAX_RECORDS = 100
"""Nominations of one person that are looked at, the newest first. Nobody's working life has more."""

WITHOUT_TRAINING = frozenset({"rejected", "withdrawn", "excused", "absent", "dismissed", "not-completed"})
"""Phases of a nomination that leads to no completed training any more."""


class TrainingRecord(Message):
    """Another nomination of the person. `year` is its project's year; the dates are those of its class or plan.

    `joined` says that it was made under another of his records, before they were joined.
    """

    campaign: str
    year: int
    project_type: str
    subject: str
    phase: str
    starts: date | None = None
    ends: date | None = None
    completed_on: date | None = None
    centralised_days: int = 0
    joined: bool = False

    @property
    def live(self) -> bool:
        """Whether it leads, or has led, to a training."""
        return self.phase not in WITHOUT_TRAINING


class Barred(Message):
    """The days from `starts` to `until` (exclusive) are barred by a restriction."""

    starts: date
    until: date


class History(Message):
    """The facts of a decision on eligibility. `sequences` says how far each book had been read for them.

    `days` are the centralised days that stand for him in each cycle, by the ledger of days; None where a nomination
    kept its facts before there was one.
    """

    sequences: dict[str, int] = Field(default_factory=dict)
    records: tuple[TrainingRecord, ...] = Field(default=(), max_length=MAX_RECORDS)
    barred: tuple[Barred, ...] = Field(default=(), max_length=MAX_RECORDS)
    days: dict[str, int] | None = Field(default=None, max_length=MAX_RECORDS)

    def as_known_to_all(self) -> "History":
        """Without what came to no training: that somebody was dismissed or absent elsewhere is nobody's to learn."""
        return self.model_copy(update={"records": tuple(each for each in self.records if each.live)})

    def not_eligible_until(self, on: date) -> date | None:
        """The first free day, if a restriction covers the day `on`."""
        return max((each.until for each in self.barred if each.starts <= on < each.until), default=None)

    def completed_in_cycle(self, plan: Plan, on: date) -> tuple[TrainingRecord, ...]:
        """What was completed in the cycle that `on` lies in; nothing when the plan has no cycle."""
        cycle = plan.eligibility.cycle
        if cycle is None:
            return ()
        first, after = cycle.around(on)
        return tuple(each for each in self.records if each.completed_on and first <= each.completed_on < after)

    def days_in_cycle(self, plan: Plan, on: date) -> int:
        """Days of centralised training in the cycle that `on` lies in."""
        if self.days is not None:
            return self.days.get(plan.cycle_of(on), 0)
        return sum(each.centralised_days for each in self.completed_in_cycle(plan, on))

    def of_same_training(self, plan: Plan, project_type: str, subject: str) -> Iterator[TrainingRecord]:
        """The records of the same training, under whatever name (edge case 73), in the same subject."""
        for each in self.records:
            if each.subject == subject and is_same_training(plan, project_type, each.campaign, each.project_type):
                yield each


def is_same_training(plan: Plan, project_type: str, campaign: str, other: str) -> bool:
    """Whether `other` of `campaign` is the training that `plan` calls `project_type`."""
    if other == project_type:
        return True
    for renaming in plan.eligibility.renamings:
        if renaming.campaign not in (None, campaign):
            continue
        names = (renaming.project_type, *renaming.same_as)
        here = (renaming.project_type, *(renaming.same_as if campaign == plan.id else ()))
        if project_type in here and other in names:
            return True
    return False


class Grounds(Message):
    """What a nomination rested on: the rules by their digest, the facts, and its place in the declared order.

    `priority` has one number for each step of the plan's order; the smaller goes first.
    """

    rule_version: str
    history: History = History()
    priority: tuple[int, ...] = ()
