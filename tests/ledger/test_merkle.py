"""The tree against the definition of RFC 6962, section 2.1, written down a second time."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidProofInput
from ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash

# The inputs and roots that the tests of Certificate Transparency's own implementations use.
INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root_by_definition(entries: list[bytes]) -> bytes:
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    half = 1
    while half * 2 < len(entries):
        half *= 2
    return sha256(b"\x01" + root_by_definition(entries[:half]) + root_by_definition(entries[half:])).digest()


def frontier_of(entries: list[bytes]) -> Frontier:
    frontier = Frontier()
    frontier.extend(list(map(leaf_hash, entries)))
    return frontier


def test_the_empty_tree() -> None:
    assert Frontier().root() == EMPTY_ROOT == root_by_definition([])
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_the_known_vectors(size: int) -> None:
    entries = [bytes.fromhex(text) for text in INPUTS[:size]]
    assert frontier_of(entries).root().hex() == ROOTS[size - 1]
    assert root_by_definition(entries).hex() == ROOTS[size - 1]


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_any_tree_is_what_the_definition_says(entries: list[bytes]) -> None:
    assert frontier_of(entries).root() == root_by_definition(entries)


@given(st.lists(st.binary(max_size=4), max_size=40), st.lists(st.binary(max_size=4), max_size=40))
def test_a_restored_frontier_goes_on(before: list[bytes], after: list[bytes]) -> None:
    stored = frontier_of(before)
    frontier = Frontier.restore(stored.size, stored.encode())
    frontier.extend(list(map(leaf_hash, after)))
    assert frontier.size == len(before) + len(after)
    assert frontier.root() == root_by_definition(before + after)


@pytest.mark.parametrize(("first", "then"), [(0, 256), (3, 700), (256, 256), (255, 513), (512, 1), (100, 1200)])
def test_blocks_of_leaves_are_folded_as_single_ones_are(first: int, then: int) -> None:
    leaves = [leaf_hash(str(number).encode()) for number in range(first + then)]
    one_by_one, at_once = Frontier(), Frontier()
    for leaf in leaves:
        one_by_one.add(leaf)
    at_once.extend(leaves[:first])
    at_once.extend(leaves[first:])
    assert (at_once.size, at_once.encode()) == (one_by_one.size, one_by_one.encode())
    assert at_once.root() == root_by_definition([str(number).encode() for number in range(first + then)])


def test_leaves_and_nodes_cannot_pass_for_each_other() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)


def test_what_is_no_hash_or_no_frontier_is_refused() -> None:
    with pytest.raises(InvalidProofInput):
        Frontier().add(b"short")
    with pytest.raises(InvalidProofInput):
        Frontier().extend([b"short"] * 256)
    for size, encoded in ((3, b"x" * 32), (1, b"x" * 64), (-1, b""), (0, b"x" * 32)):
        with pytest.raises(InvalidProofInput):
            Frontier.restore(size, encoded)
