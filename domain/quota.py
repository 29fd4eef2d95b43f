"""A quota line 名额: seats of one project type for one organisation, in a tree city → county → school.

    issued ◄──► offering        (offering: seats left over are held for another recipient until its window ends)

The seats in use are a counter of the ledger: approvals, seats offered to waiting nominations, seats delegated further
down and seats held for a reallocation all count against it. So Σ children ≤ parent, and no line falls below what is
used and held, whatever happens at once (edge case 1): each change here claims what it takes in the same append.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from domain import decision
from domain.decision import (
    Actor,
    Case,
    Command,
    Count,
    Decision,
    Event,
    Limit,
    Notice,
    Refusal,
    Start,
    Step,
    StreamEvents,
)
from domain.numbers import quota_line, quota_number, seat_key, stream_name
from domain.plan import Plan
from domain.quota_messages import (
    AcceptSeats,
    DeclineSeats,
    Delegate,
    DelegationAdjusted,
    OfferSeats,
    Override,
    PassQuotaDeadline,
    QuotaDelegated,
    QuotaIssued,
    QuotaLevel,
    QuotaOverridden,
    QuotaReceived,
    QuotaReturned,
    QuotaTakenBack,
    ReallocationAccepted,
    ReallocationEnded,
    ReallocationOffered,
    ReallocationPassedOn,
    RecallOffer,
    ReportShortfall,
    ReturnSeats,
    ShortfallReported,
)
from domain.quota_opening import kind_of
from domain.refusals import in_words, refuse

PHASES = ("issued", "offering")
QUOTA_STEPS: dict[type[Command], Step] = {
    Delegate: Step(PHASES, ("bureau", "county")),
    ReturnSeats: Step(PHASES, ("bureau", "county")),
    OfferSeats: Step(PHASES, ("bureau", "county")),
    AcceptSeats: Step(("offering",), ("county",)),
    DeclineSeats: Step(("offering",), ("county",)),
    RecallOffer: Step(("offering",), ("bureau", "county")),
    ReportShortfall: Step(PHASES, ("county",)),
    Override: Step(PHASES, ("bureau",)),
    PassQuotaDeadline: Step(("offering",), ("system",)),
}
MAX_OPEN_OFFERS = 20


@dataclass(frozen=True, slots=True)
class Offer:
    """Seats held for the first of `candidates` (lines) until `until`."""

    number: int
    seats: int
    candidates: tuple[str, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """A line as its events have left it. `issued` is the original number of seats, `seats` the adjusted one."""

    line: str
    project_type: str
    recipient: str
    level: QuotaLevel
    parent: str
    kind: str
    invented: bool
    issued: int
    seats: int
    delegated: int = 0
    offers: tuple[Offer, ...] = ()
    offers_made: int = 0
    shortfall: int = 0
    shortfall_reason: str = ""

    @property
    def held(self) -> int:
        """Seats that an open offer of a reallocation keeps for somebody else."""
        return sum(offer.seats for offer in self.offers)

    def offer(self, number: int) -> Offer | None:
        """The open offer of that number."""
        return next((each for each in self.offers if each.number == number), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """The plan; the other lines that the command touches, each with its stream's version; whose school the target is.

    A line that was never issued is None at version 0.
    """

    plan: Plan
    lines: Mapping[str, tuple[Quota | None, int]] = field(default_factory=dict)
    parent_of_target: str = ""


Context = decision.Context[Facts]


def lines_touched(state: Quota | None, command: Command, plan: Plan) -> tuple[str, ...]:
    """The other lines whose state a decision on `command` needs."""
    if state is None:
        return ()
    if isinstance(command, Delegate):
        return (quota_line(state.project_type, command.to),)
    if isinstance(command, ReturnSeats | Override):
        parent = parent_line(state, plan)
        return (parent,) if parent else ()
    if isinstance(command, OfferSeats):
        return tuple(quota_line(state.project_type, each) for each in command.candidates)
    if isinstance(command, AcceptSeats):
        offer = state.offer(command.offer)
        return offer.candidates[:1] if offer else ()
    return ()


def parent_line(state: Quota, plan: Plan) -> str:
    """The line above; a county's line of an older book does not name the city's."""
    if state.parent or state.level == "city":
        return state.parent
    return quota_line(state.project_type, plan.bureau)


# ----------------------------------------------------------------------------------------------------- state


def fold(events: Iterable[Event]) -> Quota | None:
    """The state after `events`, None before the first."""
    state: Quota | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Quota | None, event: Event) -> Quota:
    """The next state. Never refuses."""
    if isinstance(event, QuotaIssued):
        about = event.model_dump(exclude={"seats"})
        return Quota(**about, issued=event.seats, seats=event.seats)
    assert state is not None, f"{event.type} before the line was issued"
    match event:
        case QuotaDelegated() | DelegationAdjusted():
            return replace(state, delegated=state.delegated + event.seats)
        case QuotaTakenBack():
            return replace(state, delegated=state.delegated - event.seats)
        case QuotaReceived():
            return replace(state, seats=state.seats + event.seats)
        case QuotaReturned():
            return replace(state, seats=state.seats - event.seats)
        case QuotaOverridden():
            return replace(state, seats=event.seats)
        case ShortfallReported():
            return replace(state, shortfall=event.seats, shortfall_reason=event.reason)
    return _evolve_offer(state, event)


def _evolve_offer(state: Quota, event: Event) -> Quota:
    match event:
        case ReallocationOffered():
            offer = Offer(event.offer, event.seats, event.candidates, event.until)
            return replace(state, offers=(*state.offers, offer), offers_made=event.offer)
        case ReallocationPassedOn():
            offers = tuple(
                replace(each, candidates=each.candidates[1:], until=event.until) if each.number == event.offer else each
                for each in state.offers
            )
            return replace(state, offers=offers)
        case ReallocationAccepted() | ReallocationEnded():
            ended = state.offer(event.offer)
            left = tuple(each for each in state.offers if each.number != event.offer)
            gone = ended.seats if ended and isinstance(event, ReallocationAccepted) else 0
            return replace(state, offers=left, seats=state.seats - gone)
    raise TypeError(f"no evolution for {event.type}")


# -------------------------------------------------------------------------------------------------- decisions


def decide(state: Quota | None, command: Command, context: Context) -> Decision | Refusal:
    """Decide `command` on the line as it stands."""
    if state is None:
        return refuse("unknown_number", number=context.number)
    step = QUOTA_STEPS[type(command)]
    if context.actor.role not in step.roles or not _is_part_of(state, command, context):
        return refuse("not_your_part", roles=" / ".join(step.roles))
    return _DECIDERS[type(command)](state, command, context)


def _is_part_of(state: Quota, command: Command, context: Context) -> bool:
    """Whose line it is: its recipient's, the county's above a school, the bureau's; an offer is its candidate's."""
    actor = context.actor
    if actor.role in ("bureau", "system"):
        return True
    if isinstance(command, AcceptSeats | DeclineSeats):
        offer = state.offer(command.offer)
        return offer is None or _recipient_of(offer.candidates[0]) == actor.organisation
    return actor.organisation in (state.recipient, _recipient_of(state.parent) if state.level == "school" else "")


def concerns(state: Quota, actor: Actor) -> bool:
    """Whether the line exists for the actor: his own, his school's, or one that offers him seats."""
    if actor.role in ("bureau", "system"):
        return True
    candidates = {_recipient_of(offer.candidates[0]) for offer in state.offers}
    return actor.organisation in {state.recipient, _recipient_of(state.parent), *candidates}


