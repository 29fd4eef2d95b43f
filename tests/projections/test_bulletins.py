"""The bulletins from the views are those that the events alone give."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from domain.bulletin import AssignedSeats, BulletinRow, bulletins_sha256, case_record, county_rows, host_rows, rated
from domain.plan_outcomes import OutcomeRules
from ledger.store import Ledger
from projections import bulletins, trainees
from projections.engine import Projector
from tests.projections import campaign_lives, histories
from tests.projections.histories import BOOK, Stream, record
from tests.projections.trainee_lives import LIVES, trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"


@pytest.mark.parametrize("page", [3, 5_000])
async def test_views_and_events_give_the_same_bulletins(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(trainees, "RECORDS_PAGE", page)
    cases = [trainee(number, life) for number, life in enumerate(LIVES, start=1)]
    cases += [trainee(100 + number, life, "410182", host="h002") for number, life in enumerate(LIVES, start=1)]
    quotas = [("gp1:410181", 30), ("gp2:410181", 5), ("gp1:410182", 20), ("gp1:zznu", 4)]
    lines = [Stream(BOOK, f"quota/{line}", (campaign_lives.quota(line, seats),)) for line, seats in quotas]
    await record(ledger, [*cases, *lines])
    await projector.catch_up()

    records = [found for case in cases if (found := case_record(case.events)) is not None]
    seats = [AssignedSeats(line.partition(":")[2], size, size) for line, size in quotas]
    counties, hosts = await bulletins.compute(pool, BOOK, OutcomeRules())
    assert counties == county_rows(seats, records)
    by_events = rated(host_rows(records), OutcomeRules())
    assert hosts == by_events
    assert bulletins_sha256(counties, hosts) == bulletins_sha256(county_rows(seats, records), by_events)
    # Whoever received seats is in the bulletin, with nothing if he sent nobody.
    assert [row.organisation for row in counties] == ["410181", "410182", "zznu"]
    assert counties[-1] == BulletinRow(organisation="zznu", formulas=2, assigned=4, adjusted=4)
    assert [row.organisation for row in hosts] == ["h001", "h002"]
    assert sum(row.nominated for row in counties) == len(cases)


async def test_a_campaign_without_cases_has_empty_bulletins(pool: Pool) -> None:
    assert await bulletins.compute(pool, BOOK, OutcomeRules()) == ((), ())


async def test_a_first_version_stays_when_a_second_comes(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    rows = tuple(BulletinRow(organisation="410181", assigned=30, selected=selected) for selected in (27, 28))
    events = [
        campaign_lives.campaign_opened(),
        campaign_lives.bulletin("counties", 1, rows[:1]),
        campaign_lives.bulletin("hosts"),
        campaign_lives.bulletin("counties", 2, rows[1:]),
    ]
    await record(ledger, [Stream(BOOK, f"campaign/{BOOK}", tuple(events))])
    await projector.catch_up()
    issued = await bulletins.issued(pool, BOOK)
    assert [(each.kind, each.version) for each in issued] == [("counties", 1), ("counties", 2), ("hosts", 1)]
    assert [each.rows for each in issued] == [rows[:1], rows[1:], ()]
    assert [each.version for each in await bulletins.issued(pool, BOOK, "hosts")] == [1]
    assert issued[0].as_of == histories.day(130)
    assert await bulletins.issued(pool, "2023-zhengzhou") == ()
