"""Checkpoints: signed statements of how long a book is and what its root is, as C2SP tlog-checkpoint notes.

    xunji.example/2022-zhengzhou                     origin: who signs, and which book
    12345                                            size: how many events
    jq4cQvSfaiKxCfVsRwLMfkDp5J7Y2eZtPq1F8l6Y0yQ=     root: RFC 6962, base64
    time 2022-09-01T00:00:00.000000Z                 extension line: when it was sealed
                                                     (an empty line)
    — xunji.example/2022-zhengzhou Az3gr...          signature: key hash (4 bytes) and ed25519 signature, base64

The signature covers the text up to and including the line end before the empty line. Any verifier of such notes can
check it, given the line that `verifier_key` renders.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.canonical import instant
from ledger.errors import BadSignature, MalformedCheckpoint

ED25519: Final = b"\x01"
"""The note format's number for ed25519."""

KEY_HASH_BYTES: Final = 4
SIGNATURE_BYTES: Final = 64
MAX_NOTE_CHARACTERS: Final = 8_000
"""Of a note with the signatures of all witnesses; what is stored of our own has at most a quarter of it."""

MAX_SIGNATURES: Final = 16
"""Further signature lines are not looked at."""

_ORIGIN: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIZE: Final = re.compile(r"[1-9][0-9]{0,18}|0")
_TIME: Final = re.compile(r"time (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z)")
_SIGNATURE_START: Final = "— "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At `sealed_at` the book had `size` events with this `root` (32 bytes). `origin` ends with "/" and the book."""

    origin: str
    size: int
    root: bytes
    sealed_at: datetime

    def text(self) -> str:
        """Give the signed text, with its last line end. Raises MalformedCheckpoint for an origin with white space."""
        if _ORIGIN.fullmatch(self.origin) is None:
            raise MalformedCheckpoint(f"not an origin: {self.origin!r}")
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {instant(self.sealed_at)}\n"


def origin_of(origin: str, book: str) -> str:
    """Give the first line of a book's checkpoints."""
    return f"{origin}/{book}"


def key_hash(name: str, public_key: Ed25519PublicKey) -> bytes:
    """Give the four bytes by which a signature line tells its key."""
    return sha256(name.encode() + b"\n" + ED25519 + public_key.public_bytes_raw()).digest()[:KEY_HASH_BYTES]


def verifier_key(name: str, public_key: Ed25519PublicKey) -> str:
    """Render the public key for verifiers of signed notes; `name` is the checkpoint's origin line."""
    encoded = base64.b64encode(ED25519 + public_key.public_bytes_raw()).decode()
    return f"{name}+{key_hash(name, public_key).hex()}+{encoded}"


def sign(checkpoint: Checkpoint, *signing_keys: Ed25519PrivateKey) -> str:
    """Give the note, signed by each key in turn."""
    text = checkpoint.text()
    return f"{text}\n" + "".join(signature_line(checkpoint.origin, text, key) for key in signing_keys)


def signature_line(name: str, text: str, signing_key: Ed25519PrivateKey) -> str:
    """Give the line, with its line end, by which a key signs a text under a name."""
    value = key_hash(name, signing_key.public_key()) + signing_key.sign(text.encode())
    return f"{_SIGNATURE_START}{name} {base64.b64encode(value).decode()}\n"


def signature_values(note: str, name: str) -> list[bytes]:
    """Give what each signature line of this name holds, key hash first. Lines that cannot be read are passed over."""
    values: list[bytes] = []
    for line in note.partition("\n\n")[2].splitlines()[:MAX_SIGNATURES]:
        if line.startswith(f"{_SIGNATURE_START}{name} "):
            try:
                values.append(base64.b64decode(line.rpartition(" ")[2], validate=True))
            except binascii.Error:
                continue
    return values


def is_signed_by(note: str, name: str, public_key: Ed25519PublicKey) -> bool:
    """Whether the note's text is signed under this name by this key."""
    signed = note.partition("\n\n")[0].encode() + b"\n"
    expected = key_hash(name, public_key)
    for value in signature_values(note, name):
        if len(value) == KEY_HASH_BYTES + SIGNATURE_BYTES and value[:KEY_HASH_BYTES] == expected:
            try:
                public_key.verify(value[KEY_HASH_BYTES:], signed)
            except InvalidSignature:
                continue
            return True
    return False


def parse(note: str) -> Checkpoint:
    """Read a note without looking at its signatures. Raises MalformedCheckpoint."""
    if len(note) > MAX_NOTE_CHARACTERS:
        raise MalformedCheckpoint(f"a note of {len(note)} characters; at most {MAX_NOTE_CHARACTERS} are read")
    lines = note.partition("\n\n")[0].split("\n")
    if len(lines) != 4:
        raise MalformedCheckpoint(f"a checkpoint has four lines before its signatures, not {len(lines)}")
    origin, size, encoded_root, extension = lines
    time = _TIME.fullmatch(extension)
    if _ORIGIN.fullmatch(origin) is None or _SIZE.fullmatch(size) is None or time is None:
        raise MalformedCheckpoint("the origin, the size or the time cannot be read")
    try:
        return Checkpoint(
            origin=origin,
            size=int(size),
            root=base64.b64decode(encoded_root, validate=True),
            sealed_at=datetime.fromisoformat(time[1]),
        )
    except ValueError as error:
        raise MalformedCheckpoint(f"the root or the time cannot be read: {error}") from error


def open_note(note: str, public_key: Ed25519PublicKey) -> Checkpoint:
    """Read a note whose text is signed by this key. Raises MalformedCheckpoint or BadSignature.

    Signatures by other keys are passed over, as the format asks.
    """
    checkpoint = parse(note)
    if not is_signed_by(note, checkpoint.origin, public_key):
        raise BadSignature(f"no signature of {checkpoint.origin} at {checkpoint.size} is by this key over this text")
    return checkpoint
