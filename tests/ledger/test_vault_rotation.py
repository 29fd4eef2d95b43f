"""New master and index keys, brought in while the system runs."""

import asyncio
from typing import Any, TypeAlias, cast
from uuid import UUID

import asyncpg
import pytest

from ledger.errors import InvalidKey, PageOutOfRange, SealBroken, SubjectErased, SubjectUnknown
from ledger.schema import migrate
from ledger.vault import IndexKeyMissing, MasterKeyMissing, Vault, key_id
from ledger.vault_rotation import ReindexReport, RewrapReport, count_former, reindex, rewrap

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
INDEX, NEW_INDEX = bytes([11]) * 32, bytes([12]) * 32
FIELDS = {"name": "王小明"}
PEOPLE = 7
COUNT = "SELECT count(*) FROM vault.subjects"

Pool: TypeAlias = "asyncpg.Pool[Any]"
Sealed: TypeAlias = dict[UUID, str]


async def people(vault: Vault, number: int = PEOPLE) -> Sealed:
    """So many persons, with what was sealed for them."""
    ids = [(await vault.subject_for(f"person {place}")).id for place in range(number)]
    return {each: await vault.seal(each, FIELDS) for each in ids}


async def opens_all(vault: Vault, sealed: Sealed) -> bool:
    return all([await vault.open(each, text) == FIELDS for each, text in sealed.items()])


async def make_rows_old(pool: Pool) -> None:
    """As rows were before keys had ids."""
    await pool.execute("UPDATE vault.subjects SET master_key_id = NULL, index_key_id = NULL")


async def test_a_vault_opens_with_the_current_and_the_former_master_key(pool: Pool) -> None:
    sealed = await people(Vault(pool, OLD, INDEX))
    new = Vault(pool, NEW, INDEX, former_master_keys=[OTHER, OLD])
    assert await opens_all(new, sealed)
    more = await new.subject_for("somebody new")
    assert await pool.fetchval("SELECT master_key_id FROM vault.subjects WHERE id = $1", more.id) == key_id(NEW)
    with pytest.raises(MasterKeyMissing, match=key_id(NEW)):
        await Vault(pool, OLD, INDEX).seal(more.id, FIELDS)


async def test_rows_without_a_key_id_are_opened_by_whichever_key_opens_them(pool: Pool) -> None:
    sealed = await people(Vault(pool, OLD, INDEX))
    await make_rows_old(pool)
    assert await opens_all(Vault(pool, OLD, INDEX), sealed)
    assert await opens_all(Vault(pool, NEW, INDEX, former_master_keys=[OTHER, OLD]), sealed)
    with pytest.raises(SealBroken):
        await opens_all(Vault(pool, NEW, INDEX), sealed)


@pytest.mark.parametrize("rows_are_old", [False, True])
async def test_after_rewrapping_the_former_master_key_is_not_needed(pool: Pool, rows_are_old: bool) -> None:
    sealed = await people(Vault(pool, OLD, INDEX))
    if rows_are_old:
        await make_rows_old(pool)
    report = await rewrap(pool, NEW, [OLD], batch=2)
    assert report == RewrapReport(rewrapped=PEOPLE, unreadable=0, remaining=0) and report.finished
    assert await opens_all(Vault(pool, NEW, INDEX), sealed)
    with pytest.raises(SealBroken):
        await opens_all(Vault(pool, OLD, INDEX), sealed)
    assert await rewrap(pool, NEW, [OLD]) == RewrapReport(0, 0, 0)


