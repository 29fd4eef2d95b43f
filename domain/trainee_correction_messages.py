"""The events and commands of a nomination beside its main road: frozen, corrected, kept for the record."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from domain.decision import Command, Event
from domain.fields import Code, Days, Text

Becomes = Literal["in-training", "completed", "not-completed", "excused", "absent"]


class NominationFrozen(Event):
    """A restriction was imposed while the nomination was under way; the county is asked (edge case 36)."""

    type: ClassVar[str] = "nomination.frozen"
    until: date


class NominationResumed(Event):
    """The nomination goes on: the restriction was reversed, or waived for it."""

    type: ClassVar[str] = "nomination.resumed"
    by: str
    waived: bool = False


class OutcomeCorrected(Event):
    """更正: an outcome was wrong and the city corrects it, also after the case was closed. What follows from `becomes`
    is recorded in the same append.
    """

    type: ClassVar[str] = "outcome.corrected"
    was: str
    becomes: str
    by: str
    decided_by: str
    reason: str
    document: str


class CertificateRevoked(Event):
    """撤销证书. It still resolves, as revoked, and its number is never used again (edge cases 52, 54)."""

    type: ClassVar[str] = "certificate.revoked"
    certificate: str
    by: str
    reason: str


class CertificateReissued(Event):
    """换发: a certificate with a corrected name takes the place of an earlier one and keeps its date (51, 55)."""

    type: ClassVar[str] = "certificate.reissued"
    certificate: str
    supersedes: str
    by: str
    reason: str
    document: str


class LateAnswerRecorded(Event):
    """An answer from outside that came when the case had moved on. It is kept and changes nothing (edge case 70)."""

    type: ClassVar[str] = "answer.recorded_late"
    answer: str
    said_on: date
    document: str
    by: str
    phase: str


# -------------------------------------------------------------------------------------------------- commands


class Resume(Command):
    """Let a frozen nomination go on, on the waiver of the restriction named, or because nothing bars any more."""

    name: ClassVar[str] = "resume"
    waiver: str = Field(default="", max_length=80)


class Correct(Command):
    """Correct an outcome, also after closing. Days and hours belong to `completed`, reasons to `not-completed`."""

    name: ClassVar[str] = "correct"
    becomes: Becomes
    decided_by: Code
    reason: Text
    document: Text
    centralised_days: Days | None = None
    online_days: Days = 0
    hours: int | None = Field(default=None, ge=0, le=2_000)
    grade: Literal["excellent", "good", "pass"] = "pass"
    reasons: tuple[Code, ...] = Field(default=(), max_length=20)


class ReissueCertificate(Command):
    """Issue the certificate anew because the name on it was wrong; the date stays."""

    name: ClassVar[str] = "reissue-certificate"
    reason: Code
    document: Text


class RecordLateAnswer(Command):
    """Keep an answer from outside that the case can no longer follow."""

    name: ClassVar[str] = "record-late-answer"
    answer: Code
    said_on: date
    document: Text


EVENTS_BESIDE: tuple[type[Event], ...] = (
    NominationFrozen,
    NominationResumed,
    OutcomeCorrected,
    CertificateRevoked,
    CertificateReissued,
    LateAnswerRecorded,
)
COMMANDS_BESIDE: tuple[type[Command], ...] = (Resume, Correct, ReissueCertificate, RecordLateAnswer)
"""Read and parsed with all other events and commands of a nomination, whose catalogues take them in."""
