"""The organisations that take part."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from domain.decision import Actor
from projections import query
from projections.database import Database
from projections.query import Page, Where

TABLE: Final = "view.institutions"
MAX_INSTITUTIONS: Final = 100_000

_SUCCESSOR = "SELECT successor FROM view.institutions WHERE id = $1"
_REGISTERED = "SELECT id FROM view.institutions LIMIT $1"
_SCHOOLS = """
SELECT id FROM view.institutions WHERE kind = 'school' AND parent = ANY($1) ORDER BY id LIMIT $2
"""
_VISIBLE = (
    "(kind IN ('bureau', 'host') OR id = ? OR parent = ? "
    "OR id = (SELECT own.parent FROM view.institutions own WHERE own.id = ?))"
)


class TooManyInstitutions(RuntimeError):
    """More organisations than MAX_INSTITUTIONS: asking for all of them at once is no longer sensible."""


@dataclass(frozen=True, slots=True)
class InstitutionRow:
    """One organisation. `parent` is the county of a school and the bureau of a county, empty for the others."""

    id: str
    version: int
    sequence: int
    kind: str
    name_zh: str
    parent: str
    email: str
    gb_code: str | None
    generated: bool
    registered_at: datetime
    successor: str
    suspended_until: date | None


def _seen_by(viewer: Actor) -> Where:
    """Everybody sees the bureau, the hosts, himself, and what stands above or below him; bureau and auditor see all."""
    if viewer.role in ("bureau", "auditor", "system"):
        return Where()
    own = viewer.organisation
    return Where().that(_VISIBLE, own, own, own)


async def get(database: Database, viewer: Actor, institution: str) -> InstitutionRow | None:
    """The organisation, or None when there is none or when the viewer may not see it."""
    return await query.one(database, InstitutionRow, TABLE, _seen_by(viewer).equal(id=institution))


async def page(
    database: Database,
    viewer: Actor,
    *,
    kind: str | None = None,
    parent: str | None = None,
    after: str = "",
    limit: int = 100,
) -> Page[InstitutionRow]:
    """The organisations that the viewer may see, by id. Raises LimitOutOfRange."""
    where = _seen_by(viewer).equal(kind=kind, parent=parent)
    return await query.page(database, InstitutionRow, TABLE, where, key="id", after=after, limit=limit)


async def children(
    database: Database, viewer: Actor, parent: str, after: str = "", limit: int = 100
) -> Page[InstitutionRow]:
    """The organisations under `parent`: a county's schools, the bureau's counties. Raises LimitOutOfRange."""
    return await page(database, viewer, parent=parent, after=after, limit=limit)


async def successor_of(database: Database, institution: str) -> str:
    """The school that took over from a closed one, empty while it takes part; for the system."""
    found: str | None = await database.fetchval(_SUCCESSOR, institution)
    return found or ""


async def registered_ids(database: Database) -> frozenset[str]:
    """The ids of all organisations; for the system. Raises TooManyInstitutions."""
    found = await database.fetch(_REGISTERED, MAX_INSTITUTIONS + 1)
    if len(found) > MAX_INSTITUTIONS:
        raise TooManyInstitutions(f"there are more than {MAX_INSTITUTIONS} organisations")
    return frozenset(record["id"] for record in found)


async def schools_of(database: Database, parents: list[str]) -> tuple[str, ...]:
    """The schools under these organisations, by id; for the system. Raises TooManyInstitutions."""
    found = await database.fetch(_SCHOOLS, parents, MAX_INSTITUTIONS + 1)
    if len(found) > MAX_INSTITUTIONS:
        raise TooManyInstitutions(f"there are more than {MAX_INSTITUTIONS} schools")
    return tuple(record["id"] for record in found)
