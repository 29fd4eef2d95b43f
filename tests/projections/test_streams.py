"""What recovery and reconciliation read."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.store import Ledger
from projections import streams
from projections.engine import Projector
from projections.streams import stream_versions
from tests.projections.histories import BOOK, record
from tests.projections.world import world

Pool: TypeAlias = "asyncpg.Pool[Any]"


@pytest.mark.parametrize("kind", ["trainee", "class", "restriction", "campaign"])
async def test_every_stream_of_a_kind_comes_once_with_its_version(
    pool: Pool, ledger: Ledger, projector: Projector, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(streams, "PAGE_ROWS", 2)
    await record(ledger, world())
    await projector.catch_up()
    expected = {stream.name.partition("/")[2]: len(stream.events) for stream in world() if stream.name.startswith(kind)}
    found = [each async for each in stream_versions(pool, kind, BOOK, closed=None)]
    assert [each.number for each in found] == sorted(expected)
    assert {each.number: each.version for each in found} == expected
    assert {each.campaign for each in found} == {BOOK}
    unfinished = [each async for each in stream_versions(pool, kind)]
    assert unfinished == [each for each in found if not each.closed]
    assert [each async for each in stream_versions(pool, kind, closed=True)] == [each for each in found if each.closed]
    assert [each async for each in stream_versions(pool, kind, "2023-zhengzhou", closed=None)] == []


async def test_a_kind_without_a_process_is_refused(pool: Pool) -> None:
    with pytest.raises(KeyError):
        await anext(stream_versions(pool, "person"))
