"""An export that somebody changed is told by its kind and place, and is not imported."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.archive import (
    ArchiveRejected,
    export_book,
    import_book,
)
from ledger.archive_audit import EVENTS_FILE, LEAVES_FILE, MANIFEST_FILE, audit
from ledger.merkle import leaf_hash
from ledger.seal import public_key_of
from ledger.store import Ledger
from tests.ledger.appends import BOOK, fill
from tests.ledger.archives import (
    EVENTS,
    KEY,
    ORIGIN,
    PUBLIC_KEY,
    Lines,
    Pool,
    assert_nothing_in,
    change_manifest,
    changed_data,
    lines_of,
)


def changed_spelling(lines: Lines) -> None:
    lines[6] = lines[6].replace(b'"place":0', b'"place": 0')


def broken_json(lines: Lines) -> None:
    lines[6] = b"\x00" + lines[6][1:]


def changed_sequence(lines: Lines) -> None:
    lines[6] = lines[6].replace(b'"sequence":7,', b'"sequence":9,')


def changed_version(lines: Lines) -> None:
    lines[7] = lines[7].replace(b'"version":2}', b'"version":3}')


def blank_line(lines: Lines) -> None:
    lines.insert(6, b"\n")


def very_long_line(lines: Lines) -> None:
    lines[6] = b"x" * 200_000 + b"\n"


def without_last(lines: Lines) -> None:
    del lines[-1]


def without_all(lines: Lines) -> None:
    lines.clear()


def without_two(lines: Lines) -> None:
    del lines[6:8]


def without_last_but_one(lines: Lines) -> None:
    del lines[-2]


def exchanged_neighbours(lines: Lines) -> None:
    lines[6], lines[7] = lines[7], lines[6]


def exchanged_far(lines: Lines) -> None:
    lines[6], lines[15] = lines[15], lines[6]


def exchanged_last_two(lines: Lines) -> None:
    lines[-1], lines[-2] = lines[-2], lines[-1]


def repeated(lines: Lines) -> None:
    lines.insert(6, lines[3])


def foreign(lines: Lines) -> None:
    lines[6] = lines[6].replace(BOOK.encode(), b"people")


def foreign_between(lines: Lines) -> None:
    lines.insert(6, lines[6].replace(BOOK.encode(), b"people"))


def foreign_behind(lines: Lines) -> None:
    lines.append(lines[6].replace(BOOK.encode(), b"people"))


def surplus(lines: Lines) -> None:
    lines.append(lines[-1].replace(b'"sequence":20', b'"sequence":21').replace(b'"version":2', b'"version":3'))


def cut(lines: Lines) -> None:
    lines[-1] = lines[-1][:-1]


def cut_in_the_middle(lines: Lines) -> None:
    lines[6:] = [lines[6][:50]]


TAMPERING = [
    (changed_data, "changed", 7),
    (changed_spelling, "changed", 7),
    (broken_json, "changed", 7),
    (changed_sequence, "changed", 7),
    (changed_version, "changed", 8),
    (blank_line, "changed", 7),
    (very_long_line, "changed", 7),
    (without_last, "missing", 20),
    (without_all, "missing", 1),
    (without_two, "missing", 7),
    (without_last_but_one, "missing", 19),
    (exchanged_neighbours, "exchanged", 7),
    (exchanged_far, "exchanged", 7),
    (exchanged_last_two, "exchanged", 19),
    (repeated, "repeated", 7),
    (foreign, "foreign", 7),
    (foreign_between, "foreign", 7),
    (foreign_behind, "foreign", 21),
    (surplus, "surplus", 21),
    (cut, "cut", 20),
    (cut_in_the_middle, "cut", 7),
]


@pytest.mark.parametrize(("tamper", "problem", "line"), TAMPERING, ids=[one[0].__name__ for one in TAMPERING])
async def test_tampering_is_told_by_its_kind_and_first_line_and_is_not_imported(
    exported: Path, other_pool: "Pool[Any]", tamper: Callable[[Lines], None], problem: str, line: int
) -> None:
    lines = lines_of(exported)
    tamper(lines)
    assert lines != lines_of(exported)
    (exported / EVENTS_FILE).write_bytes(b"".join(lines))
    # Whoever tampers makes the manifest fit.
    change_manifest(exported, events_sha256=sha256(b"".join(lines)).hexdigest())
    found = audit(exported, PUBLIC_KEY)
    assert (found.verified, found.problem, found.first_wrong) == (False, problem, line)
    assert found.size == line - 1
    assert found.detail.startswith(f"line {line}: ")
    with pytest.raises(ArchiveRejected) as refused:
        await import_book(other_pool, exported, PUBLIC_KEY)
    assert refused.value.report == found
    await assert_nothing_in(other_pool)


@pytest.mark.parametrize(
    ("tamper", "problem", "line"),
    [
        (changed_data, "rewritten", None),
        (changed_spelling, "changed", 7),
        (changed_version, "unsound", 8),
        (without_last, "missing", 20),
        (without_two, "missing", 7),
        (exchanged_neighbours, "exchanged", 7),
        (repeated, "repeated", 7),
        (foreign, "foreign", 7),
        (surplus, "surplus", 21),
        (cut, "cut", 20),
    ],
)
@pytest.mark.parametrize("leaves", ["missing", "forged", "odd"])
async def test_tampering_is_found_without_the_leaves_too(
    exported: Path, tamper: Callable[[Lines], None], problem: str, line: int | None, leaves: str
) -> None:
    lines = lines_of(exported)
    tamper(lines)
    (exported / EVENTS_FILE).write_bytes(b"".join(lines))
    if leaves == "missing":
        (exported / LEAVES_FILE).unlink()
    else:
        forged = b"".join(leaf_hash(one[:-1]) for one in lines)
        (exported / LEAVES_FILE).write_bytes(forged if leaves == "forged" else forged[:-1])
    found = audit(exported, PUBLIC_KEY)
    assert (found.verified, found.problem, found.first_wrong) == (False, problem, line)


async def test_a_wrong_key_and_a_changed_checkpoint_are_told_apart(exported: Path, other_pool: "Pool[Any]") -> None:
    stranger = public_key_of(bytes(32))
    assert audit(exported, stranger).problem == "key"
    with pytest.raises(ArchiveRejected):
        await import_book(other_pool, exported, stranger)
    note = json.loads((exported / MANIFEST_FILE).read_text())["checkpoint"]
    change_manifest(exported, checkpoint=note.replace("\n20\n", "\n19\n"))
    assert audit(exported, PUBLIC_KEY).problem == "checkpoint"
    with pytest.raises(ArchiveRejected):
        await import_book(other_pool, exported, PUBLIC_KEY)
    await assert_nothing_in(other_pool)


async def test_the_checkpoint_of_another_book_does_not_count(
    ledger: Ledger, exported: Path, pool: "Pool[Any]", tmp_path: Path
) -> None:
    await fill(ledger, EVENTS, book="people")
    await export_book(pool, "people", tmp_path / "people", signing_key=KEY, origin=ORIGIN)
    other = json.loads((tmp_path / "people" / MANIFEST_FILE).read_text())
    change_manifest(exported, checkpoint=other["checkpoint"], root=other["root"])
    assert audit(exported, PUBLIC_KEY).problem == "checkpoint"


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 19},
        {"root": "0" * 64},
        {"events_sha256": "0" * 64},
        {"events_sha256": 3},
        {"size": True},
        {"size": "20"},
        {"size": -1},
        {"root": "x"},
        {"root": None},
        {"book": "../x"},
        {"format": 2},
        {"more": 1},
        {"checkpoint": None},
    ],
)
async def test_a_manifest_that_does_not_fit_is_refused(exported: Path, fields: dict[str, Any]) -> None:
    change_manifest(exported, **fields)
    found = audit(exported, PUBLIC_KEY)
    assert (found.verified, found.problem, found.first_wrong) == (False, "manifest", None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b" " * 100_000, b'{"format":1}'])
async def test_a_manifest_that_is_none_is_refused(exported: Path, content: bytes) -> None:
    (exported / MANIFEST_FILE).write_bytes(content)
    assert audit(exported, PUBLIC_KEY).problem == "manifest"


async def test_files_that_are_not_there_are_told(exported: Path, tmp_path: Path) -> None:
    (exported / EVENTS_FILE).unlink()
    found = audit(exported, PUBLIC_KEY)
    assert found.problem == "manifest" and EVENTS_FILE in found.detail
    found = audit(tmp_path / "nowhere", PUBLIC_KEY)
    assert found.problem == "manifest" and MANIFEST_FILE in found.detail


async def test_what_was_signed_though_it_is_no_right_event_is_refused(
    ledger: Ledger, pool: "Pool[Any]", tmp_path: Path
) -> None:
    """Whoever owns the database has the sealer sign a forged event before anybody looks."""
    await fill(ledger, 6)
    await pool.execute("ALTER TABLE ledger.events DISABLE TRIGGER refuse_change")
    await pool.execute("ALTER TABLE ledger.events_1 DISABLE TRIGGER refuse_change")
    body = await pool.fetchval("SELECT body FROM ledger.events WHERE sequence = 4")
    for name, value in (("version", 5), ("sequence", 5), ("id", "x"), ("recorded_at", "2022-08-25"), ("stream", " ")):
        forged = orjson.dumps(orjson.loads(body) | {name: value}, option=orjson.OPT_SORT_KEYS)
        await pool.execute(
            "UPDATE ledger.events SET body = $1, leaf_hash = $2 WHERE sequence = 4", forged, leaf_hash(forged)
        )
        directory = tmp_path / name
        await export_book(pool, BOOK, directory, signing_key=KEY, origin=ORIGIN)
        found = audit(directory, PUBLIC_KEY)
        assert (found.problem, found.first_wrong) == ("unsound", 4)


async def test_details_never_quote_a_line(exported: Path) -> None:
    secret = b'"stream":"secret"'
    lines = lines_of(exported)
    lines[6] = lines[6].replace(b'"stream":"trainee/00006"', secret)
    (exported / EVENTS_FILE).write_bytes(b"".join(lines))
    assert secret in b"".join(lines)
    assert "secret" not in repr(audit(exported, PUBLIC_KEY))
