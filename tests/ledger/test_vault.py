"""Personal data under a key of each person."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from ledger import vault as vault_module
from ledger.errors import InvalidKey, InvalidNaturalKey, SealBroken, SubjectErased, SubjectUnknown
from ledger.store import Ledger
from ledger.types import StreamPlace
from ledger.vault import IndexKeyMissing, InvalidReason, Vault, key_id, normalise
from tests.ledger.appends import BOOK, append, write

MASTER = bytes(range(32))
INDEX = bytes(range(32, 64))
NUMBER = "41010519900307123X"
FIELDS = {"name": "王小明", "telephone": "13800000000"}


@pytest.fixture
def vault(pool: "asyncpg.Pool[Any]") -> Vault:
    return Vault(pool, MASTER, INDEX)


async def test_what_is_sealed_opens_and_says_nothing(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)

    assert await vault.open(subject.id, sealed) == FIELDS
    assert await Vault(pool, MASTER, INDEX).open(subject.id, sealed) == FIELDS
    assert await vault.seal(subject.id, FIELDS) != sealed
    assert "13800000000" not in sealed and "王" not in sealed
    everything = repr([tuple(row) for row in await pool.fetch("SELECT * FROM vault.subjects")])
    assert NUMBER not in everything


async def test_what_is_sealed_opens_together_with_the_question_whether_streams_still_end_there(
    vault: Vault, ledger: Ledger
) -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)
    await ledger.append(append(write("a", events=2), write("b")))
    a, b = StreamPlace(BOOK, "a", 2), StreamPlace(BOOK, "b", 1)
    assert await vault.open_at(subject.id, sealed, (a, b)) == FIELDS
    assert await vault.open_at(subject.id, sealed, ()) == FIELDS
    for gone_on in (StreamPlace(BOOK, "a", 1), StreamPlace(BOOK, "a", 3), StreamPlace(BOOK, "c", 1)):
        assert await vault.open_at(subject.id, sealed, (gone_on, b)) is None
    await ledger.append(append(write("b", expected=1)))
    assert await vault.open_at(subject.id, sealed, (a, b)) is None
    with pytest.raises(SealBroken):
        await vault.open_at(subject.id, "v1.AAAA", ())
    with pytest.raises(SubjectUnknown):
        await vault.open_at(uuid4(), sealed, (a,))
    await vault.erase(subject.id)
    with pytest.raises(SubjectErased):
        await vault.open_at(subject.id, sealed, (a,))


async def test_a_person_is_found_by_any_spelling_of_the_number(vault: Vault) -> None:
    subject = await vault.subject_for(NUMBER)
    for spelling in (NUMBER.lower(), f" {NUMBER[:6]} {NUMBER[6:]}\n", "41010519900307123\uff38"):
        assert await vault.find(spelling) == subject.id
        assert await vault.subject_for(spelling) == subject
    assert await vault.find("410105199003071231") is None
    with pytest.raises(InvalidNaturalKey):
        await vault.find(" \u3000")
    assert normalise("ａ b") == "AB"


async def test_many_callers_make_one_person(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    subjects = await asyncio.gather(*(vault.subject_for(NUMBER) for _ in range(20)))
    assert len(set(subjects)) == 1
    assert await pool.fetchval("SELECT count(*) FROM vault.subjects") == 1


async def test_the_index_is_keyed(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    await vault.subject_for(NUMBER)
    before = await pool.fetchval("SELECT blind_index FROM vault.subjects")
    await pool.execute("ALTER TABLE vault.subjects DISABLE TRIGGER keep_subjects; DELETE FROM vault.subjects")
    await Vault(pool, MASTER, bytes(32)).subject_for(NUMBER)
    assert await pool.fetchval("SELECT blind_index FROM vault.subjects") != before


async def test_a_vault_without_the_index_key_makes_no_second_person(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    await vault.subject_for(NUMBER)
    other = Vault(pool, MASTER, bytes(32))
    for ask in (other.find, other.subject_for):
        with pytest.raises(IndexKeyMissing) as caught:
            await ask(NUMBER)
        assert NUMBER not in str(caught.value)
    assert await pool.fetchval("SELECT count(*) FROM vault.subjects") == 1


async def test_a_destroyed_key_opens_nothing(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)

    await vault.erase(subject.id)
    await vault.erase(subject.id)

    for one in (vault, Vault(pool, MASTER, INDEX)):
        with pytest.raises(SubjectErased):
            await one.open(subject.id, sealed)
        with pytest.raises(SubjectErased):
            await one.seal(subject.id, FIELDS)
    assert await vault.find(NUMBER) is None
    assert (await vault.subject_for(NUMBER)).id != subject.id


async def test_another_process_opens_nothing_from_the_moment_of_the_erasure(
    vault: Vault, pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Vault(pool, MASTER, INDEX)
    subject = await vault.subject_for(NUMBER)
    sealed = await other.seal(subject.id, FIELDS)
    assert await other.open(subject.id, sealed) == FIELDS
    await vault.erase(subject.id)
    with pytest.raises(SubjectErased):
        await other.open(subject.id, sealed)
    monkeypatch.setattr(vault_module, "CACHED_KEY_LIFETIME_S", 0.0)
    with pytest.raises(SubjectErased):
        await other.seal(subject.id, FIELDS)


async def test_an_erasure_leaves_the_time_and_the_first_reason(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)
    assert await vault.tombstone(subject.id) is None

    first = await vault.erase(subject.id, "retention-over")
    again = await vault.erase(subject.id, "requested")

    assert again == first == await vault.tombstone(subject.id)
    assert (first.subject, first.reason) == (subject.id, "retention-over")
    with pytest.raises(SubjectErased, match=rf"{first.erased_at.isoformat()[:19]}.*retention-over"):
        await vault.open(subject.id, sealed)
    row = await pool.fetchrow("SELECT * FROM vault.subjects")
    assert row is not None
    kept = {name for name, value in row.items() if value is not None}
    assert kept == {"id", "created_at", "erased_at", "erasure_reason"}
    with pytest.raises(SubjectUnknown):
        await vault.tombstone(uuid4())


async def test_a_reason_is_a_code(vault: Vault) -> None:
    subject = await vault.subject_for(NUMBER)
    for reason in ("", "asked by Mr. Wang", "王", "x" * 65, "-x", "x\n"):
        with pytest.raises(InvalidReason) as caught:
            await vault.erase(subject.id, reason)
        assert reason not in str(caught.value) or reason == ""
    assert await vault.tombstone(subject.id) is None


async def test_who_comes_again_after_an_erasure_is_new_and_the_old_stays_closed(vault: Vault) -> None:
    old = await vault.subject_for(NUMBER)
    sealed = await vault.seal(old.id, FIELDS)
    await vault.erase(old.id)
    new = await vault.subject_for(NUMBER)
    assert new != old
    assert await vault.find(NUMBER) == new.id
    with pytest.raises(SealBroken):
        await vault.open(new.id, sealed)
    with pytest.raises(SubjectErased):
        await vault.open(old.id, sealed)


async def test_readers_and_sealers_during_an_erasure_leave_no_way_to_read_after_it(
    vault: Vault, pool: "asyncpg.Pool[Any]"
) -> None:
    other = Vault(pool, MASTER, INDEX)
    for round_ in range(10):
        subject = await vault.subject_for(f"person {round_}")
        sealed = await vault.seal(subject.id, FIELDS)
        calls = [each.open(subject.id, sealed) for each in (vault, other) for _ in range(5)]
        calls += [each.seal(subject.id, FIELDS) for each in (vault, other) for _ in range(5)]  # type: ignore[misc]
        answers = await asyncio.gather(*calls[::2], vault.erase(subject.id), *calls[1::2], return_exceptions=True)
        assert not [answer for answer in answers if isinstance(answer, Exception) and type(answer) is not SubjectErased]
        for one in (vault, other):
            with pytest.raises(SubjectErased):
                await one.open(subject.id, sealed)
        with pytest.raises(SubjectErased):
            await vault.seal(subject.id, FIELDS)
        assert subject.id not in vault._cached


async def test_a_key_that_was_read_before_an_erasure_does_not_come_into_the_cache_after_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = await vault.subject_for(NUMBER)
    read, go_on = asyncio.Event(), asyncio.Event()
    key_of = vault._key

    async def slow(subject_id: UUID) -> Any:
        key = await key_of(subject_id)
        read.set()
        await go_on.wait()
        return key

    monkeypatch.setattr(vault, "_key", slow)
    sealing = asyncio.create_task(vault.seal(subject.id, FIELDS))
    await read.wait()
    await vault.erase(subject.id)
    go_on.set()
    sealed = await sealing
    assert subject.id not in vault._cached
    with pytest.raises(SubjectErased):
        await vault.open(subject.id, sealed)


async def test_an_erasure_that_failed_erases_nothing(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)
    await pool.execute("ALTER TABLE vault.subjects ADD CONSTRAINT nobody CHECK (erased_at IS NULL)")
    with pytest.raises(asyncpg.CheckViolationError):
        await vault.erase(subject.id)
    assert await vault.open(subject.id, sealed) == FIELDS
    assert await vault.find(NUMBER) == subject.id


async def test_the_cache_of_keys_is_bounded(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "CACHED_KEYS", 3)
    people = [await vault.subject_for(f"person {number}") for number in range(8)]
    sealed = [await vault.seal(person.id, FIELDS) for person in people]
    assert len(vault._cached) == 3
    assert [await vault.open(one.id, text) for one, text in zip(people, sealed, strict=True)] == [FIELDS] * 8


async def test_nobody_opens_what_is_another_persons_or_changed(vault: Vault) -> None:
    one, two = await vault.subject_for("one"), await vault.subject_for("two")
    sealed = await vault.seal(one.id, FIELDS)
    changed = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for subject, text in (
        (two, sealed),
        (one, changed),
        (one, "v1."),
        (one, "plain"),
        (one, "v1.?"),
        (one, sealed[:20]),
    ):
        with pytest.raises(SealBroken):
            await vault.open(subject.id, text)


async def test_a_key_row_cannot_be_given_to_another_person(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    one, two = await vault.subject_for("one"), await vault.subject_for("two")
    sealed = await vault.seal(one.id, FIELDS)
    await pool.execute(
        "UPDATE vault.subjects SET wrapped_key = (SELECT wrapped_key FROM vault.subjects WHERE id = $1) WHERE id = $2",
        one.id,
        two.id,
    )
    with pytest.raises(SealBroken):
        await vault.open(two.id, sealed)


async def test_another_master_key_opens_nothing(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)
    with pytest.raises(SealBroken):
        await Vault(pool, bytes(32), INDEX).open(subject.id, sealed)


async def test_who_was_never_known_is_unknown(vault: Vault) -> None:
    nobody: UUID = uuid4()
    with pytest.raises(SubjectUnknown):
        await vault.seal(nobody, FIELDS)
    with pytest.raises(SubjectUnknown):
        await vault.erase(nobody)


def test_keys_have_thirty_two_bytes(pool: "asyncpg.Pool[Any]") -> None:
    for keys in ((b"short", INDEX), (MASTER, b"short")):
        with pytest.raises(InvalidKey):
            Vault(pool, *keys)
    with pytest.raises(InvalidKey):
        Vault(pool, MASTER, INDEX, former_master_keys=[b"short"])
    with pytest.raises(InvalidKey):
        Vault(pool, MASTER, INDEX, former_index_keys=[b"short"])


def test_a_key_id_tells_keys_apart_and_holds_nothing_of_them() -> None:
    ids = {key_id(bytes([number]) * 32) for number in range(100)}
    assert len(ids) == 100
    assert key_id(MASTER) == key_id(MASTER) and key_id(MASTER) not in MASTER.hex()


async def test_with_a_missing_key_nothing_is_sealed_opened_or_written(vault: Vault, pool: "asyncpg.Pool[Any]") -> None:
    """Of a person nobody knows, of one who was erased, and of a vault that lacks the master key."""
    kept, erased = await vault.subject_for(NUMBER), await vault.subject_for("11010519491231002X"[::-1])
    sealed = await vault.seal(kept.id, FIELDS)
    await vault.erase(erased.id)
    before = await pool.fetch("SELECT * FROM vault.subjects ORDER BY id")
    other = Vault(pool, bytes(32), INDEX)
    for attempt, error in (
        (vault.seal(uuid4(), FIELDS), SubjectUnknown),
        (vault.open(uuid4(), sealed), SubjectUnknown),
        (vault.seal(erased.id, FIELDS), SubjectErased),
        (other.open(kept.id, sealed), SealBroken),
        (other.seal(kept.id, FIELDS), SealBroken),
    ):
        with pytest.raises(error):
            await attempt
    assert await pool.fetch("SELECT * FROM vault.subjects ORDER BY id") == before
    assert await vault.open(kept.id, sealed) == FIELDS


async def test_a_person_with_a_corrected_number_is_found_by_that_one_alone(vault: Vault) -> None:
    subject = await vault.subject_for(NUMBER)
    sealed = await vault.seal(subject.id, FIELDS)
    assert await vault.rename(subject.id, "410105199003071231")
    assert await vault.find("410105199003071231") == subject.id
    assert await vault.find(NUMBER) is None
    assert await vault.open(subject.id, sealed) == FIELDS
    assert await vault.rename(subject.id, "410105199003071231"), "again changes nothing"


async def test_a_number_of_somebody_else_is_not_taken_from_him(vault: Vault) -> None:
    one, other = await vault.subject_for(NUMBER), await vault.subject_for("410105199003071231")
    assert not await vault.rename(one.id, "410105199003071231")
    assert await vault.find(NUMBER) == one.id
    assert await vault.find("410105199003071231") == other.id
    results = await asyncio.gather(*(vault.rename(each.id, "410105199003071258") for each in (one, other)))
    assert sorted(results) == [False, True]


async def test_who_was_erased_or_never_known_gets_no_other_number(vault: Vault) -> None:
    subject = await vault.subject_for(NUMBER)
    await vault.erase(subject.id)
    with pytest.raises(SubjectErased):
        await vault.rename(subject.id, "410105199003071231")
    with pytest.raises(SubjectUnknown):
        await vault.rename(uuid4(), "410105199003071231")
