"""A nomination that rests on a waiver 豁免, and one that a restriction has frozen on its way (edge cases 36, 37).

The waiver's use is recorded in the restriction's stream in the same append, at the version that was read: two
nominations cannot both rest on it.
"""

from dataclasses import replace
from uuid import UUID

from domain import calendar
from domain.decision import Clear, Decision, Refusal, Start, StreamEvents
from domain.numbers import RESTRICTIONS, restriction_key, stream_name
from domain.refusals import refuse
from domain.restriction_messages import WaiverUsed
from domain.restriction_state import Waiver
from domain.trainee_context import Context, Outcome, notice, refilled
from domain.trainee_correction_messages import NominationResumed, Resume
from domain.trainee_messages import Nominate, TraineeNominated
from domain.trainee_state import Trainee


def nominated_on(outcome: Outcome, command: Nominate, context: Context) -> Outcome:
    """The nomination as it stands without a waiver, or resting on the one that it cites."""
    if not command.waiver or isinstance(outcome, Refusal):
        return outcome
    campaign = context.facts.plan.id
    used = _used(command.waiver, campaign, command.project_type, command.person.id, context)
    if isinstance(used, Refusal):
        return used
    assert context.facts.restriction is not None, "an unknown restriction has no waiver"
    events = tuple(
        event.model_copy(update={"waiver": command.waiver}) if isinstance(event, TraineeNominated) else event
        for event in outcome.events
    )
    # The waiver stands for the claim: its own restriction would refuse the day.
    key = restriction_key(context.facts.restriction.person)
    claims = tuple(claim for claim in outcome.claims if not (isinstance(claim, Clear) and claim.key == key))
    part, start = used
    others, starts = (*outcome.others, part), (*outcome.starts, start)
    return replace(outcome, events=events, others=others, claims=claims, starts=starts)


def resume(state: Trainee, command: Resume, context: Context) -> Outcome:
    """A frozen nomination goes on, resting on the waiver that it cites, or because no restriction is left.

    The latter is for a restriction that a correction has ended: a reversal thaws by itself.
    """
    if state.frozen_until is None:
        return refuse("not_frozen")
    if not command.waiver:
        until = context.facts.barred_otherwise
        if until is not None and until > calendar.local_date(context.now):
            return refuse("restricted_until", until=until)
        free = NominationResumed(by=str(context.actor))
        return Decision((free,), notices=(notice(context, state.county, free.type),), starts=_line(state, context))
    used = _used(command.waiver, state.campaign, state.project_type, state.person, context)
    if isinstance(used, Refusal):
        return used
    part, start = used
    resumed = NominationResumed(by=str(context.actor), waived=True)
    told = (notice(context, state.county, resumed.type),)
    return Decision((resumed,), others=(part,), notices=told, starts=(start, *_line(state, context)))


def _line(state: Trainee, context: Context) -> tuple[Start, ...]:
    """Who waits for a seat is passed over while he is frozen; now the line looks again."""
    return refilled(state, context, always=True) if state.phase == "waitlisted" else ()


def _used(
    number: str, campaign: str, project_type: str, person: UUID, context: Context
) -> tuple[StreamEvents, Start] | Refusal:
    """The waiver's use as a write to its restriction's stream, or why it cannot be used.

    The restriction may stand under another of the teacher's records, from before they were joined (edge case 74).
    """
    facts = context.facts
    restriction = facts.restriction
    if restriction is None or restriction.person not in (person, *facts.records) or restriction.phase != "imposed":
        return refuse("waiver_unknown", field="/waiver", restriction=number)
    ours = [each for each in restriction.waivers if (each.campaign, each.project_type) == (campaign, project_type)]
    if not ours:
        return refuse("waiver_unknown", field="/waiver", restriction=number)
    if Waiver(campaign, project_type) not in ours:
        return refuse("waiver_used", field="/waiver", restriction=number)
    if facts.barred_otherwise is not None and facts.barred_otherwise > calendar.local_date(context.now):
        return refuse("restricted_until", until=facts.barred_otherwise)
    event = WaiverUsed(campaign=campaign, project_type=project_type, trainee=context.number)
    part = StreamEvents(RESTRICTIONS, stream_name("restriction", number), facts.restriction_version, (event,))
    return part, Start("restriction", number, restriction.campaign, wake=True)
