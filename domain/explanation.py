"""Why a nomination stands: which rule version, on which facts, each rule's verdict, and who decided since (68)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from domain.decision import Message
from domain.eligibility import Candidate, Verdict, judge
from domain.plan import Plan
from domain.priority import Standing, standings
from domain.trainee_messages import (
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
    NominationWithdrawn,
    TraineeNominated,
)
from domain.trainee_review_messages import IdentityReviewed

DECISIONS = frozenset(
    each.type
    for each in (
        NominationApproved,
        NominationReturned,
        NominationResubmitted,
        NominationRejected,
        NominationWithdrawn,
        IdentityReviewed,
    )
)
SHOWN = ("level", "by", "host", "reason", "reasons", "finding", "decided_by")


class Step(Message):
    """A later decision on the nomination: what, when, and who by which reasons."""

    type: str
    at: datetime
    data: dict[str, Any]


class Explanation(Message):
    """The whole account. `facts_kept` is false for nominations from before facts were kept: rules that need them
    then have no verdict. `sequences` says how far each book had been read."""

    number: str
    rule_version: str
    submitted_at: datetime
    facts_kept: bool
    sequences: dict[str, int]
    verdicts: tuple[Verdict, ...]
    priority: tuple[Standing, ...]
    decisions: tuple[Step, ...]


def explain(
    number: str, nominated: TraineeNominated, plan: Plan, later: Iterable[tuple[str, datetime, Mapping[str, Any]]]
) -> Explanation:
    """Judge the recorded nomination again by the recorded rules and facts. `plan` is that of its rule version."""
    grounds = nominated.grounds
    history = grounds.history if grounds is not None else None
    return Explanation(
        number=number,
        rule_version=plan.sha256(),
        submitted_at=nominated.submitted_at,
        facts_kept=history is not None,
        sequences=history.sequences if history is not None else {},
        verdicts=judge(Candidate(plan, nominated, nominated.submitted_at, history)),
        priority=standings(plan, grounds.priority if grounds is not None else ()),
        decisions=tuple(
            Step(type=type_, at=at, data={name: data[name] for name in SHOWN if data.get(name)})
            for type_, at, data in later
            if type_ in DECISIONS
        ),
    )
