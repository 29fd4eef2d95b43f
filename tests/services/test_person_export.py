"""What is given to a person who asks what is kept about him; and that nothing of him stands anywhere in the clear."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from domain.attendance import AttendanceMarked, Mark
from domain.identity import IdentityNumberError, check_digit
from domain.numbers import PEOPLE, RESTRICTIONS, active_key, restriction_key, stream_name
from domain.person import PersonRegistered
from ledger.archive import export_book
from ledger.closing import close_book
from ledger.detaching import detach_book
from ledger.errors import SubjectErased
from ledger.seal import Sealer, public_key_of
from ledger.store import Ledger
from ledger.types import JSON, Append, Appended, BlockClaim, NewEvent, OutboxEntry, StreamWrite, TakeClaim
from ledger.vault import Vault
from ledger.vault_rotation import reindex
from projections.engine import Projector
from services import person_export
from services.person_export import ExportTooLarge, PersonUnknown, export_person, identity_number_of
from tests.projections.histories import BOOK, START, as_new
from tests.projections.restriction_lives import proposed
from tests.projections.trainee_lives import COUNTY_APPROVED, RETURNED, nominated

MASTER, INDEX, NEW_INDEX = (bytes([number]) * 32 for number in (21, 22, 23))
# 410199 is no division: no living person has such a number.
FIRST_17 = "41019919900307123"
NUMBER = FIRST_17 + check_digit(FIRST_17)
STRANGER = "41019919900307125" + check_digit("41019919900307125")
FIELDS = {"identity_number": NUMBER, "name": "欧阳独特", "telephone": "13899887766", "email": "dute@example.invalid"}
TRAINEE, OTHERS = "zz22-410181-00001", "zz22-410181-00002"
RESTRICTION = f"{TRAINEE}-r1"
NOTICE: dict[str, JSON] = {"trainee": TRAINEE, "training_class": "zz22-c-h001-01"}

Pool: TypeAlias = "asyncpg.Pool[Any]"


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
def vault(pool: Pool) -> Vault:
    return Vault(pool, MASTER, INDEX)


async def append(pool: Pool, *writes: StreamWrite, **more: Any) -> None:
    async with Ledger(pool) as ledger:
        result = await ledger.append(
            Append(
                command_id=uuid4(),
                content_hash=bytes(32),
                actor="county:410181",
                recorded_at=START,
                writes=writes,
                **more,
            )
        )
    assert isinstance(result, Appended), result


def write(book: str, stream: str, expected: int, *events: Any) -> StreamWrite:
    return StreamWrite(book, stream, expected, tuple(as_new(event) for event in events))


def of(event: Any, person: UUID) -> Any:
    return event.model_copy(update={"person": person})


async def seal_person(vault: Vault) -> tuple[UUID, str]:
    subject = await vault.subject_for(NUMBER)
    return subject.id, await vault.seal(subject.id, FIELDS)


async def live(pool: Pool, vault: Vault) -> UUID:
    """Append the life of one person, with notices about him, beside that of another; give his id."""
    person, sealed = await seal_person(vault)
    other = (await vault.subject_for(STRANGER)).id
    about: dict[str, JSON] = {"data": NOTICE, "person": str(person), "campaign": BOOK}
    registered = PersonRegistered(person=person, sealed=sealed)
    await append(
        pool,
        write(PEOPLE, stream_name("person", str(person)), 0, registered),
        write(BOOK, stream_name("trainee", TRAINEE), 0, of(nominated(), person), COUNTY_APPROVED),
        claims=(TakeClaim(active_key(person, BOOK, "gp1"), TRAINEE),),
        outbox=(
            OutboxEntry("410181-s01", "trainee.enrolled", about, ""),
            OutboxEntry("process:start", "trainee", {"number": TRAINEE, "campaign": BOOK}, ""),
        ),
    )
    await append(
        pool,
        write(BOOK, stream_name("trainee", OTHERS), 0, of(nominated(), other)),
        outbox=(OutboxEntry("410181-s01", "trainee.enrolled", {"data": {"trainee": OTHERS}, "person": None}, ""),),
    )
    await append(
        pool,
        write(BOOK, stream_name("trainee", TRAINEE), 2, RETURNED),
        write(RESTRICTIONS, stream_name("restriction", RESTRICTION), 0, of(proposed(TRAINEE), person)),
        claims=(BlockClaim(restriction_key(person), RESTRICTION, date(2022, 11, 5), date(2025, 11, 5)),),
        outbox=(OutboxEntry("zzedu", "restriction.proposed", {"data": {"restriction": RESTRICTION}}, ""),),
    )
    listed = NewEvent("class.listed", {"trainees": [TRAINEE, OTHERS]})
    await append(pool, StreamWrite(BOOK, "class/zz22-c-h001-01", 0, (listed,)))
    notice = await pool.fetchval("SELECT id FROM ledger.outbox ORDER BY position LIMIT 1")
    await pool.execute("UPDATE ledger.outbox SET delivered_at = now() WHERE id = $1", notice)
    await pool.execute(
        "INSERT INTO app.deliveries (outbox_id, organisation, channel, endpoint, attempt, status_code, problem, "
        "server, reply, content_digest, template, recipient_sealed) "
        "VALUES ($1, '410181-s01', 'person-mail', 'm1', 1, 250, '', 'mx:25', 'queued as 4F5', $2, 'abc', $3)",
        notice,
        bytes(32),
        await vault.seal(person, {"email": FIELDS["email"]}),
    )
    return person


async def project(pool: Pool) -> None:
    async with Ledger(pool) as ledger:
        projector = Projector(pool, ledger)
        await projector.catch_up()
        await projector.close()


def kinds(exported: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((event["stream"], event["type"]) for event in exported["events"])


def his_events(person: UUID) -> list[tuple[str, str]]:
    return sorted(
        [
            (f"person/{person}", "person.registered"),
            (f"trainee/{TRAINEE}", "trainee.nominated"),
            (f"trainee/{TRAINEE}", "nomination.approved"),
            (f"trainee/{TRAINEE}", "nomination.returned"),
            (f"restriction/{RESTRICTION}", "restriction.proposed"),
        ]
    )


async def test_a_person_gets_everything_that_is_known_about_him(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    await project(pool)

    exported = await export_person(pool, vault, f" {NUMBER.lower()} ")

    assert json.loads(json.dumps(exported)) == exported
    assert exported["person"] == str(person)
    assert exported["erased"] is None
    assert exported["personal"] == FIELDS
    assert datetime.fromisoformat(exported["known_since"]) <= datetime.fromisoformat(exported["exported_at"])
    assert datetime.fromisoformat(exported["exported_at"]).utcoffset() == UTC.utcoffset(None)

    assert kinds(exported) == his_events(person)
    registered = next(event for event in exported["events"] if event["type"] == "person.registered")
    assert registered["data"] == {"person": str(person), "personal": FIELDS}
    first = next(event for event in exported["events"] if event["type"] == "trainee.nominated")
    assert first["data"]["school"] == "410181-s01"
    assert (first["book"], first["version"], first["actor"]) == (BOOK, 1, "county:410181")
    assert datetime.fromisoformat(first["recorded_at"]) == START


async def test_what_names_him_is_told_without_what_it_says_of_others(pool: Pool, vault: Vault) -> None:
    await live(pool, vault)
    await project(pool)
    exported = await export_person(pool, vault, NUMBER)
    assert [(each["stream"], each["type"]) for each in exported["mentions"]] == [
        ("class/zz22-c-h001-01", "class.listed")
    ]
    assert OTHERS not in json.dumps(exported)


async def test_notices_about_him_come_with_their_deliveries(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    exported = await export_person(pool, vault, person)
    mail, proposal = exported["notices"]
    assert (mail["recipient"], mail["type"], mail["content"]["data"]) == ("410181-s01", "trainee.enrolled", NOTICE)
    assert mail["delivered_at"] is not None and proposal["delivered_at"] is None
    (delivery,) = mail["deliveries"]
    assert (delivery["channel"], delivery["status_code"], delivery["problem"]) == ("person-mail", 250, "")
    assert (delivery["recipient"], delivery["server"], delivery["reply"]) == (FIELDS["email"], "mx:25", "queued as 4F5")
    assert (delivery["content_sha256"], delivery["template"]) == (bytes(32).hex(), "abc")
    assert "sealed" not in delivery
    assert proposal["content"]["data"] == {"restriction": RESTRICTION} and proposal["deliveries"] == []


async def test_claims_on_him_are_told(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    assert (await export_person(pool, vault, person))["claims"] == {
        "holds": [{"key": f"active:{person}:{BOOK}:gp1", "by": TRAINEE}],
        "barred": [{"by": RESTRICTION, "starts": "2022-11-05", "until": "2025-11-05"}],
    }


async def test_books_that_are_in_an_archive_are_named_because_they_were_not_searched(
    pool: Pool, vault: Vault, tmp_path: Path
) -> None:
    person = await live(pool, vault)
    assert (await export_person(pool, vault, person))["not_searched"] == []
    key = bytes(32)
    await close_book(pool, Sealer(pool, key, "test", tmp_path / "c"), BOOK, actor="operator:ci", reason="over")
    await export_book(pool, BOOK, tmp_path / "export")
    who: dict[str, Any] = {"actor": "operator:ci", "reason": "old", "place": "tape 7"}
    await detach_book(pool, BOOK, tmp_path / "export", public_key_of(key), drop=True, **who)
    exported = await export_person(pool, vault, person)
    assert exported["not_searched"] == [{"book": BOOK, "place": "tape 7"}]
    assert ("trainee/" + TRAINEE, "trainee.nominated") not in kinds(exported)


async def test_nothing_is_missing_while_the_views_are_behind(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    assert await pool.fetchval("SELECT count(*) FROM view.trainees") == 0
    assert kinds(await export_person(pool, vault, person)) == his_events(person)


async def test_another_persons_stream_that_names_him_is_not_his(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    naming = NewEvent("trainee.substituted", {"by": str(person)})
    await append(pool, StreamWrite(BOOK, stream_name("trainee", OTHERS), 1, (naming,)))
    exported = await export_person(pool, vault, person)
    assert kinds(exported) == his_events(person)
    assert (f"trainee/{OTHERS}", "trainee.substituted") in {
        (each["stream"], each["type"]) for each in exported["mentions"]
    }


async def test_of_an_erased_person_everything_is_told_but_who_he_was(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    tombstone = await vault.erase(person, "retention-over")
    with pytest.raises(PersonUnknown):
        await export_person(pool, vault, NUMBER)
    exported = await export_person(pool, vault, person)
    assert exported["erased"]["reason"] == "retention-over"
    assert datetime.fromisoformat(exported["erased"]["at"]) == tombstone.erased_at
    assert exported["personal"] is None
    assert kinds(exported) == his_events(person)
    assert not [value for value in FIELDS.values() if value in json.dumps(exported, ensure_ascii=False)]


async def test_who_is_unknown_is_refused_without_repeating_the_number(pool: Pool, vault: Vault) -> None:
    await live(pool, vault)
    unknown = "41019919900307127" + check_digit("41019919900307127")
    wrong = NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1")
    for given, error in ((unknown, PersonUnknown), (uuid4(), PersonUnknown), (wrong, IdentityNumberError)):
        with pytest.raises(error) as caught:
            await export_person(pool, vault, given)
        assert str(given) not in str(caught.value) and caught.value.__cause__ is None


async def test_an_export_is_whole_or_refused(pool: Pool, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    person = await live(pool, vault)
    monkeypatch.setattr(person_export, "ROWS_MAX", 4)
    with pytest.raises(ExportTooLarge):
        await export_person(pool, vault, person)


async def test_the_index_of_identity_numbers_is_rotated_from_what_is_sealed(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    assert await identity_number_of(pool, vault, person) == NUMBER
    new = Vault(pool, MASTER, NEW_INDEX, former_index_keys=[INDEX])

    async def natural_key_of(subject: UUID) -> str | None:
        return await identity_number_of(pool, new, subject)

    report = await reindex(pool, new, natural_key_of)
    # The stranger has an id and no sealed record: he is moved when he is looked up.
    assert (report.reindexed, report.unknown, report.remaining) == (1, 1, 1)
    assert await new.find(STRANGER) is not None
    assert (await export_person(pool, Vault(pool, MASTER, NEW_INDEX), NUMBER))["person"] == str(person)
    await vault.erase(person)
    assert await identity_number_of(pool, vault, person) is None


async def in_the_clear(pool: Pool, secrets: list[str]) -> list[str]:
    """The tables in which one of the texts stands: as it is, as escaped JSON, or as bytes."""
    tables = await pool.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
        "WHERE schemaname IN ('ledger', 'vault', 'view', 'app') ORDER BY 1"
    )
    assert len(tables) > 20
    spelt = [each for secret in secrets for each in (secret, json.dumps(secret)[1:-1])]
    wanted = [*spelt, *(each.encode().hex() for each in spelt)]
    found = []
    for table in tables:
        # Escapes are doubled where text stands in a row, so backslashes are compared with their doubles taken back.
        holds = f"SELECT EXISTS (SELECT FROM {table['name']} t, unnest($1::text[]) AS w (text) "
        holds += r"WHERE position(lower(w.text) IN lower(replace(t::text, '\\', '\'))) > 0)"
        if await pool.fetchval(holds, wanted):
            found.append(table["name"])
    return found


async def test_nothing_of_a_person_stands_in_the_clear_in_any_table(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    await project(pool)
    assert await pool.fetchval("SELECT count(*) FROM view.trainees WHERE person = $1", person) == 1
    # The export itself writes nothing either.
    await export_person(pool, vault, NUMBER)
    assert await in_the_clear(pool, list(FIELDS.values())) == []
    await vault.erase(person, "requested")
    assert await in_the_clear(pool, list(FIELDS.values())) == []
    with pytest.raises(SubjectErased):
        await vault.seal(person, FIELDS)


async def test_the_search_for_clear_text_finds_it_in_text_in_bytes_and_in_json(pool: Pool, vault: Vault) -> None:
    leak = NewEvent("leak.made", {"name": FIELDS["name"]})
    await append(pool, StreamWrite("leaks", "leak/1", 0, (leak,)), reply=NUMBER.encode())
    await pool.execute("INSERT INTO app.number_series VALUES ($1, 1)", FIELDS["telephone"])
    await append(pool, write(BOOK, stream_name("trainee", TRAINEE), 0, nominated(school=FIELDS["email"])))
    await project(pool)
    assert {"ledger.events"} <= set(await in_the_clear(pool, [FIELDS["name"]]))
    assert await in_the_clear(pool, [NUMBER]) == ["ledger.commands"]
    assert await in_the_clear(pool, [FIELDS["telephone"]]) == ["app.number_series"]
    assert "view.trainees" in await in_the_clear(pool, [FIELDS["email"]])
    escaped = json.dumps({"name": FIELDS["name"]}).encode()
    await pool.execute("INSERT INTO app.plans VALUES ('leak', 'le22', $1, $2)", "0" * 64, escaped)
    assert "app.plans" in await in_the_clear(pool, [FIELDS["name"]])


async def test_of_a_days_attendance_only_his_own_marks_are_his_to_know(pool: Pool, vault: Vault) -> None:
    person = await live(pool, vault)
    marks = tuple(Mark(trainee=each, session="morning", units=4, as_of=START) for each in (TRAINEE, OTHERS))
    told: dict[str, JSON] = {"data": {"day": "2022-10-10", "trainees": [TRAINEE, OTHERS]}, "person": None}
    await append(
        pool,
        write(BOOK, "attendance/zz22-c-h001-01/2022-10-10", 0, AttendanceMarked(by="host:h001", marks=marks)),
        outbox=(OutboxEntry("410181", "attendance.corrected", told, ""),),
    )
    exported = await export_person(pool, vault, person)
    (mention,) = [each for each in exported["mentions"] if each["type"] == "attendance.marked"]
    assert [each["trainee"] for each in mention["data"]["marks"]] == [TRAINEE]
    (notice,) = [each for each in exported["notices"] if each["type"] == "attendance.corrected"]
    assert notice["content"]["data"]["trainees"] == [TRAINEE]
    assert OTHERS not in json.dumps(exported)
