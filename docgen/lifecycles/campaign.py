"""A campaign: its phases and commands by name, its situations, and an attempt at every command."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from docgen.lifecycles.exploring import Attempt, Label, Lifecycle, Situation, attempts_of, phase_of
from docgen.lifecycles.plan import ACTORS, CAMPAIGN, THE_PLAN, on
from domain import calendar, campaign
from domain.campaign import (
    CampaignClosed,
    Facts,
    OpenCampaign,
    PassCampaignDeadline,
    SelectionClosed,
    SelectionReminderSent,
    SelectionSettled,
    SettleSelection,
    SoftEndPassed,
    fold,
)
from domain.campaign_amendments import HostCases, HostRemoved, OffersEnded, RemoveHost, Reopen
from domain.decision import Command, Context, Decision, Event, Refusal, Step
from domain.seat_rules import offers_end

PHASES: Final = {
    "selecting": Label("遴选中", "selecting"),
    "training": Label("培训中", "training"),
    "closed": Label("已结束", "closed"),
}
COMMANDS: Final = {
    "open": Label("启动", "open"),
    "reopen": Label("补报", "reopen for a county"),
    "remove-host": Label("取消承训资格", "remove a host"),
    "settle-selection": Label("登记已通知到所有人", "record that everybody was reached"),
    "pass-deadline": Label("到期处理", "pass the deadline"),
}
EXAMPLES: Final[tuple[Command, ...]] = (
    OpenCampaign(plan_sha256=THE_PLAN.sha256()),
    Reopen(county="410181", until=on(12, 1, 16), reason="a flood"),
    RemoveHost(host="h001", replacement="h004", reason="withdrew"),
    SettleSelection(),
    PassCampaignDeadline(),
)
KNOWN: Final = Facts(THE_PLAN, waiting_counties=("410181",))


def _opened() -> Event:
    context: Context[Facts] = Context(CAMPAIGN, ACTORS["bureau"], KNOWN, calendar.start_of_day(THE_PLAN.dates.opens))
    decision = campaign.decide(None, EXAMPLES[0], context)
    assert isinstance(decision, Decision), "a new campaign opens"
    return decision.events[0]


def _agenda_done(*keys: str) -> tuple[Event, ...]:
    return tuple(SelectionReminderSent(key=key, stale=False) for key in keys)


def _reminders() -> tuple[Event, ...]:
    state = fold((OPENED,))
    assert state is not None, "an opened campaign exists"
    return _agenda_done(*(item.key for item in state.agenda if item.is_reminder))


def _offers_ended() -> tuple[Event, ...]:
    state = fold((OPENED,))
    assert state is not None, "an opened campaign exists"
    return tuple(OffersEnded(key=item.key) for item in state.agenda if item.key.startswith(campaign.OFFERS_END))


OPENED: Final = _opened()
SCHOOLS_CLOSED: Final = (OPENED, *_reminders(), SelectionClosed(level="school"), SelectionSettled(level="school"))
COUNTIES_CLOSED: Final = (*SCHOOLS_CLOSED, SelectionClosed(level="county"), SelectionSettled(level="county"))
CITY_CLOSED: Final = (*COUNTIES_CLOSED, SelectionClosed(level="city"))
TRAINING: Final = (*CITY_CLOSED, SelectionSettled(level="city"))
REMOVED: Final = HostRemoved(host="h003", replacement="h004", assigned=2, by="bureau:zzedu", reason="withdrew")
LATE: Final = (*TRAINING, *_offers_ended(), SoftEndPassed(open_cases=0))
END: Final = calendar.end_of_day(THE_PLAN.dates.closes)


def _at(at: datetime, events: tuple[Event, ...], zh: str = "", en: str = "", facts: Facts = KNOWN) -> Situation:
    return Situation(events, at, facts, Label(zh, en) if zh else None)


SITUATIONS: Final = (
    _at(calendar.start_of_day(THE_PLAN.dates.opens), ()),
    _at(calendar.start_of_day(THE_PLAN.dates.opens), (OPENED,)),
    _at(THE_PLAN.selection_deadline("school"), (OPENED,), "学校截止", "the schools' cut-off has come"),
    _at(
        THE_PLAN.selection_deadline("county"),
        (*SCHOOLS_CLOSED, SelectionClosed(level="county")),
        "区县逾期者待通知",
        "who missed the counties' cut-off is to be reached",
    ),
    _at(END, (OPENED,), "停机至末日之后", "the system was down over all of it"),
    _at(THE_PLAN.selection_deadline("city"), COUNTIES_CLOSED, "市级截止", "the city's cut-off has come"),
    _at(THE_PLAN.selection_deadline("city"), CITY_CLOSED, "逾期者待通知", "who missed the cut-off is to be reached"),
    _at(on(9, 20), TRAINING),
    _at(offers_end(THE_PLAN, "gp5"), TRAINING, "候补截止", "the last useful day of a seat has passed"),
    _at(on(9, 20), (*TRAINING, REMOVED), "受训者待改派", "a removed host's trainees are to be reached"),
    _at(
        on(9, 20),
        TRAINING,
        "承训单位有学员",
        "the host has trainees in a class",
        replace(KNOWN, host_cases=HostCases(assigned=0, in_class=3)),
    ),
    _at(END, LATE, "末日已过", "its last day has passed"),
    _at(END, (*LATE, CampaignClosed())),
    _at(END, (*LATE, REMOVED, CampaignClosed()), "仍有人待通知", "somebody is still to be reached"),
)


def _attempts() -> dict[str, tuple[Attempt, ...]]:
    steps: dict[type[Command], Step] = {**campaign.CAMPAIGN_STEPS, OpenCampaign: Step((), ("bureau",))}

    def decide(state: Any, command: Command, context: Context[Facts]) -> Decision | Refusal:
        return campaign.decide(state, command, context)

    return attempts_of(steps, EXAMPLES, ACTORS, CAMPAIGN, decide)


CAMPAIGN_LIFECYCLE: Final = Lifecycle(
    kind="campaign",
    title=Label("年度培训", "A campaign"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts=_attempts(),
    situations=SITUATIONS,
    ended=frozenset({"closed"}),
)
