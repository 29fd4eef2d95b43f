"""Which events a run of the demo records: those of a usual year, those of the eventful one besides, and the rest.

`tests/demo` holds every run that it makes against this, `docgen/demo_events.py` writes it down for readers.
"""

from collections.abc import Mapping
from typing import Final

IN_AN_EVENTFUL_YEAR: Final = frozenset(
    {
        "answer.recorded_late",
        "attendance.corrected",
        "attendance.marked",
        "campaign.host_removed",
        "campaign.reopening_closed",
        "campaign.selection_reopened",
        "certificate.reissued",
        "certificate.revoked",
        "class.cancelled",
        "class.capacity_changed",
        "class.change_told",
        "class.duties_recorded",
        "class.merged",
        "class.moved",
        "class.outcomes_escalated",
        "class.outcomes_overdue",
        "class.postponed",
        "class.timetable_set",
        "class.went_online",
        "days.reversed",
        "host.reassigned",
        "impersonation.reported",
        "institution.closed",
        "institution.contact_changed",
        "institution.key_revoked",
        "institution.mailbox_paused",
        "institution.mailbox_resumed",
        "institution.reinstated",
        "institution.suspended",
        "institution.webhook_endpoint_disabled",
        "institution.webhook_secret_rotated",
        "outcome.corrected",
        "person.corrected",
        "person.erased",
        "person.erasure_held",
        "person.transferred",
        "quota.delegated",
        "quota.delegation_adjusted",
        "quota.overridden",
        "quota.reallocation_accepted",
        "quota.reallocation_ended",
        "quota.reallocation_offered",
        "quota.reallocation_passed_on",
        "quota.received",
        "quota.returned",
        "quota.shortfall_reported",
        "quota.taken_back",
        "restriction.reversed",
        "restriction.service_failed",
        "restriction.service_overdue",
        "restriction.waived",
        "seat.offer_accepted",
        "trainee.class_changed",
        "trainee.school_changed",
    }
)
"""What `--scenario eventful-year` records and a usual year does not."""

NOWHERE: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "attendance that a plan asks for": (
        "the notice's plan asks for none, so nobody can fall below it; tests/api/test_attendance.py",
        frozenset({"attendance.cannot_pass"}),
    ),
    "trainees who change between two classes": (
        "a class is only split or cancelled here while it is empty; tests/api/test_class_changes.py",
        frozenset({"class.split", "trainee.place_lost"}),
    ),
    "somebody who comes instead": (
        "a nomination more than the script has; tests/workflows/test_quota.py",
        frozenset({"substitute.named"}),
    ),
    "the turns of a waiting list": (
        "a seat goes to the next whenever one comes free, so who could decline one is not written beforehand; "
        "tests/workflows/test_quota.py",
        frozenset({"seat.offer_declined"}),
    ),
    "a teacher with two nominations or two records": (
        "every teacher here has one number and one case at a time; "
        "tests/api/test_person_records.py, tests/workflows/test_outcomes.py",
        frozenset(
            {
                "identity.reviewed",
                "nomination.frozen",
                "nomination.resumed",
                "person.absorbed",
                "person.joined",
                "restriction.waiver_used",
            }
        ),
    ),
    "notices that are left out or come twice": (
        "the demo proves that each comes exactly once; tests/workflows/test_mailbox_orders.py",
        frozenset({"institution.notice_skipped", "institution.notices_redelivered"}),
    ),
}
"""What no run records: about what it is, and why, with a test that shows it."""


def nowhere() -> frozenset[str]:
    """The events that no run records."""
    return frozenset(type_ for _, types in NOWHERE.values() for type_ in types)
