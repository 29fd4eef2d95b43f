"""Every line of the lifecycle's tables has its given/when/then: a test whose `then` names what the line leads to."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from domain.event_catalogues import EVENT_CATALOGUES

HERE: Final = Path(__file__).parent
TRAINEE: Final[Mapping[str, tuple[str, ...]]] = {
    "nominated": ("TraineeNominated",),
    "approved by county and city": ("NominationApproved",),
    "returned and resubmitted": ("NominationReturned", "NominationResubmitted"),
    "rejected": ("NominationRejected",),
    "waitlisted, offered": (
        "TraineeWaitlisted",
        "SeatOffered",
        "SeatOfferAccepted",
        "SeatOfferLapsed",
        "SeatOfferDeclined",
    ),
    "withdrawn": ("NominationWithdrawn",),
    "enrolled, class changed": ("TraineeEnrolled", "ClassChanged", "PlaceLost"),
    "confirmed or declined": ("AttendanceConfirmed", "AttendanceDeclined"),
    "registered": ("TraineeRegistered",),
    "leave": ("LeaveRequested", "LeaveGranted", "LeaveRefused"),
    "no-show": ("NoShowRecorded", "ExcuseWindowClosed"),
    "excused": ("AbsenceExcused",),
    "dismissed": ("TraineeDismissed",),
    "completed": ("TrainingCompleted",),
    "not completed": ("TrainingNotCompleted",),
    "followed up": (
        "FollowUpAssigned",
        "FollowUpSubmitted",
        "FollowUpReviewed",
        "FollowUpOverdue",
        "FollowUpLapsed",
    ),
    "substituted": ("SubstituteNamed",),
    "outcome corrected": ("OutcomeCorrected", "CertificateRevoked", "CertificateReissued"),
    "who is meant, whose school": ("IdentityReviewed", "SchoolChanged"),
    "somebody else turned up": ("ImpersonationReported",),
    "host removed": ("HostReassigned",),
    "resumed": ("NominationResumed",),
    "late answer": ("LateAnswerRecorded",),
}
RESTRICTION: Final[Mapping[str, tuple[str, ...]]] = {
    "served, or service failed": ("RestrictionServed", "ServiceOverdue", "ServiceFailed"),
    "objected": ("ObjectionFiled", "ObjectionWindowClosed"),
    "imposed or dropped": ("RestrictionImposed", "RestrictionDropped"),
    "waived, reversed, expired": ("RestrictionWaived", "RestrictionReversed", "RestrictionExpired"),
    "recorded from before": ("EarlierRestrictionRecorded",),
}
CLASS: Final[Mapping[str, tuple[str, ...]]] = {
    "planned and announced": ("ClassPlanned", "ClassAnnounced", "ClassReminderSent"),
    "registration, list": ("RegistrationOpened", "CheckInConfirmed", "AbsencesRecorded"),
    "closed and reported": ("ClassClosed", "OutcomesOverdue", "OutcomesEscalated", "ClassReported"),
    "changed": (
        "ClassPostponed",
        "ClassMoved",
        "ClassWentOnline",
        "ClassMerged",
        "ClassSplit",
        "ClassCancelled",
        "ChangeTold",
        "CapacityChanged",
    ),
    "papers": ("TimetableSet", "DutiesRecorded"),
}
QUOTA: Final[Mapping[str, tuple[str, ...]]] = {
    "delegated and returned": ("QuotaDelegated", "QuotaReturned"),
    "reallocated": (
        "ReallocationOffered",
        "ReallocationPassedOn",
        "ReallocationAccepted",
        "ReallocationEnded",
    ),
    "shortfall, override": ("ShortfallReported", "QuotaOverridden"),
}
CAMPAIGN: Final[Mapping[str, tuple[str, ...]]] = {
    "opened": ("CampaignOpened",),
    "cut-offs with reminders": ("SelectionReminderSent", "SelectionClosed", "SelectionSettled"),
    "reopened, host removed": ("SelectionReopened", "ReopeningClosed", "HostRemoved", "OffersEnded", "Settled"),
    "closed with bulletins": ("SoftEndPassed", "BulletinIssued", "CampaignClosed"),
}
TABLES: Final = {
    "trainee": TRAINEE,
    "restriction": RESTRICTION,
    "class": CLASS,
    "quota": QUOTA,
    "campaign": CAMPAIGN,
}
BY_ANOTHER_PROCESS: Final = {
    "trainee": {"NominationFrozen"},
    "restriction": {"RestrictionProposed", "WaiverUsed"},
    "class": set[str](),
    "quota": {"QuotaIssued", "QuotaReceived", "QuotaTakenBack", "DelegationAdjusted"},
    "campaign": set[str](),
}
"""Written in the append of another process's event; that process's tests look at them."""


@cache
def events_told() -> frozenset[str]:
    """The events that some test's `then` names."""
    return frozenset(event for _, event in thens())


def thens() -> Iterator[tuple[str, str]]:
    """Test and event wherever a domain's test says what followed: `….then(Event)` and the words that stand for it."""
    for path in sorted(HERE.glob("test_*.py")):
        for test in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
                for node in ast.walk(test):
                    for event in _followed(node):
                        yield f"{path.name}::{test.name}", event


def _followed(node: ast.AST) -> Iterator[str]:
    """`.then(X)`, `after(given, command, X)`, `isinstance(each, X)` and `X(…) in decision.events`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="then")) | ast.Call(func=ast.Name(id="after")):
            yield from map(_name, node.args)
        case ast.Call(func=ast.Name(id="isinstance")):
            yield _name(node.args[1])
        case ast.Compare(left=ast.Call(func=ast.Name(id=name)), ops=[ast.In()]):
            yield name


def _name(argument: ast.expr) -> str:
    value = argument.value if isinstance(argument, ast.Starred) else argument
    return value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in TABLES.items() for line in lines])
def test_every_line_of_the_table_has_a_test_of_what_follows(kind: str, line: str) -> None:
    assert set(TABLES[kind][line]) <= events_told()


@pytest.mark.parametrize("kind", TABLES)
def test_the_lines_hold_every_event_of_the_process(kind: str) -> None:
    lines = {event for events in TABLES[kind].values() for event in events}
    events = {each.__name__ for each in EVENT_CATALOGUES[kind].classes()}
    assert lines | BY_ANOTHER_PROCESS[kind] == events
