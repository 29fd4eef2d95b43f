"""A quota line: its phases and commands by name, its situations, and an attempt at every command."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from docgen.lifecycles.exploring import Attempt, Label, Lifecycle, Situation, attempts_of
from docgen.lifecycles.plan import ACTORS, CAMPAIGN, THE_PLAN, on
from domain import quota
from domain.decision import Actor, Command, Context, Decision, Event, Refusal
from domain.numbers import quota_number
from domain.quota import Facts, Quota, case_of, fold
from domain.quota_messages import (
    AcceptSeats,
    DeclineSeats,
    Delegate,
    OfferSeats,
    Override,
    PassQuotaDeadline,
    QuotaIssued,
    ReallocationOffered,
    RecallOffer,
    ReportShortfall,
    ReturnSeats,
)
from domain.quota_opening import city_lines, recipient_lines

CITY, LINE, OTHER, SCHOOL = "gp5:zzedu", "gp5:410181", "gp5:410182", "gp5:410181-s01"
NUMBER: Final = quota_number(CAMPAIGN, LINE)
PHASES: Final = {"issued": Label("已下达", "issued"), "offering": Label("调剂中", "offering seats to others")}
COMMANDS: Final = {
    "delegate": Label("下达", "delegate"),
    "return-seats": Label("交回", "return seats"),
    "offer-seats": Label("提出调剂", "offer seats"),
    "accept-seats": Label("接受调剂", "accept the seats"),
    "decline-seats": Label("谢绝调剂", "decline the seats"),
    "recall-offer": Label("撤回调剂", "recall the offer"),
    "report-shortfall": Label("上报缺额", "report a shortfall"),
    "override": Label("市级调整", "override"),
    "pass-deadline": Label("到期处理", "pass the deadline"),
}
EXAMPLES: Final[tuple[Command, ...]] = (
    Delegate(to="410181-s01", seats=1),
    ReturnSeats(seats=1, reason="too few teachers"),
    OfferSeats(seats=1, candidates=("410182",), reason="too few teachers"),
    AcceptSeats(offer=1),
    DeclineSeats(offer=1),
    RecallOffer(offer=1),
    ReportShortfall(seats=1, reason="other", details="no rural teacher"),
    Override(seats=40, reason="a new campus", document="letter 12"),
    PassQuotaDeadline(),
)
ISSUED: Final[dict[str, QuotaIssued]] = {
    each.line: each for each in (*city_lines(THE_PLAN), *recipient_lines(THE_PLAN))
}
WINDOW: Final = timedelta(hours=THE_PLAN.seat_rules.reallocation_hours)
OPEN: Final = ReallocationOffered(
    offer=1, seats=3, candidates=(OTHER,), until=on(9, 5) + WINDOW, by="county:410181", reason="too few"
)
IN_TURN: Final = OPEN.model_copy(update={"candidates": (OTHER, "gp5:410183")})
ANOTHER: Final = OPEN.model_copy(update={"offer": 2})
CANDIDATE: Final = Actor(organisation="410182", role="county")


def phase_of(state: Quota) -> str:
    """A line is offering while an offer is open."""
    return case_of(NUMBER, state).phase


def decide(state: Quota | None, command: Command, context: Context[Any]) -> Decision | Refusal:
    """Decide with the lines that the command touches, as the ledger's activity reads them."""
    lines = {line: _KNOWN_LINES[line] for line in quota.lines_touched(state, command, THE_PLAN)}
    return quota.decide(state, command, replace(context, facts=Facts(THE_PLAN, lines, parent_of_target="410181")))


def _attempts() -> dict[str, tuple[Attempt, ...]]:
    """An offer is answered by its candidate; everything else is done by the line's own county or the bureau."""
    answers = tuple(each for each in EXAMPLES if isinstance(each, AcceptSeats | DeclineSeats))
    own = tuple(each for each in EXAMPLES if each not in answers)
    return {
        **attempts_of(quota.QUOTA_STEPS, own, ACTORS, NUMBER, decide),
        **attempts_of(quota.QUOTA_STEPS, answers, {**ACTORS, "county": CANDIDATE}, NUMBER, decide),
    }


_KNOWN_LINES: Final[dict[str, tuple[Quota | None, int]]] = {
    CITY: (fold([ISSUED[CITY]]), 1),
    OTHER: (fold([ISSUED[OTHER]]), 1),
    SCHOOL: (None, 0),
}


def _at(at: datetime, events: tuple[Event, ...], zh: str = "", en: str = "") -> Situation:
    return Situation(events, at, None, Label(zh, en) if zh else None)


LINE_ISSUED: Final = ISSUED[LINE]
SITUATIONS: Final = (
    _at(on(9, 5), (LINE_ISSUED,)),
    _at(on(9, 5), (LINE_ISSUED, OPEN)),
    _at(on(9, 5), (LINE_ISSUED, OPEN, ANOTHER), "两项调剂", "two offers are open"),
    _at(on(9, 5), (LINE_ISSUED, IN_TURN), "有下一家", "another candidate comes next"),
    _at(on(9, 5) + WINDOW, (LINE_ISSUED, OPEN), "答复期满", "the answer is due"),
    _at(on(9, 5) + WINDOW, (LINE_ISSUED, IN_TURN), "答复期满,有下一家", "the answer is due, another comes next"),
)
QUOTA: Final = Lifecycle(
    kind="quota",
    title=Label("名额", "A quota line"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts=_attempts(),
    situations=SITUATIONS,
    ended=frozenset(),
    begins_in="issued",
)
