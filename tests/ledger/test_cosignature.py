"""Cosignatures: their bytes as others write them, and what is not taken for one."""

import base64
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint, open_note, sign
from ledger.cosignature import Head, cosign, cosigned_at, read_head, with_line, witness_key, witness_of
from ledger.errors import MalformedCheckpoint, MalformedWitness

LOG, WITNESS, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in range(1, 4))
NAME = "witness.example/w1"
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
NOTE = sign(Checkpoint("xunji.example/people", 7, sha256(b"root").digest(), NOW), LOG)
KEY = witness_key(NAME, WITNESS.public_key())


def test_a_cosignature_has_the_bytes_that_the_format_names() -> None:
    line = cosign(NOTE, NAME, WITNESS, NOW)
    dash, name, encoded = line.removesuffix("\n").split(" ")
    value = base64.b64decode(encoded)
    public = WITNESS.public_key().public_bytes_raw()
    assert (dash, name, len(value)) == ("—", NAME, 4 + 8 + 64)
    assert value[:4] == sha256(NAME.encode() + b"\n\x04" + public).digest()[:4]
    assert int.from_bytes(value[4:12], "big") == int(NOW.timestamp())
    text = NOTE.partition("\n\n")[0] + "\n"
    WITNESS.public_key().verify(value[12:], f"cosignature/v1\ntime {int(NOW.timestamp())}\n{text}".encode())
    assert f"{NAME}+{value[:4].hex()}+{base64.b64encode(bytes([4]) + public).decode()}" == KEY


def test_a_cosigned_note_is_still_the_logs_and_tells_when() -> None:
    witness = witness_of(KEY)
    earlier = cosign(NOTE, NAME, WITNESS, datetime(2026, 1, 1, tzinfo=UTC))
    note = with_line(with_line(NOTE, earlier), cosign(NOTE, NAME, WITNESS, NOW))
    assert open_note(note, LOG.public_key()).size == 7
    assert cosigned_at(note, witness) == NOW
    assert cosigned_at(NOTE, witness) is None


@pytest.mark.parametrize(
    "line",
    [
        cosign(NOTE, NAME, OTHER, NOW),
        cosign(NOTE, "witness.example/w2", WITNESS, NOW),
        cosign(NOTE.replace("\n7\n", "\n8\n"), NAME, WITNESS, NOW),
        f"— {NAME} !\n",
        f"— {NAME} {base64.b64encode(bytes(76)).decode()}\n",
        f"— {NAME} {base64.b64encode(bytes(75)).decode()}\n",
        "",
    ],
)
def test_what_is_no_cosignature_of_this_witness_does_not_count(line: str) -> None:
    assert cosigned_at(with_line(NOTE, line), witness_of(KEY)) is None


def test_a_changed_time_does_not_count() -> None:
    value = bytearray(base64.b64decode(cosign(NOTE, NAME, WITNESS, NOW).split(" ")[2]))
    value[11] ^= 1
    assert cosigned_at(with_line(NOTE, f"— {NAME} {base64.b64encode(value).decode()}"), witness_of(KEY)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAME,
        KEY[:-4],
        KEY.replace(NAME, "witness.example/w2"),
        "two words" + KEY.removeprefix(NAME),
        f"{NAME}+00000000+" + KEY.rpartition("+")[2],
        KEY.replace("+B", "+A", 1),
    ],
)
def test_a_witness_key_that_was_copied_wrongly_is_refused(text: str) -> None:
    assert witness_of(KEY).id == KEY.split("+")[1]
    with pytest.raises(MalformedWitness):
        witness_of(text)


def test_the_checkpoints_of_any_log_are_read() -> None:
    root = base64.b64encode(bytes(32)).decode()
    assert read_head(NOTE) == Head("xunji.example/people", 7, sha256(b"root").digest())
    assert read_head(f"a log of others\n0\n{root}\n\n— x y\n") == Head("a log of others", 0, bytes(32))
    for text in (
        "",
        f"o\n1\n{root}\n",
        f"o\n01\n{root}\n\n— x y\n",
        f"o\n1\n{root[4:]}\n\n— x y\n",
        f"o\n1\n!{root}\n\n— x y\n",
        f"\n1\n{root}\n\n— x y\n",
        f"o\n1\n{root}\n\n— x y",
        f"o\n1\n{root}\n" + "e\n" * 17 + "\n— x y\n",
        "x" * 8_001,
    ):
        with pytest.raises(MalformedCheckpoint):
            read_head(text)
