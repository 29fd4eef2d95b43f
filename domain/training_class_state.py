"""The state of a class: `evolve` folds its events, `case_of` says what is seen, waited for and owed to its trainees.

    planned ─► announced ─► registration-open ─► running ─► closed ─► reported
       │           │  ▲            │    │            │
       │           │  └─ postponed ┘    │            │
       └───────────┴────────────────────┴────────────┴─► cancelled (merged: before the check-in list is confirmed)

A change of plan gives the class a new revision. Its trainees are owed a visit until they were told of the newest one;
a merged or cancelled class is closed only after that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from domain.agenda import Item, next_deadline
from domain.decision import Case, Event, Reach
from domain.trainee_class_messages import FollowClass
from domain.trainee_messages import Lapse, RecordNoShow
from domain.training_class_messages import (
    AbsencesRecorded,
    CapacityChanged,
    Change,
    ChangeTold,
    CheckInConfirmed,
    ClassAnnounced,
    ClassCancelled,
    ClassClosed,
    ClassMerged,
    ClassMoved,
    ClassPlanned,
    ClassPostponed,
    ClassReminderSent,
    ClassReported,
    ClassSplit,
    ClassWentOnline,
    DutiesRecorded,
    Mode,
    OutcomesEscalated,
    OutcomesOverdue,
    Phase,
    RecordAbsences,
    RecordChangeTold,
    RegistrationOpened,
    Session,
    StaffDuty,
    TimetableSet,
)

OVER: frozenset[str] = frozenset({"reported", "merged", "cancelled"})
"""Phases in which the class keeps no date any more."""
PLACED = ("enrolled", "confirmed", "in-training")
"""Phases of a trainee whom a change of his class concerns."""


@dataclass(frozen=True, slots=True)
class SplitOff:
    """Trainees who were sent on to another class, and the revision with which they were."""

    into: str
    revision: int
    trainees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingClass:
    """A class as its events have left it.

    `changes` are the changes of plan in their order, so that their number is the class's revision; `told` is the
    revision up to which its trainees were reached. `centralised_days` is None as long as every day is one.
    """

    campaign: str
    host: str
    project_type: str
    starts: date
    ends: date
    place: str
    mode: Mode
    capacity: int
    agenda: tuple[Item, ...]
    phase: Phase = "planned"
    done: frozenset[str] = field(default_factory=frozenset)
    check_in_confirmed_at: datetime | None = None
    check_in_late: bool = False
    absences_recorded: bool = False
    outcomes_overdue: bool = False
    outcomes_escalated: bool = False
    escalates: bool = False
    changes: tuple[Change, ...] = ()
    told: int = 0
    left: int = 0
    centralised_days: int | None = None
    merged_into: str = ""
    splits: tuple[SplitOff, ...] = ()
    timetable: tuple[Session, ...] = ()
    duties: tuple[StaffDuty, ...] = ()

    @property
    def takes_trainees(self) -> bool:
        """Whether somebody can still be placed in this class."""
        return self.phase in ("planned", "announced", "registration-open") and self.check_in_confirmed_at is None

    @property
    def revision(self) -> int:
        """How often the class's plan was changed."""
        return len(self.changes)

    @property
    def days(self) -> int:
        """The days on which training is held: those of the timetable, or all from the first to the last."""
        if self.timetable:
            return len({each.day for each in self.timetable})
        return (self.ends - self.starts).days + 1

    @property
    def centralised_days_held(self) -> int:
        """集中培训 days that the class offers; whatever lacks of the required ones is the host's, not the trainee's."""
        if self.centralised_days is not None:
            return min(self.centralised_days, self.days)
        return 0 if self.mode == "online" else self.days

    def destination_of(self, trainee: str) -> str:
        """The class in which the trainee goes on, or empty."""
        if self.merged_into:
            return self.merged_into
        return next((each.into for each in reversed(self.splits) if trainee in each.trainees), "")


def fold(events: Iterable[Event]) -> TrainingClass | None:
    """The state after `events`, None before the first."""
    state: TrainingClass | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: TrainingClass | None, event: Event) -> TrainingClass:
    """The next state. Never refuses."""
    if isinstance(event, ClassPlanned):
        return _planned(event)
    assert state is not None, f"{event.type} before the class was planned"
    for evolve_part in (_run, _change, _papers):
        changed = evolve_part(state, event)
        if changed is not None:
            return changed
    raise TypeError(f"no evolution for {event.type}")


