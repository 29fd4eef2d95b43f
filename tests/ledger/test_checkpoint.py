"""Checkpoint notes: their form, their signature, and what is refused."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint, key_hash, open_note, origin_of, parse, sign, verifier_key
from ledger.errors import BadSignature, MalformedCheckpoint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
CHECKPOINT = Checkpoint(
    origin=origin_of("xunji.example/zzedu", "2022-zhengzhou"),
    size=12345,
    root=sha256(b"root").digest(),
    sealed_at=datetime(2022, 9, 1, 8, 0, 0, 5, tzinfo=UTC),
)


def test_a_note_has_the_form_that_other_readers_expect() -> None:
    lines = sign(CHECKPOINT, KEY).split("\n")
    assert lines[:5] == [
        "xunji.example/zzedu/2022-zhengzhou",
        "12345",
        base64.b64encode(CHECKPOINT.root).decode(),
        "time 2022-09-01T08:00:00.000005Z",
        "",
    ]
    dash, name, signature = lines[5].split(" ")
    assert (dash, name, lines[6:]) == ("—", CHECKPOINT.origin, [""])
    public_bytes = KEY.public_key().public_bytes_raw()
    value = base64.b64decode(signature)
    assert value[:4] == sha256(CHECKPOINT.origin.encode() + b"\n\x01" + public_bytes).digest()[:4]
    KEY.public_key().verify(value[4:], "\n".join(lines[:4]).encode() + b"\n")
    assert verifier_key(CHECKPOINT.origin, KEY.public_key()) == (
        f"{CHECKPOINT.origin}+{value[:4].hex()}+{base64.b64encode(bytes([1]) + public_bytes).decode()}"
    )


def test_a_signed_note_opens() -> None:
    note = sign(CHECKPOINT, KEY)
    assert parse(note) == CHECKPOINT
    assert open_note(note, KEY.public_key()) == CHECKPOINT


def test_signatures_of_others_are_passed_over() -> None:
    ours, theirs = sign(CHECKPOINT, KEY), sign(CHECKPOINT, OTHER_KEY)
    both = theirs + ours.rpartition("\n\n")[2]
    assert open_note(both, KEY.public_key()) == open_note(both, OTHER_KEY.public_key()) == CHECKPOINT


@pytest.mark.parametrize(
    ("old", "new"), [("12345", "12346"), ("zzedu", "zzedv"), ("00.000005Z", "00.000006Z"), ("time", "Time")]
)
def test_a_changed_text_does_not_open(old: str, new: str) -> None:
    changed = sign(CHECKPOINT, KEY).replace(old, new)
    with pytest.raises((BadSignature, MalformedCheckpoint)):
        open_note(changed, KEY.public_key())


def test_another_root_or_key_does_not_open() -> None:
    note = sign(CHECKPOINT, KEY)
    root = base64.b64encode(CHECKPOINT.root).decode()
    with pytest.raises(BadSignature):
        open_note(note.replace(root, base64.b64encode(bytes(32)).decode()), KEY.public_key())
    with pytest.raises(BadSignature):
        open_note(note, OTHER_KEY.public_key())
    with pytest.raises(BadSignature):
        open_note(note.partition("\n\n")[0] + "\n\n", KEY.public_key())
    assert key_hash(CHECKPOINT.origin, KEY.public_key()) != key_hash(CHECKPOINT.origin, OTHER_KEY.public_key())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n\n",
        "origin\n-1\nAAAA\ntime 2022-09-01T08:00:00.000005Z\n\n",
        "origin\n01\nAAAA\ntime 2022-09-01T08:00:00.000005Z\n\n",
        "origin\n1\nA?A\ntime 2022-09-01T08:00:00.000005Z\n\n",
        "origin\n1\nAAAA\ntime 2022-13-01T08:00:00.000005Z\n\n",
        "two words\n1\nAAAA\ntime 2022-09-01T08:00:00.000005Z\n\n",
        "x" * 2001,
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedCheckpoint):
        parse(text)


def test_an_origin_with_white_space_is_not_signed() -> None:
    with pytest.raises(MalformedCheckpoint):
        sign(replace(CHECKPOINT, origin="two words"), KEY)
