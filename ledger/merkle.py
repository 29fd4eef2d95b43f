"""The Merkle tree of RFC 6962 (section 2.1), kept as a frontier so that it grows without being read again.

The frontier of n leaves holds the roots of the perfect subtrees that n is made of, largest first: one for each bit
that is set in n. Adding a leaf merges as many of them as n has trailing ones, and the root folds them from the right.

    n = 7 = 4 + 2 + 1        frontier = [root of leaves 0-3, root of leaves 4-5, leaf 6]
                             root = H(0-3, H(4-5, 6))
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Self

from ledger.errors import InvalidProofInput

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves."""

_BLOCK: Final = 256
"""So many leaves are folded at once where they are at hand. A power of two."""


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf: SHA-256 of a zero byte and the data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256 of a one byte and both children's hashes."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows. It holds at most 64 hashes, however many leaves were added."""

    __slots__ = ("_roots", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._roots: list[bytes] = []

    @classmethod
    def restore(cls, size: int, encoded: bytes) -> Self:
        """Go on from a size and what `encode` gave there. Raises InvalidProofInput when they do not fit.

        Whoever restores a frontier compares its root with a signed one: the frontier itself proves nothing.
        """
        if size < 0 or len(encoded) != size.bit_count() * HASH_BYTES:
            raise InvalidProofInput(f"{len(encoded)} bytes are not the frontier of {size} leaves")
        frontier = cls()
        frontier._size = size
        frontier._roots = [encoded[at : at + HASH_BYTES] for at in range(0, len(encoded), HASH_BYTES)]
        return frontier

    @property
    def size(self) -> int:
        """How many leaves were added."""
        return self._size

    def add(self, leaf: bytes) -> None:
        """Add the hash of the next leaf (32 bytes)."""
        if len(leaf) != HASH_BYTES:
            raise InvalidProofInput(f"a hash has {HASH_BYTES} bytes, not {len(leaf)}")
        self._push(leaf, self._size)
        self._size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add the hashes of the next leaves, in order."""
        at = 0
        while len(leaves) - at >= _BLOCK:
            if self._size % _BLOCK:
                self.add(leaves[at])
                at += 1
                continue
            # A block that begins at a multiple of its size is a perfect subtree: folded level by level it costs
            # half of what its leaves would cost one by one.
            block = leaves[at : at + _BLOCK]
            if any(len(leaf) != HASH_BYTES for leaf in block):
                raise InvalidProofInput(f"a hash has {HASH_BYTES} bytes")
            while len(block) > 1:
                block = [
                    sha256(b"\x01" + left + right).digest() for left, right in zip(block[::2], block[1::2], strict=True)
                ]
            self._push(block[0], self._size // _BLOCK)
            self._size += _BLOCK
            at += _BLOCK
        for leaf in leaves[at:]:
            self.add(leaf)

    def _push(self, subtree: bytes, merges: int) -> None:
        # Each trailing one of `merges` is a perfect subtree as large as the one in hand: together they are the next.
        roots = self._roots
        while merges & 1:
            subtree = sha256(b"\x01" + roots.pop() + subtree).digest()
            merges >>= 1
        roots.append(subtree)

    def root(self) -> bytes:
        """Give the root over all leaves added so far; EMPTY_ROOT when there are none."""
        if not self._roots:
            return EMPTY_ROOT
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root

    def encode(self) -> bytes:
        """Give the frontier's hashes one after the other, for `restore`."""
        return b"".join(self._roots)
