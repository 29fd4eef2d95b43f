"""What will happen to a nomination: its fate, drawn from the seed before anything runs.

A fate says what people do, never when on a clock: days are counted from the class's first day, or from a task's due
date. The simulator's actors read it; the system under simulation never sees it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar, get_args

from domain.plan import ProjectType

FateKind = Literal[
    "county_rejects",
    "county_ignores",
    "over_quota",
    "city_rejects",
    "withdrawn",
    "declines",
    "excused_absent",
    "no_show",
    "dismissed",
    "not_completed",
    "completed",
]
FATE_KINDS: tuple[FateKind, ...] = get_args(FateKind)

WithdrawalPhase = Literal["nominated", "county-approved", "selected", "enrolled", "confirmed"]
WITHDRAWAL_PHASES: tuple[WithdrawalPhase, ...] = get_args(WithdrawalPhase)
FollowUpFate = Literal["none", "on_time", "late", "never"]
Objection = Literal["none", "upheld", "rejected"]
Grade = Literal["excellent", "good", "pass"]

LONG_TRAINING_DAYS = 7
"""From so many required days on, a class holds one day more, and a trainee may ask for a day's leave."""

HOURS_PER_DAY = 8
MAX_DAYS_LATE = 5
"""Less than any plan's grace after a follow-up's due date."""

_WITHDRAWAL_REASONS = ("ill", "maternity", "retired", "transferred", "work", "family")
_DECLINE_REASONS = ("ill", "maternity", "work", "family")
_COUNTY_REASONS = ("materials_incomplete", "rural_teacher_first", "school_cannot_spare")
_CITY_REASONS = ("materials_incomplete", "subject_mismatch")
_EXCUSES = ("ill", "bereavement", "quarantine")
_DISMISSALS = ("discipline", "absent_without_leave")
_FAILURES = ("days_short", "assessment_failed", "tasks_missing")

_BEFORE_THE_COUNTY = frozenset({"county_rejects", "county_ignores", "over_quota"})
_IN_TRAINING = frozenset({"dismissed", "not_completed", "completed"})
_BARRING = frozenset({"no_show", "dismissed", "not_completed"})


@dataclass(frozen=True, slots=True)
class Leave:
    """A request for one day; `day` counts from 0, the class's first day."""

    day: int
    reason: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Completion:
    """What the host reports at 结业. Days are whole days, hours are class hours."""

    centralised_days: int
    online_days: int
    hours: int
    grade: Grade


@dataclass(frozen=True, slots=True)
class Fate:
    """One nomination's script. Which fields matter depends on `kind`:

    county_rejects, city_rejects: `reasons`. county_ignores: nobody acts, the county's deadline passes.
    over_quota: the county approves after all its other approvals of the line and is refused (`quota_exhausted`);
    it then puts the nomination on the waiting list. Nobody answers the offer of a seat that is freed later, so it goes
    from one to the next, and whoever never gets one waits until the last useful day: all end rejected.
    withdrawn: `reasons[0]` in phase `withdrawn_at`. declines: once enrolled.
    excused_absent: confirmed, absent, excused with `reasons[0]` and `document`. no_show: confirmed, absent, never
    excused. dismissed: on day `on_day` of the class. not_completed: `reasons`. completed: `completion`, then the
    follow-up `follow_up_days` after its due date (negative: before; `never` and `none` send nothing).
    `returned`: the county sends it back once and the school resubmits, before any approval.
    `objection`: against the restriction that no_show, dismissed and not_completed lead to.
    `waitlisted`: the line was full when the county came to it; a seat that another county leaves over is offered and
    taken.
    """

    kind: FateKind
    returned: bool = False
    reasons: tuple[str, ...] = ()
    withdrawn_at: WithdrawalPhase | None = None
    document: str = ""
    leave: Leave | None = None
    on_day: int = 0
    completion: Completion | None = None
    follow_up: FollowUpFate = "none"
    follow_up_days: int = 0
    objection: Objection = "none"
    waitlisted: bool = False

    @property
    def takes_seat(self) -> bool:
        """Whether the county approves, which takes a seat of the line."""
        return self.kind not in _BEFORE_THE_COUNTY and self.withdrawn_at != "nominated"

    @property
    def selected(self) -> bool:
        """Whether the city approves and names a host."""
        return self.takes_seat and self.kind != "city_rejects" and self.withdrawn_at != "county-approved"

    @property
    def enrolled(self) -> bool:
        """Whether the host places the trainee in a class."""
        return self.selected and self.withdrawn_at != "selected"

    @property
    def confirmed(self) -> bool:
        """Whether the trainee says he will come."""
        return self.enrolled and self.kind != "declines" and self.withdrawn_at != "enrolled"

    @property
    def registered(self) -> bool:
        """Whether the trainee turns up (报到)."""
        return self.kind in _IN_TRAINING

    @property
    def restriction(self) -> Literal["none", "imposed", "dropped"]:
        """How the restriction ends that this fate leads to."""
        if self.kind not in _BARRING:
            return "none"
        return "dropped" if self.objection == "upheld" else "imposed"


