"""Proofs against the definitions of RFC 6962, section 2.1, written down a second time."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import proofs as proofs_module
from ledger.checkpoint import Checkpoint, origin_of
from ledger.merkle import leaf_hash, node_hash
from ledger.proofs import (
    MAX_SIZE,
    ConsistencyProof,
    InclusionProof,
    MalformedProof,
    ProofRejected,
    check_consistency,
    check_inclusion,
    verify_consistency,
    verify_inclusion,
)
from tests.ledger.test_merkle import INPUTS, ROOTS, root_by_definition

KEY = bytes(range(32))
ORIGIN = "xunji.example"
SIZES = range(1, 41)
ENTRIES = [b"entry %d" % number for number in range(SIZES.stop)]
KNOWN = [bytes.fromhex(text) for text in INPUTS]

# What the tests of Certificate Transparency's own implementations expect of their tree: leaf or first size, and size.
KNOWN_PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
KNOWN_CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def half_of(count: int) -> int:
    half = 1
    while half * 2 < count:
        half *= 2
    return half


def path_by_definition(index: int, entries: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    half = half_of(len(entries))
    if index < half:
        return [*path_by_definition(index, entries[:half]), root_by_definition(entries[half:])]
    return [*path_by_definition(index - half, entries[half:]), root_by_definition(entries[:half])]


def consistency_by_definition(first: int, entries: list[bytes], whole: bool = True) -> list[bytes]:
    """PROOF(m, D[n]), which is SUBPROOF(m, D[n], true)."""
    if first == len(entries):
        return [] if whole else [root_by_definition(entries)]
    half = half_of(len(entries))
    if first <= half:
        return [*consistency_by_definition(first, entries[:half], whole), root_by_definition(entries[half:])]
    return [*consistency_by_definition(first - half, entries[half:], False), root_by_definition(entries[:half])]


def flipped(value: bytes, bit: int) -> bytes:
    return bytes(byte ^ (1 << bit % 8 if place == bit // 8 else 0) for place, byte in enumerate(value))


@st.composite
def mutations(draw: st.DrawFn, hashes: list[bytes]) -> list[bytes]:
    """The hashes of a proof, changed in one of the ways in which they can be."""
    changed = list(hashes)
    ways = ["insert"] + (["flip", "drop", "shorten"] if hashes else []) + (["exchange"] if len(hashes) > 1 else [])
    way = draw(st.sampled_from(ways))
    if way == "insert":
        changed.insert(draw(st.integers(0, len(hashes))), draw(st.sampled_from([*hashes, bytes(32)])))
        return changed
    place = draw(st.integers(0, len(hashes) - 1))
    if way == "flip":
        changed[place] = flipped(changed[place], draw(st.integers(0, 255)))
    elif way == "drop":
        del changed[place]
    elif way == "shorten":
        changed[place] = changed[place][:-1]
    else:
        other = draw(st.integers(0, len(hashes) - 1).filter(lambda one: one != place))
        changed[place], changed[other] = changed[other], changed[place]
    return changed


@pytest.mark.parametrize(("index", "size", "expected"), KNOWN_PATHS)
def test_the_known_inclusion_proofs_are_accepted(index: int, size: int, expected: list[str]) -> None:
    assert [one.hex() for one in path_by_definition(index, KNOWN[:size])] == expected
    verify_inclusion(
        leaf_hash(KNOWN[index]), index, size, list(map(bytes.fromhex, expected)), bytes.fromhex(ROOTS[size - 1])
    )


@pytest.mark.parametrize(("first", "second", "expected"), KNOWN_CONSISTENCIES)
def test_the_known_consistency_proofs_are_accepted(first: int, second: int, expected: list[str]) -> None:
    assert [one.hex() for one in consistency_by_definition(first, KNOWN[:second])] == expected
    verify_consistency(
        first,
        second,
        list(map(bytes.fromhex, expected)),
        bytes.fromhex(ROOTS[first - 1]),
        bytes.fromhex(ROOTS[second - 1]),
    )


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_every_size_is_included_where_it_is_and_nowhere_else(size: int) -> None:
    root = root_by_definition(ENTRIES[:size])
    for index in range(size):
        path = path_by_definition(index, ENTRIES[:size])
        verify_inclusion(leaf_hash(ENTRIES[index]), index, size, path, root)
        for other in set(range(size)) - {index}:
            with pytest.raises(ProofRejected):
                verify_inclusion(leaf_hash(ENTRIES[index]), other, size, path, root)


@pytest.mark.parametrize("second", SIZES)
def test_every_size_is_consistent_with_every_smaller_one(second: int) -> None:
    for first in range(1, second + 1):
        verify_consistency(
            first,
            second,
            consistency_by_definition(first, ENTRIES[:second]),
            root_by_definition(ENTRIES[:first]),
            root_by_definition(ENTRIES[:second]),
        )


@pytest.mark.parametrize("size", SIZES)
def test_the_subtrees_that_are_read_are_those_of_the_definition(size: int) -> None:
    entries = ENTRIES[:size]
    for index in range(size):
        subtrees = proofs_module._inclusion_subtrees(index, size)
        assert [root_by_definition(entries[slice(*one)]) for one in subtrees] == path_by_definition(index, entries)
        subtrees = proofs_module._consistency_subtrees(index + 1, size)
        expected = consistency_by_definition(index + 1, entries)
        assert [root_by_definition(entries[slice(*one)]) for one in subtrees] == expected


@settings(deadline=None)
@given(st.data(), st.sampled_from(SIZES))
def test_a_changed_inclusion_proof_is_rejected(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, root = leaf_hash(ENTRIES[index]), root_by_definition(ENTRIES[:size])
    path = path_by_definition(index, ENTRIES[:size])
    changed = data.draw(mutations(path))
    bit = data.draw(st.integers(0, 255))
    for arguments in (
        (leaf, index, size, changed, root),
        (flipped(leaf, bit), index, size, path, root),
        (leaf, index, size, path, flipped(root, bit)),
        (leaf[1:], index, size, path, root),
        (leaf, index, size, path, root + b"\x00"),
    ):
        with pytest.raises(ProofRejected):
            verify_inclusion(*arguments)


@settings(deadline=None)
@given(st.data(), st.sampled_from(SIZES))
def test_a_changed_consistency_proof_is_rejected(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second))
    roots = root_by_definition(ENTRIES[:first]), root_by_definition(ENTRIES[:second])
    proof = consistency_by_definition(first, ENTRIES[:second])
    changed = data.draw(mutations(proof))
    bit = data.draw(st.integers(0, 255))
    for arguments in (
        (first, second, changed, *roots),
        (first, second, proof, flipped(roots[0], bit), roots[1]),
        (first, second, proof, roots[0], flipped(roots[1], bit)),
        (first, second, proof, roots[0][1:], roots[1]),
        (first, second, proof, roots[0], b""),
    ):
        with pytest.raises(ProofRejected):
            verify_consistency(*arguments)


@pytest.mark.defect("linear fake")
@settings(deadline=None)
@given(st.data(), st.sampled_from(SIZES))
def test_no_proof_joins_a_rewritten_history_to_what_was_signed(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second))
    rewritten = list(ENTRIES[:second])
    rewritten[data.draw(st.integers(0, first - 1))] = b"rewritten"
    proof = consistency_by_definition(first, rewritten)
    signed, forged = root_by_definition(ENTRIES[:first]), root_by_definition(rewritten)
    verify_consistency(first, second, proof, root_by_definition(rewritten[:first]), forged)
    with pytest.raises(ProofRejected):
        verify_consistency(first, second, proof, signed, forged)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (0, 0), (1, 1), (8, 7), (0, -1), (0, MAX_SIZE + 1)])
def test_a_leaf_outside_its_tree_is_rejected(index: int, size: int) -> None:
    root = leaf_hash(b"")
    with pytest.raises(ProofRejected, match="leaves count from 0"):
        verify_inclusion(root, index, size, [], root)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 0), (-1, 1), (2, 1), (1, MAX_SIZE + 1)])
def test_sizes_between_which_nothing_can_be_proved_are_rejected(first: int, second: int) -> None:
    root = leaf_hash(b"")
    with pytest.raises(ProofRejected, match="nothing can be proved"):
        verify_consistency(first, second, [], root, root)


def test_an_empty_proof_between_two_sizes_is_rejected() -> None:
    root = root_by_definition(ENTRIES[:3])
    with pytest.raises(ProofRejected, match="empty proof"):
        verify_consistency(3, 5, [], root, root)
    with pytest.raises(ProofRejected):
        verify_consistency(4, 5, [], root, root)


def test_a_proof_that_goes_beyond_the_root_is_rejected_there() -> None:
    # Whoever may choose the root may well make one that a longer way leads to.
    leaf, path = leaf_hash(ENTRIES[2]), path_by_definition(2, ENTRIES[:6])
    beyond = node_hash(bytes(32), root_by_definition(ENTRIES[:6]))
    with pytest.raises(ProofRejected, match="too many"):
        verify_inclusion(leaf, 2, 6, [*path, bytes(32)], beyond)
    proof = consistency_by_definition(3, ENTRIES[:6])
    first_beyond = node_hash(bytes(32), root_by_definition(ENTRIES[:3]))
    with pytest.raises(ProofRejected, match="too many"):
        verify_consistency(3, 6, [*proof, bytes(32)], first_beyond, beyond)


def test_the_largest_trees_need_no_more_hashes_than_are_read() -> None:
    assert len(proofs_module._inclusion_subtrees(0, MAX_SIZE)) == 63
    assert len(proofs_module._consistency_subtrees(MAX_SIZE - 1, MAX_SIZE)) <= proofs_module.MAX_HASHES
    long = [bytes(32)] * 1_000_000
    with pytest.raises(ProofRejected, match="no proof has more than 64"):
        verify_inclusion(bytes(32), 0, MAX_SIZE, long, bytes(32))
    with pytest.raises(ProofRejected, match="no proof has more than 64"):
        verify_consistency(1, MAX_SIZE, long, bytes(32), bytes(32))


# What an auditor holds: a book of events as bytes, and checkpoints over it.

EVENTS = [b'{"book":"minutes","data":{},"sequence":%d}' % sequence for sequence in range(1, 12)]


def checkpoint_of(size: int, events: list[bytes] = EVENTS, book: str = "minutes") -> Checkpoint:
    moment = datetime(2022, 9, 1, tzinfo=UTC)
    return Checkpoint(origin_of(ORIGIN, book), size, root_by_definition(events[:size]), moment)


def inclusion_of(sequence: int, size: int, events: list[bytes] = EVENTS) -> InclusionProof:
    path = path_by_definition(sequence - 1, events[:size])
    return InclusionProof("minutes", sequence, size, leaf_hash(events[sequence - 1]), tuple(path))


def consistency_of(first: int, second: int) -> ConsistencyProof:
    return ConsistencyProof("minutes", first, second, tuple(consistency_by_definition(first, EVENTS[:second])))


@pytest.mark.parametrize("sequence", range(1, 12))
def test_an_auditor_accepts_what_was_signed(sequence: int) -> None:
    check_inclusion(inclusion_of(sequence, 11), EVENTS[sequence - 1], checkpoint_of(11))
    check_consistency(consistency_of(sequence, 11), checkpoint_of(sequence), checkpoint_of(11))


@pytest.mark.parametrize(
    ("proof", "body", "checkpoint", "reason"),
    [
        (inclusion_of(7, 11), EVENTS[7], checkpoint_of(11), "not about these bytes"),
        (inclusion_of(7, 11), EVENTS[6] + b" ", checkpoint_of(11), "not about these bytes"),
        (inclusion_of(7, 11), EVENTS[6], checkpoint_of(10), "the checkpoint's is 10"),
        (inclusion_of(7, 11), EVENTS[6], checkpoint_of(11, book="other"), "another book"),
        (inclusion_of(7, 11), EVENTS[6], checkpoint_of(11, list(reversed(EVENTS))), "do not add up"),
        (replace(inclusion_of(7, 11), sequence=6), EVENTS[6], checkpoint_of(11), "do not say"),
        (replace(inclusion_of(7, 11), sequence=0), EVENTS[6], checkpoint_of(11), "do not say"),
        (replace(inclusion_of(7, 11), size=10), EVENTS[6], checkpoint_of(11), "the checkpoint's is 11"),
        (replace(inclusion_of(7, 11), hashes=()), EVENTS[6], checkpoint_of(11), "too few"),
        (inclusion_of(7, 11), EVENTS[6], replace(checkpoint_of(11), root=b"short"), "32 bytes"),
    ],
)
def test_an_auditor_rejects_an_event_that_is_not_the_signed_one(
    proof: InclusionProof, body: bytes, checkpoint: Checkpoint, reason: str
) -> None:
    with pytest.raises(ProofRejected, match=reason):
        check_inclusion(proof, body, checkpoint)


@pytest.mark.parametrize(
    "body",
    [
        b"secret words",
        b"[]",
        b'"secret words"',
        b'{"book":"minutes"}',
        b'{"book":"minutes","sequence":3}',
        b'{"book":"other","sequence":2}',
    ],
)
def test_bytes_that_were_signed_in_a_place_that_is_not_theirs_are_rejected(body: bytes) -> None:
    events = [EVENTS[0], body, EVENTS[2]]
    with pytest.raises(ProofRejected) as rejected:
        check_inclusion(inclusion_of(2, 3, events), body, checkpoint_of(3, events))
    assert "secret" not in str(rejected.value)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (checkpoint_of(5, book="other"), checkpoint_of(11), "two books"),
        (checkpoint_of(5, book="other"), checkpoint_of(11, book="other"), "another book"),
        (replace(checkpoint_of(5), origin="elsewhere.example/minutes"), checkpoint_of(11), "two books"),
        (checkpoint_of(6), checkpoint_of(11), "first size of the proof is 5"),
        (checkpoint_of(5), checkpoint_of(10), "second size of the proof is 11"),
        (checkpoint_of(11), checkpoint_of(5), "first size of the proof is 5"),
        (checkpoint_of(5, list(reversed(EVENTS))), checkpoint_of(11), "root of 5"),
        (checkpoint_of(5), checkpoint_of(11, list(reversed(EVENTS))), "root of 11"),
    ],
)
def test_an_auditor_rejects_checkpoints_that_the_proof_does_not_join(
    first: Checkpoint, second: Checkpoint, reason: str
) -> None:
    with pytest.raises(ProofRejected, match=reason):
        check_consistency(consistency_of(5, 11), first, second)


@pytest.mark.defect("linear fake")
def test_two_roots_for_one_size_are_rejected() -> None:
    with pytest.raises(ProofRejected, match="different roots"):
        check_consistency(consistency_of(5, 5), checkpoint_of(5), checkpoint_of(5, list(reversed(EVENTS))))


def test_a_proof_is_read_back_from_its_json() -> None:
    inclusion, consistency = inclusion_of(7, 11), consistency_of(5, 11)
    assert InclusionProof.from_json(inclusion.as_json()) == inclusion
    assert ConsistencyProof.from_json(consistency.as_json()) == consistency
    indented = json.dumps(json.loads(inclusion.as_json()), indent=4)
    assert InclusionProof.from_json(indented) == inclusion
    assert json.loads(consistency.as_json()) == {
        "kind": "consistency",
        "book": "minutes",
        "first": 5,
        "second": 11,
        "hashes": [one.hex() for one in consistency.hashes],
    }
    assert json.loads(inclusion.as_json()) == {
        "kind": "inclusion",
        "book": "minutes",
        "sequence": 7,
        "size": 11,
        "leaf_hash": inclusion.leaf_hash.hex(),
        "hashes": [one.hex() for one in inclusion.hashes],
    }


def test_the_longest_proof_is_read_back_with_room_for_indentation() -> None:
    longest = InclusionProof("b" * 100, MAX_SIZE, MAX_SIZE, bytes(32), (bytes(32),) * proofs_module.MAX_HASHES)
    assert InclusionProof.from_json(json.dumps(json.loads(longest.as_json()), indent=64)) == longest


NO_HASHES: list[Any] = [1, None, True, "", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", "٠" * 64]
NO_NUMBERS: list[Any] = [0, -1, MAX_SIZE + 1, True, 1.0, "1", None, []]
NO_LISTS: list[Any] = [None, "0" * 64, {}, ["0" * 64] * 65]
NO_BOOKS: list[Any] = ["", "UPPER", "a b", "b" * 101, "book\n", "\ud800", 1, None]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("leaf_hash", value) for value in NO_HASHES],
        *[("hashes", [value]) for value in NO_HASHES],
        *[("hashes", value) for value in NO_LISTS],
        *[(field, value) for value in NO_NUMBERS for field in ("sequence", "size", "first", "second")],
        *[("book", value) for value in NO_BOOKS],
        *[("kind", value) for value in ("", "proof", None, 1)],
        ("more", 1),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_refused(field: str, value: Any) -> None:
    tried = 0
    readers: list[tuple[str, Callable[[str], object]]] = [
        (inclusion_of(7, 11).as_json(), InclusionProof.from_json),
        (consistency_of(5, 11).as_json(), ConsistencyProof.from_json),
    ]
    for text, read in readers:
        fields = json.loads(text)
        if field in fields or field == "more":
            tried += 1
            with pytest.raises(MalformedProof):
                read(json.dumps(fields | {field: value}))
    assert tried


def test_a_missing_field_is_refused() -> None:
    fields: dict[str, Any] = json.loads(inclusion_of(7, 11).as_json())
    for name in fields:
        with pytest.raises(MalformedProof):
            InclusionProof.from_json(json.dumps({key: fields[key] for key in fields if key != name}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret words",
        "null",
        "[]",
        '"inclusion"',
        "{}",
        '{"kind": "inclusion"}',
        inclusion_of(7, 11).as_json() + "}",
        inclusion_of(7, 11).as_json().replace('"size":11', '"size":10,"size":11'),
        inclusion_of(7, 11).as_json().replace('"size":11', '"size":' + "1" * 5_000),
        inclusion_of(7, 11).as_json().replace('"size":11', '"size":NaN'),
        inclusion_of(7, 11).as_json().replace('"size":11', '"size":' + "[" * 9_000 + "]" * 9_000),
        "[" * 19_000,
        inclusion_of(7, 11).as_json() + " " * 20_000,
        consistency_of(5, 11).as_json(),
    ],
)
def test_a_text_that_is_no_inclusion_proof_is_refused(text: str) -> None:
    with pytest.raises(MalformedProof) as refused:
        InclusionProof.from_json(text)
    assert "secret" not in str(refused.value)


def test_an_inclusion_proof_is_no_consistency_proof() -> None:
    with pytest.raises(MalformedProof, match="consistency"):
        ConsistencyProof.from_json(inclusion_of(7, 11).as_json())