def _recipient_of(line: str) -> str:
    return line.partition(":")[2]


def _delegate(state: Quota, command: Delegate, context: Context) -> Decision | Refusal:
    plan = context.facts.plan
    target = quota_line(state.project_type, command.to)
    below: QuotaLevel = "county" if state.level == "city" else "school"
    is_below = plan.find_recipient(command.to) is not None
    if below == "school":
        is_below = context.facts.parent_of_target == state.recipient
    if state.level == "school" or not is_below or target == state.line:
        return refuse("not_below", field="/to", to=command.to, line=state.line)
    if below == "county" and plan.project_type(state.project_type).project_counties_only:
        recipient = plan.recipient(command.to)
        if not recipient.project_county:
            return refuse("project_counties_only", field="/to", project_type=state.project_type)
    child, version = context.facts.lines[target]
    by = str(context.actor)
    event: Event
    if child is None:
        event = QuotaIssued(
            line=target,
            project_type=state.project_type,
            recipient=command.to,
            seats=command.seats,
            invented=state.invented,
            level=below,
            parent=state.line,
            kind=state.kind if below == "school" else kind_of(plan, command.to),
        )
    else:
        event = QuotaReceived(from_line=state.line, seats=command.seats, by=by, why="delegation")
    size = (child.seats if child else 0) + command.seats
    return Decision(
        (QuotaDelegated(to=target, seats=command.seats, by=by),),
        others=(_of(plan, target, version, event),),
        claims=(Count(seat_key(plan.id, state.line), command.seats), Limit(seat_key(plan.id, target), size)),
        notices=(_notice(command.to, "quota.delegated", target, seats=command.seats),),
        starts=(_filling(plan, target),),
    )


