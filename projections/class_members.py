"""What the rules of a class ask about its trainees; for the system only."""

from collections.abc import Sequence
from typing import Final

from projections.schema import Database

PLACED: Final = ["enrolled", "confirmed", "in-training"]
MAX_SCHOOLS: Final = 2_000
MAX_MEMBERS: Final = 2_000

_SCHOOLS = """
SELECT DISTINCT school FROM view.trainees WHERE training_class = $1 AND phase = ANY($2) ORDER BY school LIMIT $3
"""
_MEMBERS = "SELECT number FROM view.trainees WHERE training_class = $1 AND phase = ANY($2) ORDER BY number LIMIT $3"
_IN_PHASE = "SELECT count(*) FROM view.trainees WHERE training_class = $1 AND phase = $2"
_LEFT = """
SELECT count(*) FROM view.trainees
WHERE training_class = $1 AND phase = ANY($2) AND class_revision < $3 AND ($4::text[] IS NULL OR number = ANY($4))
"""


async def schools(database: Database, training_class: str) -> tuple[str, ...]:
    """The schools that have teachers placed in the class."""
    found = await database.fetch(_SCHOOLS, training_class, PLACED, MAX_SCHOOLS)
    return tuple(record["school"] for record in found)


async def members(database: Database, training_class: str) -> frozenset[str]:
    """The numbers of the trainees who are placed in the class."""
    found = await database.fetch(_MEMBERS, training_class, PLACED, MAX_MEMBERS)
    return frozenset(record["number"] for record in found)


async def count_in_phase(database: Database, training_class: str, phase: str) -> int:
    """How many trainees of the class are in a phase."""
    count: int = await database.fetchval(_IN_PHASE, training_class, phase)
    return count


async def left_behind(
    database: Database, training_class: str, revision: int, numbers: Sequence[str] | None = None
) -> int:
    """How many trainees are in the class and know only of an older revision; of `numbers` when they are given."""
    wanted = None if numbers is None else list(numbers)
    count: int = await database.fetchval(_LEFT, training_class, PLACED, revision, wanted)
    return count
