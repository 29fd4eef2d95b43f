"""Who stands behind a nomination: a name that does not fit its identity number, a school that closes."""

from domain.decision import Decision, StreamEvents
from domain.numbers import PEOPLE, stream_name
from domain.person import PersonCorrected
from domain.refusals import refuse
from domain.trainee_context import Context, Outcome, freed, notice, refilled
from domain.trainee_messages import NominationRejected
from domain.trainee_review_messages import ChangeSchool, IdentityReviewed, ReviewIdentity, SchoolChanged
from domain.trainee_state import Trainee

IDENTITY_MISTAKEN = "identity_mistaken"


def review_identity(state: Trainee, command: ReviewIdentity, context: Context) -> Outcome:
    """Decide who is meant (edge case 8). A new name becomes the person's; a mistaken number ends the nomination."""
    if state.identity_review != "open":
        return refuse("no_identity_review")
    by = str(context.actor)
    reviewed = IdentityReviewed(by=by, finding=command.finding, decided_by=command.decided_by, reasons=command.reasons)
    told = notice(context, state.school, reviewed.type, finding=command.finding)
    if command.finding == "other-person":
        rejected = NominationRejected(by=by, reasons=(IDENTITY_MISTAKEN,), seat_freed=state.seat_held)
        claims, starts = freed(state, context), refilled(state, context)
        return Decision((reviewed, rejected), claims=claims, notices=(told,), starts=starts)
    others: tuple[StreamEvents, ...] = ()
    if command.finding == "new-name" and context.facts.given:
        corrected = PersonCorrected(
            by=by,
            decided_by=command.decided_by,
            fields=("name",),
            document=context.number,
            sealed=context.facts.given,
        )
        stream = stream_name("person", str(state.person))
        others = (StreamEvents(PEOPLE, stream, context.facts.person_version, (corrected,)),)
    return Decision((reviewed,), others, notices=(told,))


def change_school(state: Trainee, command: ChangeSchool, context: Context) -> Outcome:
    """Pass an open case to another school of the same county (edge case 62)."""
    if command.school == state.school:
        return refuse("same_school", field="/school", school=command.school)
    if not command.school.startswith(f"{state.county}-s") and command.school != state.county:
        return refuse("school_elsewhere", field="/school", school=command.school, county=state.county)
    changed = SchoolChanged(
        by=str(context.actor), former=state.school, school=command.school, document=command.document
    )
    told = tuple(notice(context, each, changed.type, school=command.school) for each in (state.school, command.school))
    return Decision((changed,), notices=told)
