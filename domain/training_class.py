"""A class of a host (stream `class/{number}`): the host owns its time and place (通知 三), xunji keeps its dates.

    planned ─► announced ─► registration-open ─► running ─► closed ─► reported

Reminders go out 7, 3 and 1 days before the start. Once the host has confirmed its check-in list, whoever had
confirmed and did not come is absent; whoever never confirmed has only lost the place (edge cases 39 and 40).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from domain import calendar, decision
from domain.agenda import Item, due, next_deadline
from domain.decision import (
    Actor,
    Case,
    Command,
    CommandCatalogue,
    Decision,
    Event,
    EventCatalogue,
    Limit,
    Notice,
    Reach,
    Refusal,
    Step,
    steps_from,
)
from domain.numbers import class_seat_key
from domain.plan import Plan
from domain.refusals import in_words, refuse
from domain.trainee_messages import Code, Lapse, RecordNoShow, Text

Phase = Literal["planned", "announced", "registration-open", "running", "closed", "reported"]
Mode = Literal["centralised", "online", "mixed"]
Capacity = Annotated[int, Field(ge=1, le=2_000)]


# ---------------------------------------------------------------------------------------------------- events


class ClassPlanned(Event):
    """The host plans a class. The dates that the process will keep are computed once, here."""

    type: ClassVar[str] = "class.planned"
    campaign: str
    host: str
    project_type: str
    starts: date
    ends: date
    place: str
    mode: Mode
    capacity: int
    reminders: tuple[datetime, ...]
    opens_at: datetime
    closes_at: datetime
    outcomes_due: datetime


class ClassAnnounced(Event):
    """开班通知: the host announces time and place."""

    type: ClassVar[str] = "class.announced"
    by: str


class ClassReminderSent(Event):
    """A reminder became due; a stale one is recorded and not sent."""

    type: ClassVar[str] = "class.reminder"
    key: str
    stale: bool


class RegistrationOpened(Event):
    """报到 begins, at the start of the first day."""

    type: ClassVar[str] = "class.registration_opened"


class CheckInConfirmed(Event):
    """The host closed and confirmed its check-in list; from here on somebody can be absent."""

    type: ClassVar[str] = "class.check_in_confirmed"
    by: str
    at: datetime


class AbsencesRecorded(Event):
    """Every trainee who should have come and did not has been told so; the class runs."""

    type: ClassVar[str] = "class.absences_recorded"


class ClassClosed(Event):
    """The last day has passed."""

    type: ClassVar[str] = "class.closed"


class OutcomesOverdue(Event):
    """The host has not reported by the due date; the bureau is told."""

    type: ClassVar[str] = "class.outcomes_overdue"


class ClassReported(Event):
    """Every trainee has an outcome and the host says so."""

    type: ClassVar[str] = "class.reported"
    by: str


EVENTS = EventCatalogue(
    ClassPlanned,
    ClassAnnounced,
    ClassReminderSent,
    RegistrationOpened,
    CheckInConfirmed,
    AbsencesRecorded,
    ClassClosed,
    OutcomesOverdue,
    ClassReported,
)


# -------------------------------------------------------------------------------------------------- commands


class PlanClass(Command):
    """Plan a class for one project type; both dates count as training days."""

    name: ClassVar[str] = "plan"
    host: Code
    project_type: Code
    starts: date
    ends: date
    place: Text
    mode: Mode = "centralised"
    capacity: Capacity


class Announce(Command):
    """Announce time and place."""

    name: ClassVar[str] = "announce"


class ConfirmCheckIn(Command):
    """Close and confirm the check-in list."""

    name: ClassVar[str] = "confirm-check-in"


class RecordAbsences(Command):
    """The system has reached every trainee of the list."""

    name: ClassVar[str] = "record-absences"


class Report(Command):
    """All outcomes are in."""

    name: ClassVar[str] = "report"


class PassClassDeadline(Command):
    """The class's timer fired."""

    name: ClassVar[str] = "pass-deadline"


COMMANDS = CommandCatalogue(PlanClass, Announce, ConfirmCheckIn, RecordAbsences, Report, PassClassDeadline)


# ----------------------------------------------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class TrainingClass:
    """A class as its events have left it."""

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
    absences_recorded: bool = False
    outcomes_overdue: bool = False

    @property
    def takes_trainees(self) -> bool:
        """Whether somebody can still be placed in this class."""
        return self.phase in ("planned", "announced", "registration-open") and self.check_in_confirmed_at is None


