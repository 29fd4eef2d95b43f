"""A campaign (stream `campaign/{id}`): it issues the quotas and keeps the dates that all its cases share.

    selecting ─► training ─► closed          (a county's selection can be reopened in either of the first two)
        └──────── down over all of it ───────────▲

Each level of the selection has its own cut-off with reminders (3 days, 1 day, 3 hours by the plan). At a cut-off
everything that still waits for that level lapses; one timer serves thousands of cases.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from domain import calendar, decision
from domain import campaign_amendments as amendments
from domain.agenda import Item, due, next_deadline
from domain.bulletin import BulletinRow
from domain.campaign_amendments import (
    NO_CASES,
    HostCases,
    HostRemoved,
    OffersEnded,
    RemoveHost,
    Reopen,
    ReopeningClosed,
    SelectionReopened,
    Settled,
    host_key,
)
from domain.decision import (
    Case,
    ClaimRequest,
    Command,
    CommandCatalogue,
    Count,
    Decision,
    Event,
    EventCatalogue,
    Limit,
    Message,
    Notice,
    Reach,
    Refusal,
    Step,
    StreamEvents,
)
from domain.institution import InstitutionRegistered
from domain.numbers import INSTITUTIONS, seat_key, stream_name
from domain.plan import Plan, SelectionLevel
from domain.quota_opening import city_lines, recipient_lines
from domain.refusals import in_words, refuse
from domain.seat_rules import offers_end
from domain.trainee_messages import Lapse
from domain.trainee_seat_messages import ReassignHost

Phase = Literal["selecting", "training", "closed"]
LEVELS: tuple[SelectionLevel, ...] = ("school", "county", "city")
OFFERS_END = "offers-end-"
REOPENED = "reopened-"
ESCALATED = "campaign.selection_escalated"
MAX_COUNTIES_NAMED = 50
WAITING_AT: dict[SelectionLevel, tuple[str, ...]] = {
    "school": (),
    "county": ("nominated",),
    "city": ("nominated", "county-approved"),
}


# ---------------------------------------------------------------------------------------------------- events


class AgendaItem(Message):
    """A date of the campaign as it was computed when it opened; `about` marks a reminder."""

    key: str
    at: datetime
    about: datetime | None = None


class CampaignOpened(Event):
    """The notice is carried out by this plan; its digest names the exact rules."""

    type: ClassVar[str] = "campaign.opened"
    campaign: str
    plan_edition: int
    plan_sha256: str
    by: str
    agenda: tuple[AgendaItem, ...]


class SelectionReminderSent(Event):
    """A reminder became due; a stale one is recorded and not sent (edge case 46)."""

    type: ClassVar[str] = "campaign.selection_reminder"
    key: str
    stale: bool


class SelectionClosed(Event):
    """A level's cut-off has passed."""

    type: ClassVar[str] = "campaign.selection_closed"
    level: SelectionLevel


class SelectionSettled(Event):
    """Every case that had missed the level's cut-off has lapsed."""

    type: ClassVar[str] = "campaign.selection_settled"
    level: SelectionLevel


class SoftEndPassed(Event):
    """原则上 done by now (N11): what is still open is shown, nothing is blocked."""

    type: ClassVar[str] = "campaign.soft_end_passed"
    open_cases: int


class BulletinIssued(Event):
    """通报 as of the closing of the campaign: organisations only, numerators and denominators (edge cases 47, 69)."""

    type: ClassVar[str] = "campaign.bulletin_issued"
    kind: Literal["counties", "hosts"]
    version: int
    as_of: datetime
    rows: tuple[BulletinRow, ...]


class CampaignClosed(Event):
    """The last day has passed."""

    type: ClassVar[str] = "campaign.closed"


EVENTS = EventCatalogue(
    CampaignOpened,
    SelectionReminderSent,
    SelectionClosed,
    SelectionSettled,
    SoftEndPassed,
    BulletinIssued,
    CampaignClosed,
    *amendments.EVENT_CLASSES,
)


# -------------------------------------------------------------------------------------------------- commands


class OpenCampaign(Command):
    """Open the campaign by an adopted plan."""

    name: ClassVar[str] = "open"
    plan_sha256: str


class SettleSelection(Command):
    """The system has reached every case that missed the cut-off."""

    name: ClassVar[str] = "settle-selection"