@dataclass(frozen=True, slots=True)
class Wish:
    """A fate that must occur somewhere. None leaves a choice to the seed."""

    kind: FateKind
    returned: bool | None = None
    leave_granted: bool | None = None
    follow_up: FollowUpFate | None = None
    objection: Objection | None = None
    waitlisted: bool = False

    @property
    def spares_the_seat(self) -> bool:
        """Whether the county never approves."""
        return self.kind in _BEFORE_THE_COUNTY

    def fits(self, project_type: ProjectType) -> bool:
        """Whether a nomination for the project type can have this fate."""
        if self.follow_up not in (None, "none") and project_type.follow_up is None:
            return False
        return self.leave_granted is None or project_type.centralised_days_required >= LONG_TRAINING_DAYS


# In the order in which they are given out: with very few nominations the last ones may be missing. The first two
# need a line that is not full.
SEATED_WISHES: tuple[Wish, ...] = (
    Wish("county_ignores"),
    Wish("county_rejects"),
    Wish("completed", returned=True, leave_granted=True, follow_up="on_time"),
    Wish("no_show", objection="upheld"),
    Wish("completed", leave_granted=False, follow_up="late"),
    Wish("city_rejects"),
    Wish("withdrawn"),
    Wish("declines"),
    Wish("excused_absent"),
    Wish("dismissed", objection="rejected"),
    Wish("not_completed", objection="none"),
    Wish("completed", follow_up="never"),
)

SEATED_WEIGHTS: tuple[tuple[FateKind, float], ...] = (
    ("completed", 76),
    ("withdrawn", 4),
    ("city_rejects", 3),
    ("declines", 3),
    ("no_show", 3),
    ("not_completed", 3),
    ("county_rejects", 2),
    ("county_ignores", 2),
    ("excused_absent", 2),
    ("dismissed", 2),
)
_EXCESS_WEIGHTS: tuple[tuple[FateKind, float], ...] = (
    ("over_quota", 40),
    ("county_rejects", 35),
    ("county_ignores", 25),
)


_OBJECTION_WEIGHTS: tuple[tuple[Objection, float], ...] = (("none", 60), ("upheld", 15), ("rejected", 25))
_FOLLOW_UP_WEIGHTS: tuple[tuple[FollowUpFate, float], ...] = (("on_time", 80), ("late", 12), ("never", 8))
_GRADE_WEIGHTS: tuple[tuple[Grade, float], ...] = (("excellent", 15), ("good", 45), ("pass", 40))
_RETURNED_SHARE = 0.08
_LEAVE_SHARE = 0.08
_GRANTED_SHARE = 0.7


def class_days(project_type: ProjectType) -> int:
    """Days that a class of the project type lasts, all of them centralised."""
    required = project_type.centralised_days_required
    return required + 1 if required >= LONG_TRAINING_DAYS else max(1, required)


def draw_seated_wish(
    rng: Random, *, line_is_full: bool, often: Sequence[tuple[FateKind, float]] = SEATED_WEIGHTS
) -> Wish:
    """What happens to a nomination for which there is a seat. On a full line the county approves all of them."""
    kinds = [(kind, weight) for kind, weight in often if not (line_is_full and kind in _BEFORE_THE_COUNTY)]
    return Wish(_weighted(rng, kinds))


def draw_excess_wish(rng: Random) -> Wish:
    """What happens to a nomination beyond the seats of its line."""
    return Wish(_weighted(rng, _EXCESS_WEIGHTS))


