"""Cosignatures of witnesses on checkpoints, as C2SP tlog-cosignature has them (ed25519, cosignature/v1).

A witness signs the checkpoint's whole text under a line with the time, and its line is appended to the note:

    — witness.example/w1 jWbPPwAAAABkGFDL…        key hash (4 bytes), seconds since 1970 (8 bytes), signature (64)

It says: of this log, this was the longest tree that I had seen at that time, and it held everything I had seen before.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.checkpoint import KEY_HASH_BYTES, MAX_NOTE_CHARACTERS, SIGNATURE_BYTES, signature_values
from ledger.errors import MalformedCheckpoint, MalformedWitness
from ledger.merkle import HASH_BYTES

COSIGNATURE_V1: Final = b"\x04"
"""The note format's number for such cosignatures."""

MAX_WITNESSES: Final = 8
MAX_EXTENSION_LINES: Final = 16

_TIME_BYTES: Final = 8
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_ORIGIN: Final = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
_SIZE: Final = re.compile(r"[1-9][0-9]{0,18}|0")
_LATEST: Final = 2**40
"""No cosignature is from a second beyond this; `datetime` could not hold it."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Who countersigns our checkpoints, and where it is asked. A `required` one is missed when it is away."""

    name: str
    public_key: Ed25519PublicKey
    url: str = ""
    required: bool = True

    @property
    def id(self) -> str:
        """The key hash by which its lines are told, in hexadecimal: eight characters."""
        return _key_hash(self.name, self.public_key).hex()


@dataclass(frozen=True, slots=True)
class Head:
    """The first three lines of any log's checkpoint. Further lines are for the log's own readers."""

    origin: str
    size: int
    root: bytes


def witness_of(verifier_key: str, url: str = "", *, required: bool = True) -> Witness:
    """Read a witness's verifier key: name, key hash and key, joined by "+". Raises MalformedWitness."""
    name, _, rest = verifier_key.partition("+")
    key_hash, _, encoded = rest.partition("+")
    try:
        value = base64.b64decode(encoded, validate=True)
        witness = Witness(name, Ed25519PublicKey.from_public_bytes(value[1:]), url, required)
    except (ValueError, binascii.Error):
        raise MalformedWitness("a witness's key is NAME+HASH+KEY with 33 bytes in base64 for KEY") from None
    if _NAME.fullmatch(name) is None or value[:1] != COSIGNATURE_V1 or witness.id != key_hash:
        raise MalformedWitness("the name, the kind or the hash of the witness's key is not right: copy it once more")
    return witness


def witness_key(name: str, public_key: Ed25519PublicKey) -> str:
    """Render a witness's verifier key, which `witness_of` and other implementations read."""
    encoded = base64.b64encode(COSIGNATURE_V1 + public_key.public_bytes_raw()).decode()
    return f"{name}+{_key_hash(name, public_key).hex()}+{encoded}"


def cosign(note: str, name: str, signing_key: Ed25519PrivateKey, at: datetime) -> str:
    """Give the line, with its line end, by which a witness of this name countersigns the note's text."""
    seconds = int(at.timestamp())
    value = (
        _key_hash(name, signing_key.public_key())
        + seconds.to_bytes(_TIME_BYTES, "big")
        + signing_key.sign(_signed(note, seconds))
    )
    return f"— {name} {base64.b64encode(value).decode()}\n"


def cosigned_at(note: str, witness: Witness) -> datetime | None:
    """When the witness countersigned the note, None if it did not. Of several cosignatures the latest counts."""
    found: list[int] = []
    expected = _key_hash(witness.name, witness.public_key)
    for value in signature_values(note, witness.name):
        if len(value) != KEY_HASH_BYTES + _TIME_BYTES + SIGNATURE_BYTES or not value.startswith(expected):
            continue
        seconds = int.from_bytes(value[KEY_HASH_BYTES : KEY_HASH_BYTES + _TIME_BYTES], "big")
        try:
            witness.public_key.verify(value[KEY_HASH_BYTES + _TIME_BYTES :], _signed(note, seconds))
        except InvalidSignature:
            continue
        if seconds < _LATEST:
            found.append(seconds)
    return datetime.fromtimestamp(max(found), UTC) if found else None


def with_line(note: str, lines: str) -> str:
    """Give the note with further signature lines."""
    return f"{note.rstrip(chr(10))}\n{lines.rstrip(chr(10))}\n"


def read_head(note: str) -> Head:
    """Read any log's checkpoint without looking at its signatures. Raises MalformedCheckpoint."""
    if len(note) > MAX_NOTE_CHARACTERS:
        raise MalformedCheckpoint(f"a note of {len(note)} characters; at most {MAX_NOTE_CHARACTERS} are read")
    text, separator, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if not separator or not signatures.endswith("\n") or not 3 <= len(lines) <= 3 + MAX_EXTENSION_LINES:
        raise MalformedCheckpoint("a checkpoint has origin, size and root, an empty line, and signatures")
    origin, size, encoded = lines[:3]
    try:
        root = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        root = b""
    if _ORIGIN.fullmatch(origin) is None or _SIZE.fullmatch(size) is None or len(root) != HASH_BYTES:
        raise MalformedCheckpoint("the origin, the size or the root of the checkpoint cannot be read")
    return Head(origin, int(size), root)


def _key_hash(name: str, public_key: Ed25519PublicKey) -> bytes:
    return sha256(name.encode() + b"\n" + COSIGNATURE_V1 + public_key.public_bytes_raw()).digest()[:KEY_HASH_BYTES]


def _signed(note: str, seconds: int) -> bytes:
    text = note.partition("\n\n")[0]
    return f"cosignature/v1\ntime {seconds}\n{text}\n".encode()