@dataclass(frozen=True, slots=True)
class Facts:
    """The plan, and how many trainees of the class have no outcome yet."""

    plan: Plan
    without_outcome: int = 0


Context = decision.Context[Facts]


_OPEN = ("planned", "announced", "registration-open", "running", "closed")
LIFECYCLE: dict[type[Command], Step] = {
    PlanClass: Step((), ("host",)),
    Announce: Step(("planned",), ("host",)),
    ConfirmCheckIn: Step(("registration-open", "closed"), ("host",)),
    RecordAbsences: Step(("running", "closed"), ("system",)),
    Report: Step(("closed",), ("host",)),
    PassClassDeadline: Step(_OPEN, ("system",)),
}


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
            return replace(state, phase=phase, check_in_confirmed_at=event.at)
        case AbsencesRecorded():
            return replace(state, absences_recorded=True)
        case ClassClosed():
            return replace(state, phase="closed", done=state.done | {"close"})
        case OutcomesOverdue():
            return replace(state, outcomes_overdue=True, done=state.done | {"outcomes"})
        case ClassReported():
            return replace(state, phase="reported")
    raise TypeError(f"no evolution for {event.type}")


def _planned(event: ClassPlanned) -> TrainingClass:
    reminders = tuple(
        Item(f"reminder-{index}", at, about=event.opens_at) for index, at in enumerate(event.reminders, start=1)
    )
    return TrainingClass(
        campaign=event.campaign,
        host=event.host,
        project_type=event.project_type,
        starts=event.starts,
        ends=event.ends,
        place=event.place,
        mode=event.mode,
        capacity=event.capacity,
        agenda=(
            *reminders,
            Item("open", event.opens_at),
            Item("close", event.closes_at),
            Item("outcomes", event.outcomes_due),
        ),
    )


# -------------------------------------------------------------------------------------------------- decisions


def decide(state: TrainingClass | None, command: Command, context: Context) -> Decision | Refusal:
    """Decide `command` on the class as it stands."""
    step, actor = LIFECYCLE[type(command)], context.actor
    if actor.role not in step.roles or not _concerns(state, command, actor):
        return refuse("not_your_part", roles=" / ".join(step.roles))
    if isinstance(command, PlanClass):
        return _plan(command, context) if state is None else refuse("already_exists", number=context.number)
    if state is None:
        return refuse("unknown_number", number=context.number)
    if state.phase not in step.phases:
        allowed = ", ".join(allowed_commands(state)) or "—"
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed=allowed)
    return _DECIDERS[type(command)](state, command, context)


def _concerns(state: TrainingClass | None, command: Command, actor: Actor) -> bool:
    if actor.role == "system":
        return True
    host = command.host if isinstance(command, PlanClass) else state.host if state else actor.organisation
    return actor.organisation == host


def allowed_commands(state: TrainingClass) -> list[str]:
    """The names of the commands that the lifecycle allows somebody in this state."""
    return steps_from(LIFECYCLE, state.phase)


def _plan(command: PlanClass, context: Context) -> Decision | Refusal:
    plan, rules = context.facts.plan, context.facts.plan.rules
    project_type = plan.find_project_type(command.project_type)
    if project_type is None:
        known = ", ".join(each.id for each in plan.project_types)
        return refuse("unknown_project_type", field="/project_type", project_type=command.project_type, known=known)
    host = plan.find_host(command.host)
    if host is None:
        return refuse("host_unknown", field="/host", host=command.host)
    if project_type.level not in host.levels:
        return refuse("host_of_another_level", field="/host", host=command.host, level=project_type.level)
    if command.starts > command.ends:
        return refuse("dates_out_of_order", field="/ends")
    if not plan.dates.opens <= command.starts <= command.ends <= plan.dates.closes:
        return refuse("dates_outside_campaign", field="/starts", opens=plan.dates.opens, closes=plan.dates.closes)
    opens_at = calendar.start_of_day(command.starts)
    last_day = command.ends + timedelta(days=rules.outcome_due_days_after_class_end)
    planned = ClassPlanned(
        campaign=plan.id,
        host=command.host,
        project_type=command.project_type,
        starts=command.starts,
        ends=command.ends,
        place=command.place,
        mode=command.mode,
        capacity=command.capacity,
        reminders=tuple(opens_at - timedelta(days=days) for days in rules.class_reminders_days_before),
        opens_at=opens_at,
        closes_at=calendar.end_of_day(command.ends),
        outcomes_due=calendar.end_of_day(last_day),
    )
    return Decision((planned,), claims=(Limit(class_seat_key(context.number), command.capacity),))


