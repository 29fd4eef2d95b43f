"""Campaigns as rows."""

from typing import Any, TypeAlias

import asyncpg

from ledger.store import Ledger
from projections import campaigns
from projections.engine import Projector
from tests.projections.campaign_lives import CAMPAIGN_LIFE, campaign_opened
from tests.projections.histories import BOOK, Stream, record
from tests.specification import the_plan

Pool: TypeAlias = "asyncpg.Pool[Any]"
NEXT = "2023-zhengzhou"


async def test_campaigns_are_found_listed_and_told_apart(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await record(
        ledger,
        [
            Stream(BOOK, f"campaign/{BOOK}", (campaign_opened(), *CAMPAIGN_LIFE)),
            Stream(NEXT, f"campaign/{NEXT}", (campaign_opened(NEXT), *CAMPAIGN_LIFE[:2])),
        ],
    )
    await projector.catch_up()
    done, under_way = await campaigns.get(pool, BOOK), await campaigns.get(pool, NEXT)
    assert done is not None
    assert under_way is not None
    assert (done.phase, done.closed, done.plan_sha256) == ("closed", True, the_plan().sha256())
    assert done.closed_at is not None
    assert (under_way.phase, under_way.closed, under_way.closed_at) == ("selecting", False, None)
    assert under_way.deadline is not None
    assert await campaigns.get(pool, "2024-zhengzhou") is None
    assert [row.id for row in (await campaigns.page(pool)).items] == [BOOK, NEXT]
    assert [row.id for row in (await campaigns.page(pool, closed=False)).items] == [NEXT]
    assert (await campaigns.page(pool, limit=1)).next == BOOK
