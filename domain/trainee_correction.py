"""更正: what the city may take back, how far that goes, and what is only kept for the record.

How deep an undo goes depends on how far the case has come (edge case 72). Before hours are credited it is a void: the
outcome is taken back, and the restriction that it had proposed ends. After, it is a compensating entry in the person's
training days and a revoked certificate; the bulletins that counted the outcome get their next version.
"""

from dataclasses import dataclass, replace

from domain import calendar
from domain.decision import ClaimRequest, Decision, Event, Notice, Refusal, Start, StreamEvents, Take
from domain.numbers import certificate_number
from domain.refusals import refuse
from domain.restriction_relief import ended_by_correction
from domain.trainee_context import Context, Outcome, notice
from domain.trainee_correction_messages import (
    Becomes,
    CertificateReissued,
    CertificateRevoked,
    Correct,
    LateAnswerRecorded,
    OutcomeCorrected,
    RecordLateAnswer,
    ReissueCertificate,
)
from domain.trainee_messages import AbsenceExcused, ExcuseWindowClosed
from domain.trainee_outcome import completion, next_restriction, with_restriction
from domain.trainee_outcome_messages import Complete, TrainingNotCompleted
from domain.trainee_state import Trainee, evolve
from domain.training_days import DaysReversed, entries

_AFTER_COMPLETION: tuple[Becomes, ...] = ("in-training", "completed", "not-completed")
CORRECTIONS: dict[str, tuple[Becomes, ...]] = {
    "absent": ("in-training", "completed", "excused"),
    "excused": ("in-training", "completed", "absent"),
    "dismissed": ("in-training", "completed", "not-completed"),
    "not-completed": ("in-training", "completed"),
    "completed": _AFTER_COMPLETION,
    "following-up": _AFTER_COMPLETION,
    "closed": _AFTER_COMPLETION,
}
"""What an outcome may be corrected to. To `completed` from a completion: other days, hours or grade."""


@dataclass(frozen=True, slots=True)
class _Undone:
    """The part of a correction that takes the former outcome back."""

    events: tuple[Event, ...]
    others: tuple[StreamEvents, ...] = ()
    claims: tuple[ClaimRequest, ...] = ()
    notices: tuple[Notice, ...] = ()
    starts: tuple[Start, ...] = ()


def correct(state: Trainee, command: Correct, context: Context) -> Outcome:
    """Take an outcome back and put another in its place, with who decided, why, and on which document."""
    possible = CORRECTIONS[state.phase]
    if command.becomes not in possible:
        allowed = ", ".join(possible)
        return refuse(
            "correction_impossible", field="/becomes", was=state.phase, becomes=command.becomes, allowed=allowed
        )
    undone = _undone(state, command, context)
    back = state
    for event in undone.events:
        back = evolve(back, event)
    new = _outcome(back, command, context)
    if isinstance(new, Refusal):
        return new
    others = _merged(undone.others, new.others)
    return Decision(
        events=(*undone.events, *new.events),
        others=others,
        claims=(*undone.claims, *new.claims),
        notices=(*undone.notices, *new.notices, *_told(state, context)),
        starts=(*undone.starts, *new.starts),
    )


def _undone(state: Trainee, command: Correct, context: Context) -> _Undone:
    corrected = OutcomeCorrected(
        was=state.phase,
        becomes=command.becomes,
        by=str(context.actor),
        decided_by=command.decided_by,
        reason=command.reason,
        document=command.document,
    )
    if state.certificate:
        revoked = CertificateRevoked(certificate=state.certificate, by=str(context.actor), reason="outcome_corrected")
        return _Undone((revoked, corrected), others=_reversed_days(state, command, context))
    facts = context.facts
    if facts.restriction is None or facts.restriction.closed:
        return _Undone((corrected,))
    parts, claims, notices, starts = ended_by_correction(
        facts.restriction, state.restriction, facts.restriction_version, by=str(context.actor),
        decided_by=command.decided_by, reasons=command.reason, document=command.document, plan=facts.plan,
    )  # fmt: skip
    return _Undone((corrected,), parts, claims, notices, starts)