def _announce(state: TrainingClass, command: Announce, context: Context) -> Decision:
    announced = ClassAnnounced(by=str(context.actor))
    data = {
        "training_class": context.number,
        "starts": state.starts.isoformat(),
        "ends": state.ends.isoformat(),
    }
    return Decision((announced,), notices=(Notice(context.facts.plan.bureau, announced.type, data),))


def _confirm_check_in(state: TrainingClass, command: ConfirmCheckIn, context: Context) -> Decision | Refusal:
    if state.check_in_confirmed_at is not None:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed=Report.name)
    return Decision((CheckInConfirmed(by=str(context.actor), at=context.now),))


def _record_absences(state: TrainingClass, command: RecordAbsences, context: Context) -> Decision | Refusal:
    if state.absences_recorded:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed="report")
    return Decision((AbsencesRecorded(),))


def _report(state: TrainingClass, command: Report, context: Context) -> Decision | Refusal:
    if context.facts.without_outcome:
        return refuse("outcomes_missing", count=context.facts.without_outcome)
    reported = ClassReported(by=str(context.actor))
    data = {"training_class": context.number}
    return Decision((reported,), notices=(Notice(context.facts.plan.bureau, reported.type, data),))


def _pass_deadline(state: TrainingClass, command: PassClassDeadline, context: Context) -> Decision | Refusal:
    events: list[Event] = []
    notices: list[Notice] = []
    data = {"training_class": context.number, "starts": state.starts.isoformat()}
    for item, stale in due(state.agenda, state.done, context.now):
        match item.key:
            case "open":
                events.append(RegistrationOpened())
                notices.append(Notice(state.host, RegistrationOpened.type, data))
            case "close":
                events.append(ClassClosed())
                notices.append(Notice(state.host, ClassClosed.type, data))
            case "outcomes":
                events.append(OutcomesOverdue())
                told = (state.host, context.facts.plan.bureau)
                notices += [Notice(each, OutcomesOverdue.type, data) for each in told]
            case _:
                events.append(ClassReminderSent(key=item.key, stale=stale))
                notices += [] if stale else [Notice(state.host, ClassReminderSent.type, data)]
    if not events:
        deadline = next_deadline(state.agenda, state.done)
        return refuse("too_early", command=command.name, earliest=in_words(deadline) if deadline else "—")
    return Decision(tuple(events), notices=tuple(notices))


_DECIDERS: dict[type[Command], Callable[[TrainingClass, Any, Context], Decision | Refusal]] = {
    Announce: _announce,
    ConfirmCheckIn: _confirm_check_in,
    RecordAbsences: _record_absences,
    Report: _report,
    PassClassDeadline: _pass_deadline,
}

WAITING_FOR = {
    "planned": "the host's announcement",
    "announced": "the first day",
    "registration-open": "the host's confirmed check-in list",
    "running": "the last day",
    "closed": "the host's report with every outcome",
}


def case_of(number: str, state: TrainingClass) -> Case:
    """What the workflow of this class shows and waits for, and whom it still has to reach."""
    deadline = None if state.phase == "reported" else next_deadline(state.agenda, state.done)
    reach = None
    if state.check_in_confirmed_at is not None and not state.absences_recorded:
        reach = Reach(
            command_by_phase={"confirmed": RecordNoShow.name, "enrolled": Lapse.name},
            causation=f"{number}:check-in",
            done_by=RecordAbsences.name,
            training_class=number,
        )
    return Case(
        phase=state.phase,
        deadline=deadline,
        timer=deadline is not None,
        closed=state.phase == "reported",
        summary=f"{state.project_type} · {state.host} · {state.starts} to {state.ends}",
        waiting_for=WAITING_FOR.get(state.phase, ""),
        attributes={
            "XunjiPhase": state.phase,
            "XunjiCampaign": state.campaign,
            "XunjiProject": state.project_type,
            "XunjiHost": state.host,
            "XunjiClass": number,
        },
        reach=reach,
    )