def draw_fate(rng: Random, wish: Wish, project_type: ProjectType, *, line_is_full: bool) -> Fate:
    """The wish with everything it left open. The wish must fit the project type."""
    assert wish.fits(project_type)
    returned = rng.random() < _RETURNED_SHARE if wish.returned is None else wish.returned
    if wish.kind == "completed":
        return _completed(rng, wish, project_type, returned=returned)
    if wish.kind in _BARRING:
        return _barred(rng, wish, project_type, returned=returned)
    if wish.kind == "withdrawn":
        phases = WITHDRAWAL_PHASES[1:] if line_is_full else WITHDRAWAL_PHASES
        phase = rng.choice(phases)
        reasons = (rng.choice(_WITHDRAWAL_REASONS),)
        return Fate("withdrawn", returned=returned, reasons=reasons, withdrawn_at=phase)
    return _simple(rng, wish.kind, returned=returned)


def _simple(rng: Random, kind: FateKind, *, returned: bool) -> Fate:
    draw: dict[FateKind, Callable[[], Fate]] = {
        # What the county turns down or forgets is never sent back first: that would be another fate.
        "county_rejects": lambda: Fate(kind, reasons=(rng.choice(_COUNTY_REASONS),)),
        "county_ignores": lambda: Fate(kind),
        "over_quota": lambda: Fate(kind, reasons=("quota_exhausted",)),
        "city_rejects": lambda: Fate(kind, returned=returned, reasons=(rng.choice(_CITY_REASONS),)),
        "declines": lambda: Fate(kind, returned=returned, reasons=(rng.choice(_DECLINE_REASONS),)),
        "excused_absent": lambda: Fate(
            kind,
            returned=returned,
            reasons=(rng.choice(_EXCUSES),),
            document=f"示例证明第{rng.randrange(1, 10_000):04d}号",
        ),
    }
    return draw[kind]()


def _barred(rng: Random, wish: Wish, project_type: ProjectType, *, returned: bool) -> Fate:
    objection = wish.objection if wish.objection is not None else _weighted(rng, _OBJECTION_WEIGHTS)
    if wish.kind == "no_show":
        return Fate("no_show", returned=returned, objection=objection)
    if wish.kind == "dismissed":
        on_day = rng.randrange(class_days(project_type))
        reasons = (rng.choice(_DISMISSALS),)
        return Fate("dismissed", returned=returned, reasons=reasons, on_day=on_day, objection=objection)
    failures = tuple(rng.sample(_FAILURES, rng.randint(1, 2)))
    return Fate("not_completed", returned=returned, reasons=failures, objection=objection)


def _completed(rng: Random, wish: Wish, project_type: ProjectType, *, returned: bool) -> Fate:
    leave = _leave(rng, wish, project_type)
    days = class_days(project_type) - (1 if leave and leave.granted else 0)
    online = rng.choice((0, 0, 0, 2, 3))
    follow_up = _follow_up(rng, wish, project_type)
    lag = {"on_time": -rng.randint(1, 12), "late": rng.randint(1, MAX_DAYS_LATE)}.get(follow_up, 0)
    return Fate(
        "completed",
        returned=returned,
        leave=leave,
        completion=Completion(days, online, (days + online) * HOURS_PER_DAY, _weighted(rng, _GRADE_WEIGHTS)),
        follow_up=follow_up,
        follow_up_days=lag,
        waitlisted=wish.waitlisted,
    )


def _follow_up(rng: Random, wish: Wish, project_type: ProjectType) -> FollowUpFate:
    if project_type.follow_up is None:
        return "none"
    return wish.follow_up if wish.follow_up is not None else _weighted(rng, _FOLLOW_UP_WEIGHTS)


def _leave(rng: Random, wish: Wish, project_type: ProjectType) -> Leave | None:
    if project_type.centralised_days_required < LONG_TRAINING_DAYS:
        return None
    if wish.leave_granted is None and rng.random() >= _LEAVE_SHARE:
        return None
    granted = rng.random() < _GRANTED_SHARE if wish.leave_granted is None else wish.leave_granted
    # Neither on the first day, when one registers, nor on the last, when outcomes are reported.
    day = rng.randrange(1, class_days(project_type) - 1)
    return Leave(day, rng.choice(("ill", "family", "work")), granted)


_Choice = TypeVar("_Choice")


def _weighted(rng: Random, choices: Sequence[tuple[_Choice, float]]) -> _Choice:
    return rng.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]