async def test_a_rewrapping_that_was_stopped_goes_on_where_it_was(pool: Pool) -> None:
    sealed = await people(Vault(pool, OLD, INDEX))
    last = max(sealed)
    await pool.execute(
        f"ALTER TABLE vault.subjects ADD CONSTRAINT stop CHECK (id <> '{last}' OR master_key_id = '{key_id(OLD)}')"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await rewrap(pool, NEW, [OLD], batch=2)
    assert await opens_all(Vault(pool, NEW, INDEX, former_master_keys=[OLD]), sealed)
    await pool.execute("ALTER TABLE vault.subjects DROP CONSTRAINT stop")
    assert await rewrap(pool, NEW, [OLD], batch=2) == RewrapReport(1, 0, 0)
    assert await opens_all(Vault(pool, NEW, INDEX), sealed)


async def test_rewrapping_is_safe_beside_itself_and_everything_else(pool: Pool) -> None:
    old = Vault(pool, OLD, INDEX, former_master_keys=[NEW])
    new = Vault(pool, NEW, INDEX, former_master_keys=[OLD])
    sealed = await people(old, 40)
    gone = list(sealed)[::4]

    rewraps = asyncio.gather(rewrap(pool, NEW, [OLD], batch=3), rewrap(pool, NEW, [OLD], batch=5))
    await asyncio.gather(
        *(new.erase(each) for each in gone),
        *(vault.open(each, sealed[each]) for each in sealed if each not in gone for vault in (old, new)),
        *(new.subject_for(f"person {place} of those to come") for place in range(10)),
    )
    first, second = await rewraps
    assert first.finished and second.finished
    assert first.unreadable == second.unreadable == 0
    assert first.rewrapped + second.rewrapped <= len(sealed)
    only_new = Vault(pool, NEW, INDEX)
    assert await opens_all(only_new, {each: text for each, text in sealed.items() if each not in gone})
    for each in gone:
        with pytest.raises(SubjectErased):
            await only_new.open(each, sealed[each])
    assert await pool.fetchval(COUNT) == 50


async def test_who_is_erased_between_the_reading_and_the_writing_of_a_batch_stays_erased(pool: Pool) -> None:
    vault = Vault(pool, OLD, INDEX)
    sealed = await people(vault, 3)
    gone = next(iter(sealed))

    class ErasingBetween:
        fetchval = pool.fetchval

        async def fetch(self, query: str, *arguments: Any) -> list[Any]:
            if query.lstrip().startswith("WITH"):
                await vault.erase(gone)
            return await pool.fetch(query, *arguments)

    assert await rewrap(cast("Pool", ErasingBetween()), NEW, [OLD]) == RewrapReport(2, 0, 0)
    with pytest.raises(SubjectErased):
        await Vault(pool, NEW, INDEX).open(gone, sealed.pop(gone))
    assert await opens_all(Vault(pool, NEW, INDEX), sealed)


async def test_what_none_of_the_keys_opens_is_counted_and_left(pool: Pool) -> None:
    await people(Vault(pool, OLD, INDEX), 3)
    strange = await Vault(pool, OTHER, INDEX).subject_for("wrapped by another key")
    before = await pool.fetchval("SELECT wrapped_key FROM vault.subjects WHERE id = $1", strange.id)
    report = await rewrap(pool, NEW, [OLD], batch=1)
    assert report == RewrapReport(rewrapped=3, unreadable=1, remaining=1) and not report.finished
    assert await pool.fetchval("SELECT wrapped_key FROM vault.subjects WHERE id = $1", strange.id) == before


async def test_a_batch_and_the_keys_are_checked_before_anything_is_written(pool: Pool) -> None:
    vault = Vault(pool, OLD, INDEX)
    await people(vault, 1)
    for batch in (0, -1, 10_001):
        with pytest.raises(PageOutOfRange):
            await rewrap(pool, NEW, [OLD], batch=batch)
        with pytest.raises(PageOutOfRange):
            await reindex(pool, vault, nobody_knows, batch=batch)
    with pytest.raises(InvalidKey):
        await rewrap(pool, b"short", [OLD])
    assert await opens_all(vault, {})
    assert await pool.fetchval("SELECT master_key_id FROM vault.subjects") == key_id(OLD)


async def nobody_knows(subject: UUID) -> str | None:
    return None


async def test_who_is_found_by_a_former_index_key_is_moved_to_the_current_one(pool: Pool) -> None:
    ids = list(await people(Vault(pool, OLD, INDEX), 3))
    new = Vault(pool, OLD, NEW_INDEX, former_index_keys=[OTHER, INDEX])
    assert await count_former(pool, new.index_key_id) == 3

    assert await new.find("person 0") == ids[0]
    assert await count_former(pool, new.index_key_id) == 2
    assert (await new.subject_for("person 1")).id == ids[1]
    assert await count_former(pool, new.index_key_id) == 1
    assert await new.find("person 0") == ids[0]
    await new.erase(ids[2])
    assert await count_former(pool, new.index_key_id) == 0

    alone = Vault(pool, OLD, NEW_INDEX)
    assert [await alone.find(f"person {place}") for place in range(3)] == [*ids[:2], None]
    assert await pool.fetchval(COUNT) == 3


async def test_rows_without_an_index_key_id_are_found_and_get_one(pool: Pool) -> None:
    vault = Vault(pool, OLD, INDEX)
    ids = list(await people(vault, 2))
    await make_rows_old(pool)
    assert await count_former(pool, vault.index_key_id) == 2
    assert await vault.find("person 0") == ids[0]
    assert await count_former(pool, vault.index_key_id) == 1
    new = Vault(pool, OLD, NEW_INDEX, former_index_keys=[INDEX])
    assert (await new.subject_for("person 1")).id == ids[1]
    assert await Vault(pool, OLD, NEW_INDEX).find("person 1") == ids[1]


async def test_two_callers_who_disagree_on_the_current_index_key_make_one_person(pool: Pool) -> None:
    before = Vault(pool, OLD, INDEX, former_index_keys=[NEW_INDEX])
    after = Vault(pool, OLD, NEW_INDEX, former_index_keys=[INDEX])
    for round_ in range(20):
        found = await asyncio.gather(
            *(vault.subject_for(f"person {round_}") for vault in (before, after) for _ in range(4))
        )
        assert len(set(found)) == 1
        assert await pool.fetchval(COUNT) == round_ + 1


async def test_a_caller_with_the_former_index_key_alone_makes_no_second_person(pool: Pool) -> None:
    forgotten = Vault(pool, OLD, INDEX)
    after = Vault(pool, OLD, NEW_INDEX, former_index_keys=[INDEX])
    for round_ in range(20):
        answers = await asyncio.gather(
            *(vault.subject_for(f"person {round_}") for vault in (forgotten, after) for _ in range(4)),
            return_exceptions=True,
        )
        errors = {type(answer) for answer in answers if isinstance(answer, BaseException)}
        assert errors <= {IndexKeyMissing}
        assert len({answer for answer in answers if not isinstance(answer, BaseException)}) == 1
        assert await pool.fetchval(COUNT) == round_ + 1


async def test_without_taking_turns_the_callers_would_make_two(pool: Pool) -> None:
    """The race of the tests above is a real one: the turns are what decides it."""
    before = Vault(pool, OLD, INDEX, former_index_keys=[NEW_INDEX])
    after = Vault(pool, OLD, NEW_INDEX, former_index_keys=[INDEX])
    body = await pool.fetchval("SELECT pg_get_functiondef('vault.subject_for'::regproc)")
    turns, looked_up, insert = (body.index(text) for text in ("PERFORM pg_adv", "other_key := false", "INSERT INTO"))
    gate = "PERFORM pg_advisory_xact_lock_shared(42); "
    await pool.execute(body[:turns] + body[looked_up:insert] + gate + body[insert:])
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock(42)")
        callers = asyncio.gather(before.subject_for("one"), after.subject_for("one"))
        while await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = 42") < 2:
            await asyncio.sleep(0)
        await connection.execute("SELECT pg_advisory_unlock(42)")
        one, other = await callers
    assert one != other


async def test_everybody_whose_natural_key_can_be_had_is_moved(pool: Pool) -> None:
    ids = list(await people(Vault(pool, OLD, INDEX), 6))
    new = Vault(pool, OLD, NEW_INDEX, former_index_keys=[INDEX])
    known: dict[UUID, str | None] = {each: f"person {place}" for place, each in enumerate(ids)}
    known |= {ids[1]: None, ids[2]: "somebody else"}
    await new.erase(ids[3])

    async def natural_key_of(subject: UUID) -> str | None:
        return known[subject]

    report = await reindex(pool, new, natural_key_of, batch=2)
    assert report == ReindexReport(reindexed=3, unknown=1, wrong=1, taken=0, remaining=2) and not report.finished
    assert [await new.find(f"person {place}") for place in range(3)] == ids[:3]
    assert await new.find("somebody else") is None
    assert (await reindex(pool, new, natural_key_of)).finished
    alone = Vault(pool, OLD, NEW_INDEX)
    assert [await alone.find(f"person {place}") for place in range(6)] == [*ids[:3], None, *ids[4:]]


async def test_who_has_two_persons_from_before_is_counted_and_neither_is_lost(pool: Pool) -> None:
    old = await Vault(pool, OLD, INDEX).subject_for("one")
    await make_rows_old(pool)
    second = await Vault(pool, OLD, NEW_INDEX).subject_for("one")
    new = Vault(pool, OLD, NEW_INDEX, former_index_keys=[INDEX])
    assert old != second == await new.subject_for("one")

    async def natural_key_of(subject: UUID) -> str | None:
        return "one"

    assert await reindex(pool, new, natural_key_of) == ReindexReport(0, 0, 0, taken=1, remaining=1)


async def test_whom_an_older_release_has_erased_keeps_no_index_key_alive(pool: Pool) -> None:
    gone = await Vault(pool, OLD, INDEX).subject_for("one")
    await pool.execute(
        "UPDATE vault.subjects SET blind_index = NULL, wrapped_key = NULL, erased_at = now() WHERE id = $1", gone.id
    )
    alone = Vault(pool, OLD, NEW_INDEX)
    assert await count_former(pool, alone.index_key_id) == 0
    assert await alone.find("one") is None
    assert await alone.subject_for("one") != gone
    assert (await rewrap(pool, NEW, [OLD])).finished


async def test_only_a_known_person_is_reindexed(pool: Pool) -> None:
    vault = Vault(pool, OLD, INDEX)
    one = await vault.subject_for("one")
    with pytest.raises(SubjectUnknown):
        await vault.reindex(UUID(int=1), "one")
    await vault.erase(one.id)
    with pytest.raises(SubjectErased):
        await vault.reindex(one.id, "one")


async def test_the_applications_role_may_look_up_move_and_erase_but_not_touch_a_key(
    pool: Pool, database_url: str
) -> None:
    ids = list(await people(Vault(pool, OLD, INDEX), 2))
    async with pool.acquire() as connection:
        await migrate(connection)  # The first migration of all makes the role, and the next one finds it.

    async def as_application(connection: Any) -> None:
        await connection.execute("SET ROLE xunji_app")

    async with asyncpg.create_pool(database_url, min_size=1, max_size=2, setup=as_application) as narrow:
        vault = Vault(narrow, NEW, NEW_INDEX, former_index_keys=[INDEX], former_master_keys=[OLD])
        assert await vault.find("person 0") == ids[0]
        assert await count_former(pool, vault.index_key_id) == 1
        new = await vault.subject_for("somebody new")
        await vault.open(new.id, await vault.seal(new.id, FIELDS))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await rewrap(narrow, NEW, [OLD])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await narrow.execute("UPDATE vault.subjects SET wrapped_key = NULL")
        # A key is destroyed by the one function only, which leaves a tombstone.
        assert await vault.erase(new.id) == await vault.tombstone(new.id)


async def test_a_database_from_before_is_brought_up_with_its_persons(pool: Pool) -> None:
    vault = Vault(pool, OLD, INDEX)
    sealed = await people(vault, 2)
    gone = await vault.subject_for("gone")
    await vault.erase(gone.id)
    await pool.execute(
        "DROP FUNCTION vault.subject_for; "
        "ALTER TABLE vault.subjects DROP COLUMN master_key_id, DROP COLUMN index_key_id, DROP COLUMN erasure_reason"
    )
    for _ in range(2):
        async with pool.acquire() as connection:
            await migrate(connection)
    assert await opens_all(vault, sealed)
    assert await vault.find("person 1") == list(sealed)[1]
    left = await vault.tombstone(gone.id)
    assert left is not None and left.reason is None
    assert (await vault.erase(gone.id, "requested")).reason is None
    assert (await rewrap(pool, NEW, [OLD])).finished
