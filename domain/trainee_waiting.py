"""Waiting for a seat: one freed seat, one offer, in order, never revived, none after the last useful day.

nominated ─► waitlisted ─► offered ─► county-approved
                 │             ├─► withdrawn (declined)
                 └─► rejected ◄┴── (nobody answered, or the last useful day has passed)

An open offer holds its seat by the same claim as an approval does, so there is never more than one offer per seat
(edge case 7). Who declines or does not answer leaves the list: the seat goes on, and no offer comes twice.
"""

from datetime import timedelta

from domain.decision import Count, Decision
from domain.refusals import in_words, refuse
from domain.seat_rules import offers_end, waiting_rank
from domain.trainee_context import Context, Outcome, freed, in_time_until, notice, refilled, seat_of
from domain.trainee_messages import NominationRejected, NominationWithdrawn, PassDeadline
from domain.trainee_seat_messages import (
    AcceptSeat,
    DeclineSeat,
    OfferSeat,
    SeatOfferAccepted,
    SeatOfferDeclined,
    SeatOffered,
    SeatOfferLapsed,
    TraineeWaitlisted,
    Waitlist,
)
from domain.trainee_state import Trainee


def waitlist(state: Trainee, command: Waitlist, context: Context) -> Outcome:
    plan = context.facts.plan
    if state.returned:
        return refuse("awaiting_resubmission")
    if state.seat_held:
        # A substitute has taken over a seat; a second one would be counted for him, and never come back.
        return refuse("seat_held_already")
    deadline = in_time_until(state, context, "county")
    if context.now >= deadline:
        return refuse("deadline_passed", deadline=in_words(deadline))
    until = offers_end(plan, state.project_type)
    if context.now >= until:
        return refuse("offers_ended", until=in_words(until))
    # Where the nomination keeps its place in the plan's declared order, that decides, and nothing stands before it.
    rank = 0 if state.priority else waiting_rank(plan, rural=state.rural, county=state.county)
    waiting = TraineeWaitlisted(by=str(context.actor), rank=rank, until=until)
    told = notice(context, state.school, waiting.type, project_type=state.project_type)
    # Should a seat have become free meanwhile, the line's process finds it and offers it at once.
    return Decision((waiting,), notices=(told,), starts=refilled(state, context, always=True))


def offer_seat(state: Trainee, command: OfferSeat, context: Context) -> Outcome:
    end = offers_end(context.facts.plan, state.project_type)
    if context.now >= end:
        return refuse("offers_ended", until=in_words(end))
    until = min(context.now + timedelta(hours=context.facts.plan.seat_rules.seat_offer_hours), end)
    offered = SeatOffered(until=until)
    told = tuple(
        notice(context, each, offered.type, project_type=state.project_type, until=until.isoformat())
        for each in dict.fromkeys((state.school, state.county))
    )
    return Decision((offered,), claims=(Count(seat_of(state), +1),), notices=told)


def accept_seat(state: Trainee, command: AcceptSeat, context: Context) -> Outcome:
    if state.deadline is None or context.now >= state.deadline:
        return refuse("seat_offer_ended", until=in_words(state.deadline) if state.deadline else "—")
    end = offers_end(context.facts.plan, state.project_type)
    return Decision((SeatOfferAccepted(by=str(context.actor), deadline=end),))


def decline_seat(state: Trainee, command: DeclineSeat, context: Context) -> Outcome:
    by = str(context.actor)
    withdrawn = NominationWithdrawn(by=by, reason="seat_declined", seat_freed=True, place_freed=False)
    return Decision(
        (SeatOfferDeclined(by=by), withdrawn), claims=freed(state, context), starts=refilled(state, context)
    )


def pass_deadline(state: Trainee, command: PassDeadline, context: Context) -> Outcome:
    """The offer's window has ended, or the date by which a late nomination had to be approved."""
    if state.deadline is None or not state.timer:
        return refuse("not_allowed_in_phase", phase=state.phase, command=command.name, allowed="—")
    if context.now < state.deadline:
        return refuse("too_early", command=command.name, earliest=in_words(state.deadline))
    lapsed = state.phase == "offered"
    why = "offer_lapsed" if lapsed else "deadline_passed"
    rejected = NominationRejected(by=str(context.actor), reasons=(why,), seat_freed=state.seat_held)
    events = (SeatOfferLapsed(), rejected) if lapsed else (rejected,)
    told = (notice(context, state.school, events[0].type, reasons=[why]),)
    return Decision(events, (), freed(state, context), told, refilled(state, context))
