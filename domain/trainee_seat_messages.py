"""The events and commands of a nomination that waits for a seat, hands it on, or is not who turned up."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from domain.decision import Command, Event, Message

Words = Annotated[str, Field(min_length=1, max_length=2_000)]
Coded = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]


# ---------------------------------------------------------------------------------------------------- events


class TraineeWaitlisted(Event):
    """候补: fit, but no seat is left. `until` is the last useful day. `rank` stands before the place in the plan's
    declared order that the nomination keeps; it is 0 where there is one, and by the plan's preferences where not.
    """

    type: ClassVar[str] = "trainee.waitlisted"
    by: str
    rank: int
    until: datetime


class SeatOffered(Event):
    """A seat became free and is held for this nomination until `until`; it is offered once and never again."""

    type: ClassVar[str] = "seat.offered"
    until: datetime


class SeatOfferAccepted(Event):
    """The offered seat was taken; the city approves next, by `deadline`."""

    type: ClassVar[str] = "seat.offer_accepted"
    by: str
    deadline: datetime


class SeatOfferDeclined(Event):
    """The offered seat was not wanted: the nomination ends, the seat goes to the next."""

    type: ClassVar[str] = "seat.offer_declined"
    by: str


class SeatOfferLapsed(Event):
    """Nobody answered in time: the nomination ends, the seat goes to the next."""

    type: ClassVar[str] = "seat.offer_lapsed"


class SubstituteNamed(Event):
    """替换: another teacher takes this one's seat; `substitute` is the number of his nomination."""

    type: ClassVar[str] = "substitute.named"
    by: str
    substitute: str
    reason: str


class ImpersonationReported(Event):
    """顶替: somebody else turned up as this trainee. Neither of the two is present (edge case 19)."""

    type: ClassVar[str] = "impersonation.reported"
    by: str
    evidence: str


class HostReassigned(Event):
    """The host was removed from the campaign; another one takes its trainees (edge case 4)."""

    type: ClassVar[str] = "host.reassigned"
    before: str
    host: str


EVENT_CLASSES: tuple[type[Event], ...] = (
    TraineeWaitlisted,
    SeatOffered,
    SeatOfferAccepted,
    SeatOfferDeclined,
    SeatOfferLapsed,
    SubstituteNamed,
    ImpersonationReported,
    HostReassigned,
)


# -------------------------------------------------------------------------------------------------- commands


class Waitlist(Command):
    """Put a fit nomination on the waiting list, because no seat is left."""

    name: ClassVar[str] = "waitlist"


class OfferSeat(Command):
    """Offer a free seat to the nomination that waits first; the quota line's process sends it."""

    name: ClassVar[str] = "offer-seat"


class AcceptSeat(Command):
    """Take the seat that is offered."""

    name: ClassVar[str] = "accept-seat"


class DeclineSeat(Command):
    """Leave the offered seat to the next."""

    name: ClassVar[str] = "decline-seat"


class SubstitutePerson(Message):
    """The substitute as the ledger knows him: a random id and personal fields sealed under his own key."""

    id: UUID
    sealed: str = Field(max_length=8_192)


class Substitute(Command):
    """Name another teacher of the same recipient for this trainee's seat; `number` is the new nomination's.

    `name_differs`: his number is known under another name (edge case 8).
    """

    name: ClassVar[str] = "substitute"
    number: str = Field(min_length=1, max_length=80)
    reason: Literal["ill", "maternity", "retired", "deceased", "transferred", "work", "family"]
    school: Coded
    person: SubstitutePerson
    stage: Coded
    subject: Coded
    position: Coded = "teacher"
    rural: bool = False
    years_of_service: int = Field(default=0, ge=0, le=60)
    name_differs: bool = False


class ReportImpersonation(Command):
    """Report that somebody else turned up as this trainee."""

    name: ClassVar[str] = "report-impersonation"
    evidence: Words


class ReassignHost(Command):
    """The campaign has removed the host; the one named in its place takes over."""

    name: ClassVar[str] = "reassign-host"


COMMAND_CLASSES: tuple[type[Command], ...] = (
    Waitlist,
    OfferSeat,
    AcceptSeat,
    DeclineSeat,
    Substitute,
    ReportImpersonation,
    ReassignHost,
)
