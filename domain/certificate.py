"""Certificates 结业证书: read from the events of the case that they were issued in.

    issued ─► superseded (a corrected name; the date stays)
       └────► revoked    (the outcome was corrected)

A number is never used again, whatever became of it, and every one that was ever issued still resolves, as what it is
now (edge cases 51 to 55).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from domain.decision import Event
from domain.trainee_correction_messages import (
    CertificateReissued,
    CertificateRevoked,
)
from domain.trainee_messages import TraineeEnrolled
from domain.trainee_outcome_messages import TrainingCompleted

Status = Literal["valid", "superseded", "revoked"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. `dated` is the day of the completion and never changes; `successor` is what took its place."""

    number: str
    status: Status
    dated: date
    starts: date
    ends: date
    centralised_days: int
    online_days: int
    hours: int
    grade: str
    successor: str = ""


def certificates(events: Iterable[tuple[Event, date]]) -> dict[str, Certificate]:
    """Every certificate of a case by its number; `events` are its events with the day on which each was recorded."""
    found: dict[str, Certificate] = {}
    starts = ends = date.min
    for event, day in events:
        match event:
            case TraineeEnrolled():
                starts, ends = event.starts, event.ends
            case TrainingCompleted():
                found[event.certificate] = Certificate(
                    number=event.certificate,
                    status="valid",
                    dated=day,
                    starts=starts,
                    ends=ends,
                    centralised_days=event.centralised_days,
                    online_days=event.online_days,
                    hours=event.hours,
                    grade=event.grade,
                )
            case CertificateReissued():
                former = found[event.supersedes]
                found[event.certificate] = replace(former, number=event.certificate)
                found[event.supersedes] = replace(former, status="superseded", successor=event.certificate)
            case CertificateRevoked():
                found[event.certificate] = replace(found[event.certificate], status="revoked")
    return found