def _reversed_days(state: Trainee, command: Correct, context: Context) -> tuple[StreamEvents, ...]:
    """The compensating entry. A completion that is older than the ledger of days has none to compensate."""
    credit = state.credit
    if credit is None:
        return ()
    entry = DaysReversed(
        person=state.person,
        cycle=credit.cycle,
        campaign=state.campaign,
        trainee=context.number,
        centralised_days=-credit.centralised_days,
        online_days=-credit.online_days,
        hours=-credit.hours,
        certificate=state.certificate,
        reason=command.reason,
        document=command.document,
    )
    return (entries(state.person, credit.cycle, context.facts.days_version, entry),)


def _outcome(back: Trainee, command: Correct, context: Context) -> Outcome:
    """What the corrected case has instead; nothing when it is in training again."""
    match command.becomes:
        case "completed":
            if command.centralised_days is None or command.hours is None:
                return refuse("completion_incomplete", field="/centralised_days")
            outcome = Complete(
                centralised_days=command.centralised_days,
                online_days=command.online_days,
                hours=command.hours,
                grade=command.grade,
            )
            return completion(back, outcome, context)
        case "not-completed":
            if not command.reasons:
                return refuse("reasons_missing", field="/reasons")
            number = next_restriction(back, context)
            failed = TrainingNotCompleted(by=str(context.actor), reasons=command.reasons, restriction=number)
            return with_restriction(back, failed, "not-completed", context)
        case "absent":
            unexcused = ExcuseWindowClosed(restriction=next_restriction(back, context))
            return with_restriction(replace(back, phase="absent"), unexcused, "absent", context)
        case "excused":
            excused = AbsenceExcused(by=str(context.actor), reason="corrected", document=command.document)
            return Decision((excused,))
        case "in-training":
            return Decision(())


def _merged(undone: tuple[StreamEvents, ...], new: tuple[StreamEvents, ...]) -> tuple[StreamEvents, ...]:
    """Both parts' events for a stream as one write: a stream is written once in an append."""
    merged = {part.stream: part for part in undone}
    for part in new:
        before = merged.get(part.stream)
        if before is None:
            merged[part.stream] = part
        else:
            joined = (*before.events, *part.events)
            merged[part.stream] = StreamEvents(part.book, part.stream, before.expected_version, joined)
    return tuple(merged.values())


def _told(state: Trainee, context: Context) -> tuple[Notice, ...]:
    """Host, county and school acted on the former outcome."""
    whom = dict.fromkeys((state.host, state.county, state.school))
    return tuple(notice(context, each, OutcomeCorrected.type, was=state.phase) for each in whom if each)


def reissue_certificate(state: Trainee, command: ReissueCertificate, context: Context) -> Outcome:
    """A corrected name gets a certificate with a number of its own and the former one's date (edge cases 51, 55)."""
    if not state.certificate:
        return refuse("certificate_missing")
    number = certificate_number(context.number, state.certificates + 1)
    reissued = CertificateReissued(
        certificate=number,
        supersedes=state.certificate,
        by=str(context.actor),
        reason=command.reason,
        document=command.document,
    )
    told = tuple(notice(context, each, reissued.type, certificate=number) for each in (state.school, state.host))
    return Decision((reissued,), claims=(Take(f"certificate:{number}", context.number),), notices=told)


def record_late_answer(state: Trainee, command: RecordLateAnswer, context: Context) -> Outcome:
    """Kept with its day and document, in whatever phase the case is; nothing else changes (edge case 70)."""
    first, today = calendar.local_date(state.submitted_at), calendar.local_date(context.now)
    if not first <= command.said_on <= today:
        return refuse("answer_dated_wrong", field="/said_on", said_on=command.said_on, first=first, today=today)
    recorded = LateAnswerRecorded(
        answer=command.answer,
        said_on=command.said_on,
        document=command.document,
        by=str(context.actor),
        phase=state.phase,
    )
    return Decision((recorded,), notices=(notice(context, state.county, recorded.type, answer=command.answer),))