def _run(state: TrainingClass, event: Event) -> TrainingClass | None:
    match event:
        case ClassAnnounced():
            # A class announced late is announced all the same; it does not step back.
            return replace(state, phase="announced" if state.phase == "planned" else state.phase)
        case ClassReminderSent():
            return replace(state, done=state.done | {event.key})
        case RegistrationOpened():
            return replace(state, phase="registration-open", done=state.done | {"open"})
        case CheckInConfirmed():
            # A list confirmed only after the last day is late, but it is still a list.
            phase: Phase = "running" if state.phase == "registration-open" else state.phase
            return replace(state, phase=phase, check_in_confirmed_at=event.at, check_in_late=event.late)
        case AbsencesRecorded():
            return replace(state, absences_recorded=True)
        case ClassClosed():
            return replace(state, phase="closed", done=state.done | {"close"})
        case OutcomesOverdue():
            return replace(state, outcomes_overdue=True, done=state.done | {"outcomes"})
        case OutcomesEscalated():
            return replace(state, outcomes_escalated=True, done=state.done | {"escalation"})
        case ClassReported():
            return replace(state, phase="reported")
    return None


def _change(state: TrainingClass, event: Event) -> TrainingClass | None:
    match event:
        case ClassPostponed():
            # Whoever had begun to register people begins anew on the new first day.
            phase: Phase = "announced" if state.phase == "registration-open" else state.phase
            return replace(
                _changed(state, "postponed"),
                phase=phase,
                starts=event.starts,
                ends=event.ends,
                agenda=_agenda(event),
                escalates=event.escalates_at is not None,
                done=frozenset(),
                # The timetable spoke of the old days.
                timetable=(),
            )
        case ClassMoved():
            return replace(_changed(state, "moved"), place=event.place)
        case ClassWentOnline():
            return replace(_changed(state, "online"), mode=event.mode, centralised_days=event.centralised_days)
        case ClassMerged():
            return replace(_changed(state, "merged"), phase="merged", merged_into=event.into)
        case ClassSplit():
            changed = _changed(state, "split")
            return replace(changed, splits=(*state.splits, SplitOff(event.into, changed.revision, event.trainees)))
        case ClassCancelled():
            return replace(_changed(state, "cancelled"), phase="cancelled")
        case ChangeTold():
            return replace(state, told=event.revision, left=event.left)
    return None


def _papers(state: TrainingClass, event: Event) -> TrainingClass | None:
    match event:
        case CapacityChanged():
            return replace(state, capacity=event.capacity)
        case TimetableSet():
            return replace(state, timetable=event.sessions)
        case DutiesRecorded():
            return replace(state, duties=event.duties)
    return None


def _changed(state: TrainingClass, change: Change) -> TrainingClass:
    return replace(state, changes=(*state.changes, change))


def _planned(event: ClassPlanned) -> TrainingClass:
    return TrainingClass(
        campaign=event.campaign,
        host=event.host,
        project_type=event.project_type,
        starts=event.starts,
        ends=event.ends,
        place=event.place,
        mode=event.mode,
        capacity=event.capacity,
        agenda=_agenda(event),
        escalates=event.escalates_at is not None,
    )


def _agenda(event: ClassPlanned | ClassPostponed) -> tuple[Item, ...]:
    reminders = tuple(
        Item(f"reminder-{index}", at, about=event.opens_at) for index, at in enumerate(event.reminders, start=1)
    )
    escalation = (Item("escalation", event.escalates_at),) if event.escalates_at is not None else ()
    return (
        *reminders,
        Item("open", event.opens_at),
        Item("close", event.closes_at),
        Item("outcomes", event.outcomes_due),
        *escalation,
    )


WAITING_FOR = {
    "planned": "the host's announcement",
    "announced": "the first day",
    "registration-open": "the host's confirmed check-in list",
    "running": "the last day",
    "closed": "the host's report with every outcome",
}


def case_of(number: str, state: TrainingClass) -> Case:
    """What the workflow of this class shows and waits for, and whom it still has to reach."""
    over = state.phase in OVER
    deadline = None if over else next_deadline(state.agenda, state.done)
    reach = owed(number, state)
    return Case(
        phase=state.phase,
        deadline=deadline,
        timer=deadline is not None,
        closed=over and reach is None,
        summary=f"{state.project_type} · {state.host} · {state.starts} to {state.ends}",
        waiting_for=WAITING_FOR.get(state.phase, "everybody to be told" if reach else ""),
        attributes={
            "XunjiPhase": state.phase,
            "XunjiCampaign": state.campaign,
            "XunjiProject": state.project_type,
            "XunjiHost": state.host,
            "XunjiClass": number,
        },
        reach=reach,
    )


def owed(number: str, state: TrainingClass) -> Reach | None:
    """The trainees who are still to be reached: first of a change, then after the check-in list."""
    if state.told < state.revision:
        return Reach(
            command_by_phase=dict.fromkeys(PLACED, FollowClass.name),
            causation=f"{number}:change-{state.revision}",
            done_by=RecordChangeTold.name,
            training_class=number,
            done_body={"revision": state.revision},
        )
    if state.check_in_confirmed_at is None or state.absences_recorded or state.phase in OVER:
        return None
    # After a late list nobody is absent without the host saying so of him (edge case 40).
    absent = {} if state.check_in_late else {"confirmed": RecordNoShow.name}
    return Reach(
        command_by_phase={**absent, "enrolled": Lapse.name},
        causation=f"{number}:check-in",
        done_by=RecordAbsences.name,
        training_class=number,
    )
