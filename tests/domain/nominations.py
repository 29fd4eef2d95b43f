"""Who has a part in a nomination, one example of every command, and a history that leads to every phase."""

from dataclasses import replace
from typing import Any

from docgen.lifecycles import plan, trainee_situations
from docgen.lifecycles.plan import CAMPAIGN, NUMBER
from docgen.lifecycles.trainee import EXAMPLES as EVERY_EXAMPLE
from docgen.lifecycles.trainee import TRAINEE
from domain import trainee
from domain.decision import SYSTEM, Actor, Block, Command, Decision, Event
from domain.numbers import seat_key
from domain.restriction_messages import RestrictionProposed
from domain.trainee_context import Facts
from domain.trainee_messages import Nominate
from domain.trainee_seat_messages import Substitute
from domain.trainee_state import fold
from domain.training_class import TrainingClass
from tests.specification import Specification, specification, the_plan

SCHOOL, COUNTY, BUREAU, HOST = (plan.ACTORS[role] for role in ("school", "county", "bureau", "host"))
OTHER_COUNTY = Actor(organisation="410182", role="county")
OTHER_HOST = Actor(organisation="h002", role="host")
ACTORS = (SCHOOL, COUNTY, BUREAU, HOST, OTHER_COUNTY, OTHER_HOST, SYSTEM)
SEAT = seat_key(CAMPAIGN, "gp5:410181")

(NOMINATION,) = (each for each in EVERY_EXAMPLE if isinstance(each, Nominate))
(SUBSTITUTE,) = (each for each in EVERY_EXAMPLE if isinstance(each, Substitute))
EXAMPLES: dict[str, Command] = {each.name: each for each in reversed(EVERY_EXAMPLE)}
"""The first example of each command."""

HISTORIES: dict[str, tuple[Event, ...]] = {
    TRAINEE.phase_in(each): each.events for each in TRAINEE.situations if each.events and each.label is None
}
"""How a nomination usually comes into each phase."""


def nomination() -> Specification:
    return specification(trainee, NUMBER, fold)


def facts(person_version: int = 1, training_class: TrainingClass | None = None) -> Facts:
    return Facts(the_plan(), person_version, training_class)


def a_class(**changes: Any) -> TrainingClass:
    """The class that the trainee is in, with whatever differs."""
    return replace(trainee_situations.a_class(), **changes)


def assert_restriction_proposed(decision: Decision, ground: str) -> None:
    (part,) = decision.others
    assert (part.book, part.stream, part.expected_version) == ("restrictions", f"restriction/{NUMBER}-r1", 0)
    (proposed,) = part.events
    assert isinstance(proposed, RestrictionProposed) and proposed.ground == ground
    assert [(each.kind, each.number) for each in decision.starts] == [("restriction", f"{NUMBER}-r1")]
    assert not any(isinstance(claim, Block) for claim in decision.claims), "nobody is barred by a proposal"
