"""Numbers, streams and books: each name is built by one function that stands beside its inverse.

Numbers can be said on the telephone (`zz22-410181-00123`) and hold nothing personal.
"""

from datetime import date
from uuid import UUID

PEOPLE = "people"
RESTRICTIONS = "restrictions"
INSTITUTIONS = "institutions"

KINDS_OF_EACH_BOOK = ("quota",)
"""Kinds of streams whose names say nothing of their campaign: each campaign's book has its own of the same names."""


def trainee_number(prefix: str, county: str, counter: int) -> str:
    """`zz22`, `410181`, 123 → `zz22-410181-00123`."""
    return f"{prefix}-{county}-{counter:05d}"


def class_number(prefix: str, host: str, counter: int) -> str:
    """`zz22`, `h012`, 1 → `zz22-c-h012-01`."""
    return f"{prefix}-c-{host}-{counter:02d}"


def restriction_number(trainee: str, counter: int = 1) -> str:
    """The n-th restriction that a trainee's case proposes: `zz22-410181-00123-r1`."""
    return f"{trainee}-r{counter}"


def certificate_number(trainee: str, counter: int) -> str:
    """The n-th certificate of a trainee's case: `zz22-410181-00123-c1`. None is ever used again (edge case 54)."""
    return f"{trainee}-c{counter}"


def trainee_of_certificate(certificate: str) -> str:
    """The case that a certificate belongs to. Raises ValueError when it is no certificate's number."""
    trainee, separator, counter = certificate.rpartition("-c")
    if not trainee or not separator or not counter.isdecimal():
        raise ValueError(f"not the number of a certificate: {certificate!r}")
    return trainee


def days_number(person: UUID, cycle: str) -> str:
    """A person's training days in a cycle, the number of the stream `training-days/{number}`."""
    return f"{person}:{cycle}"


def parse_days_number(number: str) -> tuple[UUID, str]:
    """The inverse of `days_number`. Raises ValueError."""
    person, _, cycle = number.partition(":")
    return UUID(person), cycle


def earlier_restriction_number(counter: int) -> str:
    """A restriction imposed before xunji and recorded from its document: `prior-00001`."""
    return f"prior-{counter:05d}"


def attendance_number(training_class: str, day: date) -> str:
    """The attendance of one day of a class: `zz22-c-h001-01/2022-10-10`."""
    return f"{training_class}/{day.isoformat()}"


def parse_attendance_number(number: str) -> tuple[str, date]:
    """The inverse of `attendance_number`. Raises ValueError."""
    training_class, _, day = number.rpartition("/")
    if not training_class:
        raise ValueError(f"not the number of a day of attendance: {number!r}")
    return training_class, date.fromisoformat(day)


def number_prefix(number: str) -> str:
    """The plan's prefix in a trainee's or class's number: `zz22`."""
    return number.split("-", 1)[0]


def stream_name(kind: str, number: str) -> str:
    """`trainee`, `zz22-410181-00123` → `trainee/zz22-410181-00123`. It is the workflow's id as well."""
    return f"{kind}/{number}"


def parse_stream_name(stream: str) -> tuple[str, str]:
    """The inverse of `stream_name`. Raises ValueError when `stream` has no kind."""
    kind, separator, number = stream.partition("/")
    if not separator or not kind or not number:
        raise ValueError(f"not the name of a stream: {stream!r}")
    return kind, number


def book_of(kind: str, campaign: str) -> str:
    """The ledger book of a kind of stream; trainees, classes, quotas and campaigns live in the campaign's."""
    return {
        "restriction": RESTRICTIONS,
        "person": PEOPLE,
        "training-days": PEOPLE,
        "institution": INSTITUTIONS,
    }.get(kind, campaign)


def quota_line(project_type: str, recipient: str) -> str:
    """`gp1`, `410181` → `gp1:410181`."""
    return f"{project_type}:{recipient}"


def quota_number(campaign: str, line: str) -> str:
    """`2022-zhengzhou`, `gp1:410181` → `2022-zhengzhou:gp1:410181`: a line among all campaigns, for its workflow."""
    return f"{campaign}:{line}"


def parse_quota_number(number: str) -> tuple[str, str]:
    """The inverse of `quota_number`. Raises ValueError when `number` names no campaign and line."""
    campaign, separator, line = number.partition(":")
    if not separator or not campaign or ":" not in line:
        raise ValueError(f"not the number of a quota line: {number!r}")
    return campaign, line


def process_stream(kind: str, number: str) -> str:
    """The stream of a process by its number: its own name, but a quota line's lies in its campaign's book already."""
    return stream_name(kind, parse_quota_number(number)[1] if kind == "quota" else number)


def seat_key(campaign: str, line: str) -> str:
    """The claim key under which the seats of a quota line are counted."""
    return f"seat:{campaign}:{line}"


def class_seat_key(number: str) -> str:
    """The claim key under which the places of a class are counted."""
    return f"class-seat:{number}"


def active_key(person: UUID, campaign: str, project_type: str) -> str:
    """The claim key that keeps one person from two live nominations for one project type."""
    return f"active:{person}:{campaign}:{project_type}"


def restriction_key(person: UUID) -> str:
    """The claim key on which a person's restricted days are blocked."""
    return f"restriction:{person}"


def suspension_key(host: str) -> str:
    """The claim key on which the days are blocked on which a suspended host plans no class."""
    return f"suspension:{host}"
