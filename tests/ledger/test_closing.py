"""A closed book takes no more events, by whatever path; who closed it and why is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from ledger.closing import Closing, close_book
from ledger.errors import AppendRejected, BookClosed, BookUnknown, InvalidProcedure
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.types import Appended, CountClaim, Duplicate, LimitClaim, VersionConflict
from ledger.verify import verify
from tests.ledger.appends import BOOK, append, claiming, fill, notice, write

KEY = bytes(range(32))
WHO: dict[str, Any] = {"actor": "operator:ci", "reason": "the year is over"}
Pool: TypeAlias = "asyncpg.Pool[Any]"


@pytest.fixture
def sealer(pool: Pool, tmp_path: Path) -> Sealer:
    return Sealer(pool, KEY, "test", tmp_path / "checkpoints")


async def counts(pool: Pool) -> dict[str, int]:
    """How many rows each table of the ledger has."""
    tables = ("books", "events", "streams", "commands", "outbox", "counters", "holds", "procedures")
    return {table: await pool.fetchval(f"SELECT count(*) FROM ledger.{table}") for table in tables}


async def test_closing_seals_at_once_and_says_who_and_why(ledger: Ledger, pool: Pool, sealer: Sealer) -> None:
    await fill(ledger, 5)
    closing = await close_book(pool, sealer, BOOK, **WHO)
    assert (closing.book, closing.size, closing.actor, closing.reason) == (BOOK, 5, "operator:ci", "the year is over")
    sealed = await pool.fetchrow("SELECT size, root FROM ledger.checkpoints")
    assert sealed is not None
    assert (sealed["size"], sealed["root"].hex()) == (5, closing.root_hex)
    (report,) = await verify(pool, public_key_of(KEY), BOOK)
    assert report.verified


async def test_closing_again_changes_nothing_and_gives_who_closed_it_first(
    ledger: Ledger, pool: Pool, sealer: Sealer
) -> None:
    await fill(ledger, 5)
    first = await close_book(pool, sealer, BOOK, **WHO)
    before = await counts(pool)
    again = await close_book(pool, sealer, BOOK, actor="operator:somebody", reason="another one")
    assert again == first
    assert await counts(pool) == before


async def test_an_append_into_a_closed_book_is_refused_by_name_and_nothing_is_written(
    ledger: Ledger, pool: Pool, sealer: Sealer
) -> None:
    await fill(ledger, 5)
    await ledger.append(claiming(LimitClaim("seats", 3)))
    await close_book(pool, sealer, BOOK, **WHO)
    before = await counts(pool)
    late = append(write("trainee/late"), write("r/1", book="restrictions"), claims=[CountClaim("seats", 1)])
    with pytest.raises(BookClosed, match=f"{BOOK} is closed") as refused:
        await ledger.append(late)
    assert refused.value.book == BOOK
    with pytest.raises(BookClosed):
        await ledger.append(append(write("trainee/late"), outbox=(notice(),)))
    assert await counts(pool) == before
    assert (await ledger.counter("seats")).used == 0
    assert len(await ledger.read_book(BOOK, 0, 10)) == 5, "it is still read"


async def test_the_neighbours_of_an_append_into_a_closed_book_are_stored(
    ledger: Ledger, pool: Pool, sealer: Sealer
) -> None:
    await fill(ledger, 5)
    await close_book(pool, sealer, BOOK, **WHO)
    appends = [append(write(f"r/{n}", book="restrictions" if n % 10 else BOOK)) for n in range(50)]
    results = await asyncio.gather(*(ledger.append(each) for each in appends), return_exceptions=True)
    closed = [n for n, result in enumerate(results) if isinstance(result, BookClosed)]
    assert closed == [0, 10, 20, 30, 40]
    assert all(isinstance(result, Appended) for n, result in enumerate(results) if n % 10)
    with pytest.raises(BookClosed):
        await ledger.append_many([append(write("r/50", book="restrictions")), append(write("x/1"))])
    assert await ledger.stream_version("restrictions", "r/50") == 1


async def test_what_is_no_new_event_is_answered_as_before(ledger: Ledger, pool: Pool, sealer: Sealer) -> None:
    first = append(write("trainee/1"))
    await ledger.append(first)
    await close_book(pool, sealer, BOOK, **WHO)
    assert isinstance(await ledger.append(first), Duplicate)
    assert isinstance(await ledger.append(append(write("trainee/1", expected=7))), VersionConflict)


async def test_an_append_under_way_is_in_the_book_or_refused(ledger: Ledger, pool: Pool, sealer: Sealer) -> None:
    await fill(ledger, 5)

    async def one(n: int) -> bool:
        try:
            return isinstance(await ledger.append(append(write(f"trainee/x{n}"))), Appended)
        except BookClosed:
            return False

    storm = asyncio.gather(*(one(n) for n in range(200)))
    await asyncio.sleep(0)
    closing = await close_book(pool, sealer, BOOK, **WHO)
    stored = sum(await storm)
    assert closing.size == 5 + stored == await ledger.head(BOOK)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.books SET sequence = sequence + 1",
        "UPDATE ledger.books SET closed_size = NULL",
        "UPDATE ledger.books SET closed_size = 6, sequence = 6",
        "DELETE FROM ledger.books",
        "UPDATE ledger.procedures SET actor = 'operator:other'",
        "DELETE FROM ledger.procedures",
        "TRUNCATE ledger.procedures",
        "INSERT INTO ledger.procedures (book, act, actor, reason, size) SELECT book, act, actor, reason, size "
        "FROM ledger.procedures",
    ],
)
async def test_not_even_the_owner_opens_it_again_or_changes_the_record(
    ledger: Ledger, pool: Pool, sealer: Sealer, statement: str
) -> None:
    await fill(ledger, 5)
    await close_book(pool, sealer, BOOK, **WHO)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.IntegrityConstraintViolationError)):
        await pool.execute(statement)


async def test_the_application_may_not_close_a_book(ledger: Ledger, pool: Pool) -> None:
    await fill(ledger, 5)
    async with pool.acquire() as connection:
        await connection.execute("SET ROLE xunji_app")
        for statement in (
            "UPDATE ledger.books SET closed_size = sequence",
            "INSERT INTO ledger.procedures (book, act, actor, reason, size) VALUES ('x', 'closed', 'a', 'b', 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute("RESET ROLE")


async def test_who_and_why_must_be_said_and_the_book_be_there(ledger: Ledger, pool: Pool, sealer: Sealer) -> None:
    await fill(ledger, 5)
    wrong: list[Callable[[], Awaitable[Closing]]] = [
        lambda: close_book(pool, sealer, BOOK, actor="Zhang San", reason="over"),
        lambda: close_book(pool, sealer, BOOK, actor="", reason="over"),
        lambda: close_book(pool, sealer, BOOK, actor="operator:ci", reason=" "),
        lambda: close_book(pool, sealer, BOOK, actor="operator:ci", reason="x" * 501),
    ]
    for act in wrong:
        with pytest.raises(InvalidProcedure):
            await act()
    with pytest.raises(BookUnknown):
        await close_book(pool, sealer, "unknown", **WHO)
    assert await pool.fetchval("SELECT count(*) FROM ledger.procedures") == 0


async def test_another_refusal_of_the_database_keeps_its_name(ledger: Ledger, pool: Pool) -> None:
    await pool.execute("ALTER TABLE ledger.books ADD CONSTRAINT other CHECK (book <> 'forbidden')")
    with pytest.raises(AppendRejected) as refused:
        await ledger.append(append(write(book="forbidden")))
    assert not isinstance(refused.value, BookClosed)