class PassCampaignDeadline(Command):
    """The campaign's timer fired."""

    name: ClassVar[str] = "pass-deadline"


COMMANDS = CommandCatalogue(OpenCampaign, SettleSelection, PassCampaignDeadline, *amendments.COMMAND_CLASSES)
CAMPAIGN_STEPS: dict[type[Command], Step] = {
    Reopen: Step(("selecting", "training"), ("bureau",)),
    RemoveHost: Step(("selecting", "training"), ("bureau",)),
    SettleSelection: Step(("selecting", "training", "closed"), ("system",)),
    PassCampaignDeadline: Step(("selecting", "training"), ("system",)),
}


# ----------------------------------------------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as its events have left it. `unsettled` names what is still owed to cases that are not all reached:
    a level's cut-off, a reopening's, the end of the waiting lists, or a removed host.
    """

    id: str
    plan_sha256: str
    agenda: tuple[Item, ...]
    phase: Phase = "selecting"
    done: frozenset[str] = field(default_factory=frozenset)
    unsettled: tuple[str, ...] = ()
    reopened: tuple[tuple[str, datetime], ...] = ()
    removed_hosts: Mapping[str, str] = field(default_factory=dict)

    def reopened_until(self, county: str) -> datetime | None:
        """The latest end of a reopening for this county (edge case 44)."""
        return max((until for each, until in self.reopened if each == county), default=None)


@dataclass(frozen=True, slots=True)
class Facts:
    """The plan, the organisations already registered, who still has cases waiting, the bulletins as they stand, the
    counties' schools, and whom a host that is to be removed still has.
    """

    plan: Plan
    registered: frozenset[str] = frozenset()
    waiting_counties: tuple[str, ...] = ()
    open_cases: int = 0
    county_rows: tuple[BulletinRow, ...] = ()
    host_rows: tuple[BulletinRow, ...] = ()
    schools: tuple[str, ...] = ()
    host_cases: HostCases = NO_CASES


Context = decision.Context[Facts]


def fold(events: Iterable[Event]) -> Campaign | None:
    """The state after `events`, None before the first."""
    state: Campaign | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Campaign | None, event: Event) -> Campaign:
    """The next state. Never refuses."""
    if isinstance(event, CampaignOpened):
        agenda = tuple(Item(item.key, item.at, item.about) for item in event.agenda)
        return Campaign(id=event.campaign, plan_sha256=event.plan_sha256, agenda=agenda)
    assert state is not None, f"{event.type} before the campaign was opened"
    match event:
        case SelectionReminderSent():
            return replace(state, done=state.done | {event.key})
        case SelectionClosed():
            return replace(state, done=state.done | {event.level}, unsettled=(*state.unsettled, event.level))
        case SelectionSettled():
            unsettled = tuple(key for key in state.unsettled if key != event.level)
            selected = event.level == "city" and state.phase == "selecting"
            return replace(state, unsettled=unsettled, phase="training" if selected else state.phase)
        case SoftEndPassed():
            return replace(state, done=state.done | {"soft-end"})
        case BulletinIssued():
            return state
        case CampaignClosed():
            return replace(state, phase="closed", done=state.done | {"close"})
    return _evolve_amendment(state, event)


def _evolve_amendment(state: Campaign, event: Event) -> Campaign:
    match event:
        case SelectionReopened():
            agenda = (*state.agenda, Item(event.key, event.until))
            return replace(state, agenda=agenda, reopened=(*state.reopened, (event.county, event.until)))
        case ReopeningClosed() | OffersEnded():
            return replace(state, done=state.done | {event.key}, unsettled=(*state.unsettled, event.key))
        case HostRemoved():
            removed = {**state.removed_hosts, event.host: event.replacement}
            owed = (host_key(event.host),) if event.replacement else ()
            return replace(state, removed_hosts=removed, unsettled=(*state.unsettled, *owed))
        case Settled():
            return replace(state, unsettled=tuple(key for key in state.unsettled if key != event.key))
    raise TypeError(f"no evolution for {event.type}")


# -------------------------------------------------------------------------------------------------- decisions


def decide(state: Campaign | None, command: Command, context: Context) -> Decision | Refusal:
    """Decide `command` on the campaign as it stands."""
    if isinstance(command, OpenCampaign):
        if context.actor.role != "bureau":
            return refuse("not_your_part", roles="bureau")
        return _open(context) if state is None else refuse("already_exists", number=context.number)
    step = CAMPAIGN_STEPS[type(command)]
    if context.actor.role not in step.roles:
        return refuse("not_your_part", roles=" / ".join(step.roles))
    if state is None:
        return refuse("unknown_number", number=context.number)
    if state.phase not in step.phases:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed="—")
    return _DECIDERS[type(command)](state, command, context)


def _open(context: Context) -> Decision:
    plan = context.facts.plan
    opened = CampaignOpened(
        campaign=plan.id,
        plan_edition=plan.edition,
        plan_sha256=plan.sha256(),
        by=str(context.actor),
        agenda=_agenda(plan),
    )
    reserves = city_lines(plan)
    quotas = tuple(
        StreamEvents(plan.id, stream_name("quota", each.line), 0, (each,))
        for each in (*reserves, *recipient_lines(plan))
    )
    institutions = tuple(
        StreamEvents(INSTITUTIONS, stream_name("institution", each.id), 0, (each,))
        for each in _institutions(plan)
        if each.id not in context.facts.registered
    )
    limits: tuple[ClaimRequest, ...] = (
        *(Limit(seat_key(plan.id, each.line), each.seats) for each in reserves),
        # What the city has handed out counts against its own line: Σ children ≤ parent (edge case 1).
        *(Count(seat_key(plan.id, each.line), each.delegated) for each in reserves if each.delegated),
        *(Limit(seat_key(plan.id, line.key), line.seats) for line in plan.lines()),
    )
    told = tuple(
        Notice(recipient.id, "campaign.opened", {"campaign": plan.id, "notice": plan.notice.number})
        for recipient in plan.recipients
    )
    return Decision((opened,), others=(*quotas, *institutions), claims=limits, notices=told)


def _agenda(plan: Plan) -> tuple[AgendaItem, ...]:
    items: list[AgendaItem] = []
    for level in LEVELS:
        deadline = plan.selection_deadline(level)
        for hours in plan.rules.selection_reminders_hours_before:
            at = deadline - timedelta(hours=hours)
            items.append(AgendaItem(key=f"{level}-{hours}h", at=at, about=deadline))
        items.append(AgendaItem(key=level, at=deadline))
    ends = sorted({offers_end(plan, each.id) for each in plan.project_types})
    items += [AgendaItem(key=f"{OFFERS_END}{number}", at=at) for number, at in enumerate(ends, start=1)]
    items.append(AgendaItem(key="soft-end", at=calendar.end_of_day(plan.dates.soft_end)))
    items.append(AgendaItem(key="close", at=calendar.end_of_day(plan.dates.closes)))
    return tuple(items)


def _institutions(plan: Plan) -> tuple[InstitutionRegistered, ...]:
    return (
        InstitutionRegistered(
            id=plan.bureau, kind="bureau", name_zh=plan.bureau_name_zh, parent="", email=plan.bureau_email
        ),
        *(
            InstitutionRegistered(
                id=each.id,
                kind="county",
                name_zh=each.name_zh,
                parent=plan.bureau,
                email=each.contact_email,
                gb_code=each.gb_code,
            )
            for each in plan.recipients
        ),
        *(
            InstitutionRegistered(
                id=each.id,
                kind="host",
                name_zh=each.name_zh,
                parent="",
                email=each.contact_email,
                generated=each.generated,
            )
            for each in plan.hosts
        ),
    )


def _settle_selection(state: Campaign, command: SettleSelection, context: Context) -> Decision | Refusal:
    if not state.unsettled:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed="—")
    key = state.unsettled[0]
    if key in LEVELS:
        return Decision((SelectionSettled(level=key),))
    return Decision((Settled(key=key),))


def _pass_deadline(state: Campaign, command: PassCampaignDeadline, context: Context) -> Decision | Refusal:
    events: list[Event] = []
    notices: list[Notice] = []
    for item, stale in due(state.agenda, state.done, context.now):
        if item.is_reminder:
            events.append(SelectionReminderSent(key=item.key, stale=stale))
            notices += () if stale else _reminders(item, context)
        elif item.key in LEVELS:
            events.append(SelectionClosed(level=item.key))
            data = {"campaign": state.id, "level": item.key}
            notices.append(Notice(context.facts.plan.bureau, SelectionClosed.type, data))
        elif item.key.startswith(OFFERS_END):
            events.append(OffersEnded(key=item.key))
        elif item.key.startswith(REOPENED):
            events.append(ReopeningClosed(key=item.key))
        elif item.key == "soft-end":
            passed = SoftEndPassed(open_cases=context.facts.open_cases)
            events.append(passed)
            count = {"campaign": state.id, "open_cases": passed.open_cases}
            notices.append(Notice(context.facts.plan.bureau, passed.type, count))
        else:
            events += _closing(context)
    if not events:
        deadline = next_deadline(state.agenda, state.done)
        return refuse("too_early", command=command.name, earliest=in_words(deadline) if deadline else "—")
    return Decision(tuple(events), notices=tuple(notices))


def _reminders(item: Item, context: Context) -> tuple[Notice, ...]:
    """To whoever still has work before the cut-off: everybody while schools nominate, then counties with open cases.

    The later reminders of a level go to the level above as well: the last of the schools' to the bureau, those of the
    counties from the last but one on, with the names of the counties (school → county → city).
    """
    level, plan = item.key.split("-")[0], context.facts.plan
    everybody = (*(recipient.id for recipient in plan.recipients), *context.facts.schools)
    told = {"school": everybody, "county": context.facts.waiting_counties, "city": (plan.bureau,)}[level]
    assert item.about is not None, "a reminder is about something"
    data = {"campaign": plan.id, "level": level, "deadline": item.about.isoformat()}
    reminders = tuple(Notice(each, SelectionReminderSent.type, data) for each in told)
    every = sorted(plan.rules.selection_reminders_hours_before, reverse=True)
    later = every[{"school": -1, "county": 1}.get(level, 0) :]
    hours = round((item.about - item.at).total_seconds() / 3600)
    if level == "city" or not told or hours not in later:
        return reminders
    counties = list(context.facts.waiting_counties)[:MAX_COUNTIES_NAMED]
    return (*reminders, Notice(plan.bureau, ESCALATED, {**data, "counties": counties}))


def _closing(context: Context) -> list[Event]:
    facts, now = context.facts, context.now
    return [
        BulletinIssued(kind="counties", version=1, as_of=now, rows=facts.county_rows),
        BulletinIssued(kind="hosts", version=1, as_of=now, rows=facts.host_rows),
        CampaignClosed(),
    ]


_DECIDERS: dict[type[Command], Callable[[Campaign, Any, Context], Decision | Refusal]] = {
    SettleSelection: _settle_selection,
    PassCampaignDeadline: _pass_deadline,
    Reopen: amendments.reopen,
    RemoveHost: amendments.remove_host,
}


def _owed(key: str) -> dict[str, str]:
    """The commands that are owed to trainees, by their phase. Who has a later date of his own refuses his."""
    if key.startswith(OFFERS_END):
        return {"waitlisted": Lapse.name}
    if key.startswith(REOPENED):
        return dict.fromkeys(WAITING_AT["city"], Lapse.name)
    if key.startswith(host_key("")):
        return {"selected": ReassignHost.name}
    level = next(each for each in LEVELS if each == key)
    return dict.fromkeys(WAITING_AT[level], Lapse.name)


WAITING_FOR = {"selecting": "the selection's cut-offs", "training": "the end of the campaign"}


def case_of(number: str, state: Campaign) -> Case:
    """What the workflow of this campaign shows and waits for, and whom it still has to reach."""
    reach = None
    if state.unsettled:
        key = state.unsettled[0]
        reach = Reach(
            command_by_phase=_owed(key),
            causation=f"{number}:{key}",
            done_by=SettleSelection.name,
        )
    deadline = next_deadline(state.agenda, state.done)
    return Case(
        phase=state.phase,
        deadline=deadline,
        timer=deadline is not None,
        # Whoever was down over its last days still owes the cases what its cut-offs meant for them.
        closed=state.phase == "closed" and reach is None,
        summary=f"campaign {number} · {state.phase}",
        waiting_for=WAITING_FOR.get(state.phase, "everybody to be reached" if reach else ""),
        attributes={"XunjiPhase": state.phase, "XunjiCampaign": number},
        reach=reach,
    )
