"""Which keys may have signed a book's checkpoints: one that is trusted from elsewhere, and those linked to it.

A key is succeeded by another with a note that both sign. The note says how long each book was and what its root was
when the old key stopped counting:

    xunji.example                                     origin of the ledger
    succession 1                                      the first handing over, the second …
    from qMSZ1mjt…                                    the old public key, base64
    to   0VqQx7Qe…                                    the new one
    time 2026-11-24T08:00:00.000000Z
    book 2022-zhengzhou 30 jq4cQvSfaiKx…              a line per book, by name: size and root
                                                      (an empty line)
    — xunji.example …                                 signed by the old key
    — xunji.example …                                 signed by the new key

Trust begins at an anchor: a public key that the reader has from elsewhere, never from the database. Whoever holds an
early key follows the notes forward, whoever holds the present one follows them back; a note without both signatures
links nothing, so that whoever owns the database cannot add a key. The old key counts up to the sizes in the note and
no further: it may be stolen later and still signs nothing new, and what came before is held by the roots in the note.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.canonical import instant
from ledger.checkpoint import Checkpoint, is_signed_by, parse, signature_line
from ledger.errors import BadSignature, KeysContradictory, MalformedSuccession
from ledger.merkle import HASH_BYTES
from ledger.schema import AnyConnection

MAX_SUCCESSIONS: Final = 1_000
MAX_BOOKS: Final = 1_000
MAX_SUCCESSION_CHARACTERS: Final = 400_000
FILE_SUFFIX: Final = ".succession"

_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_HEADER: Final = re.compile(r"succession ([1-9][0-9]{0,3})")
_FROM: Final = re.compile(r"from ([A-Za-z0-9+/]{43}=)")
_TO: Final = re.compile(r"to   ([A-Za-z0-9+/]{43}=)")
_TIME: Final = re.compile(r"time (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z)")
_BOOK: Final = re.compile(r"book ([a-z0-9][a-z0-9._-]{0,99}) ([1-9][0-9]{0,18}) ([A-Za-z0-9+/]{43}=)")
_LINES_BEFORE_BOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class Succession:
    """The `number`th handing over: `new_key` follows `old_key`, which counts up to the size of each book in `books`.

    `books` gives size and root by name; `note` is the text with both signatures.
    """

    origin: str
    number: int
    old_key: bytes
    new_key: bytes
    at: datetime
    books: Mapping[str, tuple[int, bytes]]
    note: str


def hand_over(
    origin: str,
    number: int,
    old: Ed25519PrivateKey,
    new: Ed25519PrivateKey,
    at: datetime,
    books: Mapping[str, tuple[int, bytes]],
) -> Succession:
    """Make the note by which `new` follows `old`. Raises MalformedSuccession when there are too many books."""
    lines = [
        origin,
        f"succession {number}",
        f"from {_encoded(old.public_key().public_bytes_raw())}",
        f"to   {_encoded(new.public_key().public_bytes_raw())}",
        f"time {instant(at)}",
        *(f"book {book} {size} {_encoded(root)}" for book, (size, root) in sorted(books.items())),
    ]
    text = "\n".join(lines) + "\n"
    return read_succession(f"{text}\n{signature_line(origin, text, old)}{signature_line(origin, text, new)}")


def read_succession(note: str) -> Succession:
    """Read a note of succession and check both of its signatures. Raises MalformedSuccession or BadSignature."""
    if len(note) > MAX_SUCCESSION_CHARACTERS:
        raise MalformedSuccession(f"{len(note)} characters; at most {MAX_SUCCESSION_CHARACTERS} are read")
    lines = note.partition("\n\n")[0].split("\n")
    if not _LINES_BEFORE_BOOKS <= len(lines) <= _LINES_BEFORE_BOOKS + MAX_BOOKS:
        raise MalformedSuccession(f"a note of succession has five lines and at most {MAX_BOOKS} books")
    header, old, new, time = (
        pattern.fullmatch(line)
        for pattern, line in zip((_HEADER, _FROM, _TO, _TIME), lines[1:_LINES_BEFORE_BOOKS], strict=True)
    )
    books = [_BOOK.fullmatch(line) for line in lines[_LINES_BEFORE_BOOKS:]]
    if _NAME.fullmatch(lines[0]) is None or header is None or old is None or new is None or time is None:
        raise MalformedSuccession("the origin, the number, a key or the time cannot be read")
    if None in books or len({found[1] for found in books if found}) != len(books):
        raise MalformedSuccession("a book cannot be read, or stands there twice")
    try:
        succession = Succession(
            lines[0],
            int(header[1]),
            base64.b64decode(old[1]),
            base64.b64decode(new[1]),
            datetime.fromisoformat(time[1]),
            {found[1]: (int(found[2]), base64.b64decode(found[3])) for found in books if found},
            note,
        )
        keys = [Ed25519PublicKey.from_public_bytes(key) for key in (succession.old_key, succession.new_key)]
    except (ValueError, binascii.Error) as error:
        raise MalformedSuccession(f"a key, a root or the time cannot be read: {error}") from error
    if succession.old_key == succession.new_key:
        raise MalformedSuccession("a key cannot follow itself")
    for key in keys:
        if not is_signed_by(note, succession.origin, key):
            raise BadSignature(f"succession {succession.number} is not signed by both keys")
    return succession


class Keyring:
    """The keys that count, from one or more anchors on. Immutable; raises KeysContradictory when notes disagree."""

    def __init__(self, anchors: Iterable[Ed25519PublicKey], successions: Iterable[Succession] = ()) -> None:
        self._anchors = tuple(anchors)
        self._successions = {each.note: each for each in successions}
        self._retired: dict[bytes, Succession] = {}
        self._keys = {key.public_bytes_raw(): key for key in self._anchors}
        self._follow()

    def with_successions(self, successions: Iterable[Succession]) -> Self:
        """Give a keyring of the same anchors that knows further notes."""
        return type(self)(self._anchors, (*self._successions.values(), *successions))

    def open(self, note: str) -> Checkpoint:
        """Read a checkpoint that a key which counts at its size has signed. Raises as `checkpoint.open_note` does."""
        checkpoint = parse(note)
        book = checkpoint.origin.rpartition("/")[2]
        retired: Succession | None = None
        for raw, key in self._keys.items():
            if is_signed_by(note, checkpoint.origin, key):
                retired = self._retired.get(raw)
                if retired is None or checkpoint.size <= retired.books.get(book, (0, b""))[0]:
                    return checkpoint
        where = f"{checkpoint.origin} at {checkpoint.size}"
        if retired is not None:
            raise BadSignature(f"{where} is signed by a key that did not count any more: succession {retired.number}")
        raise BadSignature(f"no signature of {where} is by a key that counts, over this text")

    def counts(self, public_key: Ed25519PublicKey) -> bool:
        """Whether the key is trusted and was not succeeded yet."""
        raw = public_key.public_bytes_raw()
        return raw in self._keys and raw not in self._retired

    def knows(self, public_key: Ed25519PublicKey) -> bool:
        """Whether the key is trusted, for the past at least."""
        return public_key.public_bytes_raw() in self._keys

    def all_keys(self) -> list[Ed25519PublicKey]:
        """Give all trusted keys, of the past too."""
        return list(self._keys.values())

    def present_keys(self) -> list[Ed25519PublicKey]:
        """Give the trusted keys that were not succeeded yet."""
        return [key for raw, key in self._keys.items() if raw not in self._retired]

    def handed_over(self, book: str) -> list[tuple[Succession, int, bytes]]:
        """Give the notes that linked two trusted keys over this book, by size, each with its size and root."""
        found = [(each, *each.books[book]) for each in self._retired.values() if book in each.books]
        return sorted(found, key=lambda each: each[1])

    @property
    def successions(self) -> list[Succession]:
        """The notes that link the trusted keys, in order."""
        return sorted(self._retired.values(), key=lambda each: (each.number, each.note))

    def _follow(self) -> None:
        known = sorted(self._successions.values(), key=lambda each: each.number)
        if len(known) > MAX_SUCCESSIONS:
            raise KeysContradictory(f"{len(known)} notes of succession; at most {MAX_SUCCESSIONS} are followed")
        # Back first: what the present key has signed about its forerunner decides, whatever else was signed with the
        # forerunner's key since it was given up.
        changed = True
        while changed:
            changed = False
            for each in reversed(known):
                if each.new_key in self._keys and self._retired.get(each.old_key) is None:
                    self._link(each)
                    changed = True
        changed = True
        while changed:
            changed = False
            for each in known:
                if each.old_key in self._keys and each.old_key not in self._retired:
                    rivals = [one for one in known if one.old_key == each.old_key]
                    if len(rivals) > 1:
                        raise KeysContradictory(
                            f"{len(rivals)} notes of succession {each.number} name different keys: one of them was "
                            "made with a stolen key; ask for the present public key and give that one"
                        )
                    self._link(each)
                    changed = True

    def _link(self, each: Succession) -> None:
        self._retired[each.old_key] = each
        for raw in (each.old_key, each.new_key):
            self._keys.setdefault(raw, Ed25519PublicKey.from_public_bytes(raw))


Trust: TypeAlias = "Ed25519PublicKey | Keyring"
"""Whose signatures count: one key, or a ring of them."""


def keyring_of(trust: Trust) -> Keyring:
    """Give the ring; a single key is the anchor of one."""
    return trust if isinstance(trust, Keyring) else Keyring([trust])


def succession_file(directory: Path, number: int) -> Path:
    """Give the file that holds a note of succession, beside the checkpoints outside the database."""
    return directory / f"{number:04}{FILE_SUFFIX}"


def read_directory(directory: Path | None) -> list[Succession]:
    """Read the notes of succession in a directory. Raises MalformedSuccession or BadSignature for a wrong one."""
    paths = sorted(directory.glob(f"[!.]*{FILE_SUFFIX}")) if directory is not None else []
    found: list[Succession] = []
    for path in paths[:MAX_SUCCESSIONS]:
        try:
            found.append(read_succession(path.read_text(encoding="utf-8")))
        except UnicodeDecodeError as error:
            raise MalformedSuccession(f"{path} cannot be read") from error
    return found


async def read_database(connection: "AnyConnection | Any") -> list[Succession]:
    """Read the notes of succession in a database; those that are not signed by both keys link nothing.

    `connection` is a connection or a pool.
    """
    rows = await connection.fetch("SELECT note FROM ledger.successions ORDER BY number LIMIT $1", MAX_SUCCESSIONS)
    found: list[Succession] = []
    for row in rows:
        try:
            found.append(read_succession(row["note"]))
        except (MalformedSuccession, BadSignature):
            # Somebody has put it there who does not have the keys. It must not keep the others from being read.
            continue
    return found


def _encoded(value: bytes) -> str:
    assert len(value) == HASH_BYTES, "keys and roots have 32 bytes"
    return base64.b64encode(value).decode()
