"""Which keys count: what two signatures link, what one does not, and where an old key ends."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint, sign, signature_line
from ledger.errors import BadSignature, KeysContradictory, MalformedSuccession
from ledger.keyring import Keyring, Succession, hand_over, read_directory, read_succession, succession_file

ORIGIN, BOOK = "xunji.example", "2022-zhengzhou"
FIRST, SECOND, THIRD, THIEF = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in range(1, 5))
ROOT = sha256(b"root").digest()
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def succession(number: int, old: Ed25519PrivateKey, new: Ed25519PrivateKey, size: int = 30) -> Succession:
    return hand_over(ORIGIN, number, old, new, NOW, {BOOK: (size, ROOT)})


def note(size: int, *keys: Ed25519PrivateKey, book: str = BOOK) -> str:
    return sign(Checkpoint(f"{ORIGIN}/{book}", size, ROOT, NOW), *keys)


def test_a_note_of_succession_says_where_each_book_was() -> None:
    made = hand_over(ORIGIN, 7, FIRST, SECOND, NOW, {"people": (2, ROOT), BOOK: (30, ROOT)})
    lines = made.note.split("\n")
    assert lines[:2] == [ORIGIN, "succession 7"]
    assert [line.split(" ")[:3] for line in lines[5:7]] == [["book", BOOK, "30"], ["book", "people", "2"]]
    assert len([line for line in lines if line.startswith(f"— {ORIGIN} ")]) == 2
    assert read_succession(made.note) == made


@pytest.mark.parametrize("anchor", [FIRST, SECOND, THIRD])
def test_any_anchor_of_the_chain_leads_to_all_of_its_keys(anchor: Ed25519PrivateKey) -> None:
    ring = Keyring([anchor.public_key()], [succession(2, SECOND, THIRD, 50), succession(1, FIRST, SECOND)])
    for size, key in ((10, FIRST), (30, FIRST), (31, SECOND), (50, SECOND), (51, THIRD)):
        assert ring.open(note(size, key)).size == size
    assert ring.present_keys() == [THIRD.public_key()]
    assert ring.counts(THIRD.public_key())
    assert ring.knows(FIRST.public_key())
    assert not ring.counts(FIRST.public_key())
    assert [each.number for each in ring.successions] == [1, 2]
    assert [(size, root) for _, size, root in ring.handed_over(BOOK)] == [(30, ROOT), (50, ROOT)]


def test_an_old_key_signs_nothing_beyond_its_end() -> None:
    ring = Keyring([SECOND.public_key()], [succession(1, FIRST, SECOND)])
    with pytest.raises(BadSignature, match="did not count any more: succession 1"):
        ring.open(note(31, FIRST))
    with pytest.raises(BadSignature, match="did not count"):
        ring.open(note(1, FIRST, book="begun-later"))
    assert ring.open(note(31, FIRST, SECOND)).size == 31


def test_without_the_note_the_other_key_is_a_strangers() -> None:
    for anchor, other in ((FIRST, SECOND), (SECOND, FIRST)):
        with pytest.raises(BadSignature, match="by a key that counts"):
            Keyring([anchor.public_key()]).open(note(5, other))


@pytest.mark.parametrize("signers", [(FIRST,), (SECOND,), (THIEF,), (FIRST, THIEF), ()])
def test_whoever_lacks_one_of_the_keys_adds_none(signers: tuple[Ed25519PrivateKey, ...]) -> None:
    text = succession(1, FIRST, SECOND).note.partition("\n\n")[0] + "\n"
    forged = f"{text}\n" + "".join(signature_line(ORIGIN, text, key) for key in signers)
    with pytest.raises(BadSignature, match="both keys"):
        read_succession(forged)


@pytest.mark.parametrize(
    ("old", "new"), [("book 2022-zhengzhou 30", "book 2022-zhengzhou 31"), ("succession 1", "succession 2")]
)
def test_a_changed_note_links_nothing(old: str, new: str) -> None:
    with pytest.raises(BadSignature):
        read_succession(succession(1, FIRST, SECOND).note.replace(old, new))


def test_a_thief_of_the_old_key_does_not_get_past_the_present_one() -> None:
    known = [succession(1, FIRST, SECOND), succession(1, FIRST, THIEF, 5)]
    ring = Keyring([SECOND.public_key()], known)
    with pytest.raises(BadSignature):
        ring.open(note(31, THIEF))
    assert ring.open(note(30, FIRST)).size == 30
    # Whoever has nothing but the old key cannot tell the two apart, and is told so.
    with pytest.raises(KeysContradictory, match="stolen"):
        Keyring([FIRST.public_key()], known)


def test_both_keys_may_be_anchors_before_and_after() -> None:
    ring = Keyring([SECOND.public_key(), FIRST.public_key()])
    assert ring.open(note(99, FIRST)).size == 99
    ring = ring.with_successions([succession(1, FIRST, SECOND)])
    with pytest.raises(BadSignature):
        ring.open(note(99, FIRST))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 400_001,
        "origin\nsuccession 1\n\n",
        "two words" + succession(1, FIRST, SECOND).note.removeprefix(ORIGIN),
        succession(1, FIRST, SECOND).note.replace("from ", "from x"),
        succession(1, FIRST, SECOND).note.replace("book 2022", "book ../2022"),
        succession(1, FIRST, SECOND).note.replace("2026-11-24T", "2026-13-24T"),
    ],
)
def test_what_is_no_note_of_succession_is_refused(text: str) -> None:
    with pytest.raises(MalformedSuccession):
        read_succession(text)


def test_a_key_does_not_follow_itself_and_a_book_stands_there_once() -> None:
    with pytest.raises(MalformedSuccession, match="itself"):
        succession(1, FIRST, FIRST)
    twice = succession(1, FIRST, SECOND).note
    line = next(line for line in twice.split("\n") if line.startswith("book "))
    with pytest.raises(MalformedSuccession, match="twice"):
        read_succession(twice.replace(line, f"{line}\n{line}"))


def test_the_directory_is_read_and_a_wrong_file_is_told(tmp_path: Path) -> None:
    first = succession(1, FIRST, SECOND)
    succession_file(tmp_path, 1).write_text(first.note)
    assert read_directory(tmp_path) == [first]
    assert read_directory(None) == read_directory(tmp_path / "nowhere") == []
    succession_file(tmp_path, 2).write_bytes(b"\xff")
    with pytest.raises(MalformedSuccession):
        read_directory(tmp_path)


def test_notes_are_bounded() -> None:
    many = [replace(succession(1, FIRST, SECOND), note=str(number)) for number in range(1_001)]
    with pytest.raises(KeysContradictory, match="at most"):
        Keyring([FIRST.public_key()], many)
