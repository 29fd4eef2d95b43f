"""The events and commands of one quota line (stream `quota/{line}`, as in `quota/gp1:410181`)."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain.decision import Command, CommandCatalogue, Event, EventCatalogue

MAX_CANDIDATES = 20
QuotaLevel = Literal["city", "county", "school"]
Organisation = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]
Seats = Annotated[int, Field(ge=1, le=100_000)]
Reasons = Annotated[str, Field(min_length=1, max_length=2_000)]
ShortfallReason = Literal["too_few_eligible", "teaching_load", "dates", "epidemic", "other"]
"""符合条件人员不足, 教学任务, 时间冲突, 疫情, 其他."""


# ---------------------------------------------------------------------------------------------------- events


class QuotaIssued(Event):
    """名额: seats of one project type for one recipient. `parent` is the line they come from, empty at the top.

    `kind` keeps 项目县 and 非项目县 apart. The fields after `invented` came later; a line without them is a county's.
    """

    type: ClassVar[str] = "quota.issued"
    line: str
    project_type: str
    recipient: str
    seats: int
    invented: bool
    level: QuotaLevel = "county"
    parent: str = ""
    kind: str = ""
    delegated: int = 0


class QuotaDelegated(Event):
    """下达: seats of this line now belong to a line below it."""

    type: ClassVar[str] = "quota.delegated"
    to: str
    seats: int
    by: str


class QuotaReceived(Event):
    """Seats came to this line from another one."""

    type: ClassVar[str] = "quota.received"
    from_line: str
    seats: int
    by: str
    why: Literal["delegation", "reallocation", "override"]


class QuotaReturned(Event):
    """交回: the recipient gave seats back to the line above."""

    type: ClassVar[str] = "quota.returned"
    to: str
    seats: int
    by: str
    reason: str


class QuotaTakenBack(Event):
    """Seats that this line had delegated are its own again."""

    type: ClassVar[str] = "quota.taken_back"
    from_line: str
    seats: int
    by: str


class ReallocationOffered(Event):
    """调剂: seats left over are offered to others, one after the other; they are held until somebody takes them."""

    type: ClassVar[str] = "quota.reallocation_offered"
    offer: int
    seats: int
    candidates: tuple[str, ...]
    until: datetime
    by: str
    reason: str


class ReallocationPassedOn(Event):
    """The candidate did not want the seats, or did not answer in time; the next one is asked."""

    type: ClassVar[str] = "quota.reallocation_passed_on"
    offer: int
    why: Literal["declined", "lapsed"]
    until: datetime


class ReallocationAccepted(Event):
    """The candidate took the seats: they left this line for good."""

    type: ClassVar[str] = "quota.reallocation_accepted"
    offer: int
    to: str
    by: str


class ReallocationEnded(Event):
    """Nobody wanted the seats, or they were recalled: they are free on this line again."""

    type: ClassVar[str] = "quota.reallocation_ended"
    offer: int
    why: Literal["declined", "lapsed", "recalled"]


class ShortfallReported(Event):
    """The recipient can't fill so many seats and says why, instead of pushing ineligible names (edge case 6)."""

    type: ClassVar[str] = "quota.shortfall_reported"
    seats: int
    reason: str
    details: str
    by: str


class QuotaOverridden(Event):
    """The bureau set the line's seats itself: who, in which role, why, and on which document (edge case 3)."""

    type: ClassVar[str] = "quota.overridden"
    before: int
    seats: int
    by: str
    role: str
    reason: str
    document: str


class DelegationAdjusted(Event):
    """An override of a line below has moved so many seats of this one; negative ones came back."""

    type: ClassVar[str] = "quota.delegation_adjusted"
    line: str
    seats: int
    by: str


QUOTA_EVENTS = EventCatalogue(
    QuotaIssued,
    QuotaDelegated,
    QuotaReceived,
    QuotaReturned,
    QuotaTakenBack,
    ReallocationOffered,
    ReallocationPassedOn,
    ReallocationAccepted,
    ReallocationEnded,
    ShortfallReported,
    QuotaOverridden,
    DelegationAdjusted,
)


# -------------------------------------------------------------------------------------------------- commands


class Delegate(Command):
    """Hand seats down to an organisation below: the bureau to a recipient, a county to one of its schools."""

    name: ClassVar[str] = "delegate"
    to: Organisation
    seats: Seats


class ReturnSeats(Command):
    """Give seats back to the line they came from."""

    name: ClassVar[str] = "return-seats"
    seats: Seats
    reason: Reasons


class OfferSeats(Command):
    """Offer seats left over to other recipients, in this order, each with a window."""

    name: ClassVar[str] = "offer-seats"
    seats: Seats
    candidates: tuple[Organisation, ...] = Field(min_length=1, max_length=MAX_CANDIDATES)
    reason: Reasons


class AcceptSeats(Command):
    """Take the seats that are offered to you."""

    name: ClassVar[str] = "accept-seats"
    offer: int = Field(ge=1, le=10_000)


class DeclineSeats(Command):
    """Leave the seats that are offered to you to the next."""

    name: ClassVar[str] = "decline-seats"
    offer: int = Field(ge=1, le=10_000)


class RecallOffer(Command):
    """Take an open offer back; the seats are free on their line again."""

    name: ClassVar[str] = "recall-offer"
    offer: int = Field(ge=1, le=10_000)


class ReportShortfall(Command):
    """Say that so many seats can't be filled, and why."""

    name: ClassVar[str] = "report-shortfall"
    seats: Seats
    reason: ShortfallReason
    details: Reasons


class Override(Command):
    """Set a line's seats against the plan, with a reason and a document."""

    name: ClassVar[str] = "override"
    seats: int = Field(ge=0, le=100_000)
    reason: Reasons
    document: Reasons


class PassQuotaDeadline(Command):
    """A window of an offer has ended."""

    name: ClassVar[str] = "pass-deadline"


COMMANDS = CommandCatalogue(
    Delegate,
    ReturnSeats,
    OfferSeats,
    AcceptSeats,
    DeclineSeats,
    RecallOffer,
    ReportShortfall,
    Override,
    PassQuotaDeadline,
)
