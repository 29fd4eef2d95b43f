"""The two bulletins 通报 of a campaign: what counties sent and what hosts made of it, each rate with both its parts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import Query
from pydantic import BaseModel, Field

from api.nominations import plan_of
from api.pagination import MAX_LIMIT
from api.permissions import Caller
from api.problems import documented, not_found
from api.receipts import CampaignId
from api.routing import router
from api.services import ServicesHere, allowed
from domain.bulletin import (
    COLUMNS,
    FORMULAS_VERSION,
    BulletinKind,
    BulletinRow,
    Rate,
    bulletins_sha256,
    published,
)
from domain.bulletin_publication import FINAL
from domain.trainee_messages import Code
from projections import bulletins as view
from projections import campaigns
from projections.checkpoints import reached

routes = router("/v1/bulletins", "bulletins")
Reader = Annotated[Caller, allowed("bulletins:read")]
RATES = (
    "selection_rate",
    "adjusted_selection_rate",
    "registration_rate",
    "registration_rate_without_excused",
    "completion_rate",
    "quality_rate",
    "quality_rate_without_excused",
    "implementation_rate",
)


class ColumnOut(BaseModel):
    """A column of a bulletin."""

    key: str
    zh: str
    en: str


class RateOut(BaseModel):
    """A share with both its parts; `text` is "—" when there is nothing to divide by."""

    numerator: int
    denominator: int
    text: str


class BulletinLine(BaseModel):
    """One organisation's exact figures: all of them for the bureau, its own for anybody else."""

    organisation: str
    counts: dict[str, int]
    rates: dict[str, RateOut]
    rating: str = Field(description="A host's, by the plan's rule; empty for counties.")


class BulletinOut(BaseModel):
    """One bulletin. `published` holds the cells as they may be made known: counts of 1 or 2 people are `*`."""

    kind: BulletinKind
    columns: list[ColumnOut]
    published: list[list[str]]
    rows: list[BulletinLine]


class IssuedOut(BaseModel):
    """A bulletin that was issued; a later version does not change it."""

    kind: BulletinKind
    period: str = Field(description="A date of the plan's grid, or `final`.", examples=["2022-11-23"])
    version: int
    reason: str = Field(description="`scheduled`, or `corrected` for a later version.")
    as_of: datetime
    issued_at: datetime


class IssuedBulletinOut(IssuedOut):
    """A published bulletin with its cells; exact figures for the bureau, one's own for anybody else."""

    bulletin: BulletinOut


class BulletinsOut(BaseModel):
    """Both bulletins as they stand, and what was issued."""

    campaign: str
    as_of_sequence: int = Field(description="The sequence in the campaign's book that these figures rest on.")
    formulas_version: int
    sha256: str | None = Field(description="Of both bulletins' exact figures; for the bureau and auditors.")
    counties: BulletinOut
    hosts: BulletinOut
    issued: list[IssuedOut]


SEE_ALL: Final = frozenset({"bureau", "auditor"})
"""Roles that are shown the exact figures of every organisation; another one is shown its own."""


@routes.get("", operation_id="get_bulletins", summary="Read the bulletins", responses=documented(404))
async def get_bulletins(
    caller: Reader, services: ServicesHere, campaign: Annotated[CampaignId, Query()]
) -> BulletinsOut:
    """The figures at one moment of the ledger; organisations only, nobody's name."""
    async with (
        services.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        if await campaigns.get(connection, campaign) is None:
            raise not_found("campaign", campaign)
        sequence = await reached(connection, campaign)
        counties, hosts = await view.compute(connection, campaign, (await plan_of(services, campaign)).outcomes)
        issued = await view.issued(connection, campaign)
    return BulletinsOut(
        campaign=campaign,
        as_of_sequence=sequence,
        formulas_version=FORMULAS_VERSION,
        sha256=bulletins_sha256(counties, hosts) if caller.role in SEE_ALL else None,
        counties=_shown("counties", counties, caller),
        hosts=_shown("hosts", hosts, caller),
        issued=[IssuedOut.model_validate(each, from_attributes=True) for each in issued[:MAX_LIMIT]],
    )


def _shown(kind: BulletinKind, rows: Sequence[BulletinRow], caller: Caller) -> BulletinOut:
    visible = [row for row in rows if caller.role in SEE_ALL or row.organisation == caller.organisation]
    return BulletinOut(
        kind=kind,
        columns=[ColumnOut.model_validate(each, from_attributes=True) for each in COLUMNS[kind]],
        published=[list(published(kind, row)) for row in rows],
        rows=[_line(row) for row in visible],
    )


def _line(row: BulletinRow) -> BulletinLine:
    return BulletinLine(
        organisation=row.organisation,
        counts=row.model_dump(exclude={"organisation", "rating"}),
        rating=row.rating,
        rates={name: _rate(getattr(row, name)) for name in RATES},
    )


def _rate(rate: Rate) -> RateOut:
    return RateOut(numerator=rate.numerator, denominator=rate.denominator, text=str(rate))


@routes.get(
    "/issued",
    operation_id="get_issued_bulletin",
    summary="Read a bulletin as it was published",
    responses=documented(404),
)
async def get_issued_bulletin(
    *,
    caller: Reader,
    services: ServicesHere,
    campaign: Annotated[CampaignId, Query()],
    kind: Annotated[BulletinKind, Query()],
    period: Annotated[Code, Query(description="A date of the plan's grid, or `final`.")] = FINAL,
    version: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> IssuedBulletinOut:
    """The cells of one version. A later version does not change it."""
    found = await view.one_issued(services.own_rows(caller), campaign, kind, period, version)
    if found is None:
        raise not_found("bulletin", f"{campaign}:{kind}:{period}:{version}")
    shown = _shown(kind, found.rows, caller)
    return IssuedBulletinOut(
        kind=kind,
        period=period,
        version=version,
        reason=found.reason,
        as_of=found.as_of,
        issued_at=found.issued_at,
        bulletin=shown,
    )
