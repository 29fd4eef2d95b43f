"""Organisations, and who sees which."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from domain.decision import Actor
from ledger.store import Ledger
from projections import institutions
from projections.engine import Projector
from tests.projections.histories import Stream, record
from tests.projections.register_lives import INSTITUTION_LIFE, organisation

Pool: TypeAlias = "asyncpg.Pool[Any]"

BUREAU = Actor(organisation="zzedu", role="bureau")


async def everybody(ledger: Ledger, projector: Projector) -> None:
    registered = [
        organisation("zzedu", "bureau"),
        organisation("410181", "county", "zzedu"),
        organisation("410182", "county", "zzedu"),
        organisation("410181-s01", "school", "410181"),
        organisation("410181-s02", "school", "410181"),
        organisation("410182-s01", "school", "410182"),
        organisation("h001", "host"),
    ]
    ids = [event.model_dump()["id"] for event in registered]
    streams = [
        Stream("institutions", f"institution/{id_}", (event, *(INSTITUTION_LIFE if id_ == "410181" else ())))
        for id_, event in zip(ids, registered, strict=True)
    ]
    await record(ledger, streams)
    await projector.catch_up()


@pytest.mark.parametrize(
    ("viewer", "expected"),
    [
        (BUREAU, {"zzedu", "410181", "410182", "410181-s01", "410181-s02", "410182-s01", "h001"}),
        (Actor(organisation="410181", role="county"), {"zzedu", "h001", "410181", "410181-s01", "410181-s02"}),
        (Actor(organisation="410181-s01", role="school"), {"zzedu", "h001", "410181", "410181-s01"}),
        (Actor(organisation="h001", role="host"), {"zzedu", "h001"}),
    ],
)
async def test_who_sees_whom(
    pool: Pool, ledger: Ledger, projector: Projector, viewer: Actor, expected: set[str]
) -> None:
    await everybody(ledger, projector)
    assert {row.id for row in (await institutions.page(pool, viewer)).items} == expected
    for id_ in await institutions.registered_ids(pool):
        assert (await institutions.get(pool, viewer, id_) is not None) == (id_ in expected)


async def test_children_kinds_and_pages(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await everybody(ledger, projector)
    schools = await institutions.children(pool, BUREAU, "410181")
    assert [row.id for row in schools.items] == ["410181-s01", "410181-s02"]
    assert [row.id for row in (await institutions.page(pool, BUREAU, kind="host")).items] == ["h001"]
    first = await institutions.page(pool, BUREAU, limit=3)
    assert first.next is not None
    rest = await institutions.page(pool, BUREAU, after=first.next)
    assert {row.id for row in (*first.items, *rest.items)} == await institutions.registered_ids(pool)
    assert not {row.id for row in first.items} & {row.id for row in rest.items}


async def test_keys_and_endpoints_move_the_version_and_a_contact_and_an_end_are_shown(
    pool: Pool, ledger: Ledger, projector: Projector
) -> None:
    await everybody(ledger, projector)
    row = await institutions.get(pool, BUREAU, "410181")
    assert row is not None
    assert (row.version, row.kind, row.parent, row.gb_code) == (1 + len(INSTITUTION_LIFE), "county", "zzedu", None)
    assert (row.email, row.successor) == ("new@example.invalid", "410182")


async def test_too_many_organisations_are_not_read_at_once(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await everybody(ledger, projector)
    monkeypatch.setattr(institutions, "MAX_INSTITUTIONS", 7)
    assert len(await institutions.registered_ids(pool)) == 7
    monkeypatch.setattr(institutions, "MAX_INSTITUTIONS", 6)
    with pytest.raises(institutions.TooManyInstitutions):
        await institutions.registered_ids(pool)