def _return_seats(state: Quota, command: ReturnSeats, context: Context) -> Decision | Refusal:
    plan = context.facts.plan
    if context.actor.role == "bureau" and state.level == "county":
        # What was delegated is the recipient's; the bureau takes it by an override, with its reasons.
        return refuse("not_your_part", roles="county")
    # The city's line has none above it, and neither has one of an older book.
    ((parent, (above, version)),) = context.facts.lines.items() or [("", (None, 0))]
    if above is None:
        return refuse("no_line_above", line=state.line)
    if command.seats > state.seats:
        return refuse("capacity_below_used", field="/seats", limit=state.seats - command.seats, used=state.held)
    by = str(context.actor)
    returned = QuotaReturned(to=parent, seats=command.seats, by=by, reason=command.reason)
    back = QuotaTakenBack(from_line=state.line, seats=command.seats, by=by)
    size = state.seats - command.seats
    return Decision(
        (returned,),
        others=(_of(plan, parent, version, back),),
        claims=(Limit(seat_key(plan.id, state.line), size), Count(seat_key(plan.id, parent), -command.seats)),
        notices=(_notice(above.recipient, returned.type, state.line, seats=command.seats, reason=command.reason),),
        starts=(_filling(plan, parent),),
    )


def _offer_seats(state: Quota, command: OfferSeats, context: Context) -> Decision | Refusal:
    plan = context.facts.plan
    if len(state.offers) >= MAX_OPEN_OFFERS:
        return refuse("too_many_offers", limit=MAX_OPEN_OFFERS)
    if len(set(command.candidates)) < len(command.candidates):
        return refuse("not_a_sibling", field="/candidates", line=state.line, to=", ".join(command.candidates))
    for each in command.candidates:
        line = quota_line(state.project_type, each)
        other = context.facts.lines[line][0]
        above = (state.level, parent_line(state, plan))
        if other is None or line == state.line or (other.level, parent_line(other, plan)) != above:
            return refuse("not_a_sibling", field="/candidates", line=state.line, to=each)
    offered = ReallocationOffered(
        offer=state.offers_made + 1,
        seats=command.seats,
        candidates=tuple(quota_line(state.project_type, each) for each in command.candidates),
        until=_window(context),
        by=str(context.actor),
        reason=command.reason,
    )
    return Decision(
        (offered,),
        claims=(Count(seat_key(plan.id, state.line), command.seats),),
        notices=(_offered(context, state, offered.candidates[0], offered.offer, offered.seats, offered.until),),
    )


def _accept_seats(state: Quota, command: AcceptSeats, context: Context) -> Decision | Refusal:
    plan, offer = context.facts.plan, state.offer(command.offer)
    if offer is None or context.now >= offer.until:
        return refuse("offer_not_open", field="/offer", offer=command.offer)
    target = offer.candidates[0]
    other, version = context.facts.lines[target]
    assert other is not None, "seats are offered to lines that exist"
    by = str(context.actor)
    received = QuotaReceived(from_line=state.line, seats=offer.seats, by=by, why="reallocation")
    return Decision(
        (ReallocationAccepted(offer=offer.number, to=target, by=by),),
        others=(_of(plan, target, version, received),),
        claims=(
            Count(seat_key(plan.id, state.line), -offer.seats),
            Limit(seat_key(plan.id, state.line), state.seats - offer.seats),
            Limit(seat_key(plan.id, target), other.seats + offer.seats),
        ),
        notices=_told(context, state, ReallocationAccepted.type, offer=offer.number, seats=offer.seats, to=target),
        starts=(_filling(plan, target),),
    )


def _decline_seats(state: Quota, command: DeclineSeats, context: Context) -> Decision | Refusal:
    offer = state.offer(command.offer)
    if offer is None or context.now >= offer.until:
        return refuse("offer_not_open", field="/offer", offer=command.offer)
    return _passed_on((offer,), "declined", state, context)


def _recall_offer(state: Quota, command: RecallOffer, context: Context) -> Decision | Refusal:
    offer = state.offer(command.offer)
    if offer is None:
        return refuse("offer_not_open", field="/offer", offer=command.offer)
    ended = ReallocationEnded(offer=offer.number, why="recalled")
    told = _notice(_recipient_of(offer.candidates[0]), ended.type, state.line, offer=offer.number, why=ended.why)
    return Decision((ended,), claims=(_released(context, state, offer.seats),), notices=(told,))


def _pass_deadline(state: Quota, command: PassQuotaDeadline, context: Context) -> Decision | Refusal:
    due = tuple(each for each in state.offers if each.until <= context.now)
    if not due:
        earliest = min((each.until for each in state.offers), default=None)
        return refuse("too_early", command=command.name, earliest=in_words(earliest) if earliest else "—")
    return _passed_on(due, "lapsed", state, context)


