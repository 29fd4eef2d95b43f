"""Events and commands of a nomination that are about who stands behind it: the identity, the school."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain.decision import Command, Event

Words = Annotated[str, Field(min_length=1, max_length=2_000)]
Officer = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", min_length=1, max_length=64, examples=["b7"])]
"""The staff number of a named person; never his name."""

Finding = Literal["same-person", "new-name", "other-person"]
"""same-person: the recorded name is right, the given one a mistake. new-name: the same person, whose name has changed.
other-person: the identity number is not his who was nominated."""


class IdentityReviewed(Event):
    """核实身份: a named person decided who is meant, because the number was known under another name (edge case 8)."""

    type: ClassVar[str] = "identity.reviewed"
    by: str
    finding: Finding
    decided_by: str
    reasons: str


class SchoolChanged(Event):
    """The case passes to another school, because schools merge or close (edge case 62). The county stays."""

    type: ClassVar[str] = "trainee.school_changed"
    by: str
    former: str
    school: str
    document: str


class ReviewIdentity(Command):
    """Decide who is meant where an identity number came with another name. Nobody is merged by it."""

    name: ClassVar[str] = "review-identity"
    finding: Finding
    decided_by: Officer
    reasons: Words


class ChangeSchool(Command):
    """Pass the case to another school of the county, by a document."""

    name: ClassVar[str] = "change-school"
    school: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=64)]
    document: Words
