"""Personal data under a key of each person."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from ledger import vault as vault_module
from ledger.errors import InvalidKey, InvalidNaturalKey, SealBroken, SubjectErased, SubjectUnknown
from ledger.vault import Vault, normalise

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
    subject = await vault.subject_for(NUMBER)
    other = Vault(pool, MASTER, bytes(32))
    assert await other.find(NUMBER) is None
    assert await other.subject_for(NUMBER) != subject
    indices = {row["blind_index"] for row in await pool.fetch("SELECT blind_index FROM vault.subjects")}
    assert len(indices) == 2


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


async def test_another_process_forgets_a_destroyed_key_in_time(
    vault: Vault, pool: "asyncpg.Pool[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Vault(pool, MASTER, INDEX)
    subject = await vault.subject_for(NUMBER)
    sealed = await other.seal(subject.id, FIELDS)
    await vault.erase(subject.id)
    monkeypatch.setattr(vault_module, "CACHED_KEY_LIFETIME_S", 0.0)
    with pytest.raises(SubjectErased):
        await other.open(subject.id, sealed)


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