def _passed_on(offers: tuple[Offer, ...], why: Any, state: Quota, context: Context) -> Decision:
    """To the next candidate with a window of his own, or back onto this line when there is none."""
    events: list[Event] = []
    notices: list[Notice] = []
    released = 0
    for offer in offers:
        if len(offer.candidates) > 1:
            until = _window(context)
            events.append(ReallocationPassedOn(offer=offer.number, why=why, until=until))
            notices.append(_offered(context, state, offer.candidates[1], offer.number, offer.seats, until))
        else:
            released += offer.seats
            events.append(ReallocationEnded(offer=offer.number, why=why))
            notices += _told(context, state, ReallocationEnded.type, offer=offer.number, why=why)
    claims = (_released(context, state, released),) if released else ()
    return Decision(tuple(events), claims=claims, notices=tuple(notices))


def _report_shortfall(state: Quota, command: ReportShortfall, context: Context) -> Decision | Refusal:
    if command.seats > state.seats:
        return refuse("shortfall_too_large", field="/seats", seats=command.seats, size=state.seats)
    reported = ShortfallReported(
        seats=command.seats, reason=command.reason, details=command.details, by=str(context.actor)
    )
    told = _notice(context.facts.plan.bureau, reported.type, state.line, seats=command.seats, reason=command.reason)
    return Decision((reported,), notices=(told,))


def _override(state: Quota, command: Override, context: Context) -> Decision | Refusal:
    plan = context.facts.plan
    by, change = str(context.actor), command.seats - state.seats
    overridden = QuotaOverridden(
        before=state.seats,
        seats=command.seats,
        by=by,
        role=context.actor.role,
        reason=command.reason,
        document=command.document,
    )
    others: tuple[StreamEvents, ...] = ()
    claims: tuple[decision.ClaimRequest, ...] = (Limit(seat_key(plan.id, state.line), command.seats),)
    starts: tuple[Start, ...] = ()
    if state.level != "city" and change:
        ((parent, (above, version)),) = context.facts.lines.items()
        if above is None:
            return refuse("no_line_above", line=state.line)
        moved = DelegationAdjusted(line=state.line, seats=change, by=by)
        others = (_of(plan, parent, version, moved),)
        claims = (*claims, Count(seat_key(plan.id, parent), change))
        starts = (_filling(plan, parent),)
    told = _notice(state.recipient, overridden.type, state.line, seats=command.seats, reason=command.reason)
    return Decision((overridden,), others=others, claims=claims, notices=(told,), starts=starts)


def _of(plan: Plan, line: str, version: int, event: Event) -> StreamEvents:
    return StreamEvents(plan.id, stream_name("quota", line), version, (event,))


def _released(context: Context, state: Quota, seats: int) -> Count:
    return Count(seat_key(context.facts.plan.id, state.line), -seats)


def _filling(plan: Plan, line: str) -> Start:
    """The other line may have a seat free now: its process offers it to whoever waits first."""
    return Start("quota", quota_number(plan.id, line), plan.id)


def _window(context: Context) -> datetime:
    return context.now + timedelta(hours=context.facts.plan.seat_rules.reallocation_hours)


def _notice(recipient: str, type_: str, line: str, **data: Any) -> Notice:
    return Notice(recipient, type_, {"line": line, **data})


def _offered(context: Context, state: Quota, target: str, offer: int, seats: int, until: datetime) -> Notice:
    number = quota_number(context.facts.plan.id, state.line)
    return _notice(
        _recipient_of(target),
        ReallocationOffered.type,
        state.line,
        quota=number,
        offer=offer,
        seats=seats,
        until=until.isoformat(),
    )


def _told(context: Context, state: Quota, type_: str, **data: Any) -> tuple[Notice, ...]:
    """The line's own recipient and the bureau, once each."""
    recipients = dict.fromkeys((state.recipient, context.facts.plan.bureau))
    return tuple(_notice(each, type_, state.line, **data) for each in recipients)


_DECIDERS: dict[type[Command], Callable[[Quota, Any, Context], Decision | Refusal]] = {
    Delegate: _delegate,
    ReturnSeats: _return_seats,
    OfferSeats: _offer_seats,
    AcceptSeats: _accept_seats,
    DeclineSeats: _decline_seats,
    RecallOffer: _recall_offer,
    ReportShortfall: _report_shortfall,
    Override: _override,
    PassQuotaDeadline: _pass_deadline,
}


def case_of(number: str, state: Quota) -> Case:
    """What the line's workflow shows and waits for. A line without an open offer needs no workflow."""
    deadline = min((offer.until for offer in state.offers), default=None)
    phase = "offering" if state.offers else "issued"
    return Case(
        phase=phase,
        deadline=deadline,
        timer=deadline is not None,
        closed=not state.offers,
        summary=f"{state.line} · {state.seats} seats · {phase}",
        waiting_for="an answer to the offered seats" if state.offers else "",
        attributes={
            "XunjiPhase": phase,
            "XunjiCampaign": number.partition(":")[0],
            "XunjiProject": state.project_type,
            "XunjiCounty": state.recipient,
        },
    )
