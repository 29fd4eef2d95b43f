"""Proofs over a book (RFC 6962, section 2.1; checked as RFC 9162 says), for an auditor who does not trust its keeper.

An inclusion proof shows that an event is in the book that a checkpoint signed. A consistency proof shows that a later
checkpoint's book begins with everything that an earlier one signed: nothing was changed, taken away or put between.

    the tree of 7                      inclusion of leaf 2 = [leaf 3, 0-1, 4-6]        consistency of 3 with 7 =
             root                                                                      [leaf 2, leaf 3, 0-1, 4-6]
          0-3      4-6
        0-1  2-3  4-5  6

Leaves count from 0: the event with sequence s is leaf s - 1. To check a proof takes its JSON, the event's bytes and
signed checkpoints, and no database; see `check_inclusion` and `check_consistency`.

As JSON a proof is an object of exactly these fields; a hash is 64 lower-case hexadecimal digits, and the hashes come
in the order of the RFC, from the leaves to the root:

    {"kind": "inclusion", "book": "…", "sequence": 3, "size": 7, "leaf_hash": "…", "hashes": ["…", …]}
    {"kind": "consistency", "book": "…", "first": 3, "second": 7, "hashes": ["…", …]}
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import asyncpg
import orjson

from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError
from ledger.merkle import HASH_BYTES, Frontier, leaf_hash, node_hash
from ledger.schema import AnyConnection

MAX_SIZE: Final = 2**63 - 1
"""No book has more events."""

MAX_HASHES: Final = 64
"""No proof over a book of at most MAX_SIZE events has more hashes."""

MAX_PROOF_CHARACTERS: Final = 20_000
"""Longer JSON is not read. The longest proof has a quarter of it; the rest is room for indentation."""

LEAVES_PER_FETCH: Final = 5_000

_BOOK: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_INCLUSION: Final = "inclusion"
_CONSISTENCY: Final = "consistency"

_Leaves: TypeAlias = tuple[int, int]
"""The leaves of a subtree: the first one, and the one after the last."""


class ProofError(LedgerError):
    """The root of the errors about proofs."""


class ProofRejected(ProofError):
    """The proof does not prove what it was checked against. Take nothing from it."""


class MalformedProof(ProofError):
    """The text is not the JSON of such a proof."""


class UnknownBook(ProofError):
    """There is no such book, so nothing can be proved over it."""


class ProofOutOfRange(ProofError):
    """The book has no such event, or never had such a size."""


class LeavesMissing(ProofError):
    """The database does not hold every event of the book. Verify the book: it was damaged or tampered with."""


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """The event with this `sequence` (from 1) and `leaf_hash` is among the first `size` events of the book.

    `hashes` (32 bytes each) are the siblings on the way from the leaf to the root.
    """

    book: str
    sequence: int
    size: int
    leaf_hash: bytes
    hashes: tuple[bytes, ...]

    def as_json(self) -> str:
        """Give the proof as one line of JSON, which `from_json` reads."""
        return _spell(
            {
                "kind": _INCLUSION,
                "book": self.book,
                "sequence": self.sequence,
                "size": self.size,
                "leaf_hash": self.leaf_hash.hex(),
                "hashes": [one.hex() for one in self.hashes],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a proof. Whether it proves anything is for `check_inclusion`. Raises MalformedProof."""
        fields = _read(text, _INCLUSION, {"book", "sequence", "size", "leaf_hash", "hashes"})
        return cls(
            book=_book_of(fields),
            sequence=_number_of(fields, "sequence"),
            size=_number_of(fields, "size"),
            leaf_hash=_hash_of(fields["leaf_hash"], "leaf_hash"),
            hashes=_hashes_of(fields),
        )


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """The book of `second` events begins with the book of `first` events (1 ≤ first ≤ second).

    `hashes` (32 bytes each) are the roots of the subtrees from which both books' roots are made; none for one size.
    """

    book: str
    first: int
    second: int
    hashes: tuple[bytes, ...]

    def as_json(self) -> str:
        """Give the proof as one line of JSON, which `from_json` reads."""
        return _spell(
            {
                "kind": _CONSISTENCY,
                "book": self.book,
                "first": self.first,
                "second": self.second,
                "hashes": [one.hex() for one in self.hashes],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a proof. Whether it proves anything is for `check_consistency`. Raises MalformedProof."""
        fields = _read(text, _CONSISTENCY, {"book", "first", "second", "hashes"})
        return cls(
            book=_book_of(fields),
            first=_number_of(fields, "first"),
            second=_number_of(fields, "second"),
            hashes=_hashes_of(fields),
        )


def check_inclusion(proof: InclusionProof, event_body: bytes, checkpoint: Checkpoint) -> None:
    """Check that the checkpoint's book holds these bytes as the event that they say they are. Raises ProofRejected.

    `event_body` is the event exactly as it is stored. `checkpoint` comes from `ledger.checkpoint.open_note`, which
    checks the signature; the proof must have been made for its size.
    """
    _refuse_other_book(proof.book, checkpoint)
    _refuse_other_size("the proof", proof.size, checkpoint)
    if leaf_hash(event_body) != proof.leaf_hash:
        raise ProofRejected("the proof is not about these bytes: their leaf hash is another one")
    try:
        event: Any = orjson.loads(event_body)
    except orjson.JSONDecodeError:
        # The error would carry the event's bytes along, and these may be personal.
        raise ProofRejected("the bytes are not an event: they are not JSON") from None
    if not isinstance(event, dict) or event.get("book") != proof.book or event.get("sequence") != proof.sequence:
        raise ProofRejected(f"the bytes do not say that they are event {proof.sequence} of {proof.book}")
    verify_inclusion(proof.leaf_hash, proof.sequence - 1, proof.size, proof.hashes, checkpoint.root)


def check_consistency(proof: ConsistencyProof, first_checkpoint: Checkpoint, second_checkpoint: Checkpoint) -> None:
    """Check that the second checkpoint's book begins with all of the first one's. Raises ProofRejected.

    Both checkpoints come from `ledger.checkpoint.open_note`, which checks their signatures; the proof must have been
    made for their sizes, and the first is not the longer one.
    """
    if first_checkpoint.origin != second_checkpoint.origin:
        raise ProofRejected(
            f"the checkpoints are of two books: {first_checkpoint.origin} and {second_checkpoint.origin}"
        )
    _refuse_other_book(proof.book, first_checkpoint)
    _refuse_other_size("the first size of the proof", proof.first, first_checkpoint)
    _refuse_other_size("the second size of the proof", proof.second, second_checkpoint)
    verify_consistency(proof.first, proof.second, proof.hashes, first_checkpoint.root, second_checkpoint.root)


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that the tree of `size` leaves with this root has this leaf at `index` (from 0). Raises ProofRejected.

    All hashes have 32 bytes. RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofRejected(f"a tree of {size} leaves has no leaf {index}: leaves count from 0, sizes up to {MAX_SIZE}")
    _refuse_no_hashes((leaf_hash, root, *_bounded(proof)))
    computed = leaf_hash
    for sibling, on_the_left in _climb(index, size - 1, proof):
        computed = node_hash(sibling, computed) if on_the_left else node_hash(computed, sibling)
    if computed != root:
        raise ProofRejected(f"leaf {index} of {size} and the proof do not add up to the root")


def verify_consistency(
    first_size: int, second_size: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Verify that the tree with `second_root` begins with all leaves of the one with `first_root`.

    All hashes have 32 bytes; 1 ≤ first_size ≤ second_size, since every tree begins with the empty one, and equal
    sizes take an empty proof. Raises ProofRejected. RFC 9162, section 2.1.4.2.
    """
    if not 1 <= first_size <= second_size <= MAX_SIZE:
        raise ProofRejected(
            f"nothing can be proved from size {first_size} to {second_size}: the first is at least 1 and not the "
            f"larger one, the second is at most {MAX_SIZE}"
        )
    _refuse_no_hashes((first_root, second_root, *_bounded(proof)))
    if first_size == second_size:
        if proof:
            raise ProofRejected(f"{len(proof)} hashes are too many from size {first_size} to itself")
        if first_root != second_root:
            raise ProofRejected(f"two trees of {first_size} leaves have different roots")
        return
    # A first tree of 2ⁿ leaves is a whole subtree of the second: its root is known and not in the proof.
    path = [first_root, *proof] if first_size.bit_count() == 1 else list(proof)
    if not path:
        raise ProofRejected(f"an empty proof shows nothing from size {first_size} to {second_size}")
    node, last = first_size - 1, second_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first_computed = second_computed = path[0]
    for one, on_the_left in _climb(node, last, path[1:]):
        if on_the_left:
            first_computed = node_hash(one, first_computed)
        second_computed = node_hash(one, second_computed) if on_the_left else node_hash(second_computed, one)
    for size, computed, root in ((first_size, first_computed, first_root), (second_size, second_computed, second_root)):
        if computed != root:
            raise ProofRejected(f"the proof does not add up to the root of {size} leaves")


async def inclusion_proof(
    database: "asyncpg.Pool[Any] | AnyConnection", book: str, sequence: int, size: int | None = None
) -> InclusionProof:
    """Prove that the first `size` events of a book hold the one with this sequence; with None, all there are now.

    Only a proof for a checkpoint's size can be checked against that checkpoint. `database` is a pool, or a connection
    outside a transaction. The hashes of all `size` leaves are read, in constant memory; the events' bytes are not, so
    a proof over a damaged book is made and then rejected. Raises UnknownBook, ProofOutOfRange, LeavesMissing, and
    asyncpg's errors.
    """
    async with _snapshot(database) as connection:
        head = await _head(connection, book)
        size = head if size is None else size
        if not 1 <= size <= head:
            raise ProofOutOfRange(f"{book} has {head} events: ask for a size of 1 to {head}, not {size}")
        if not 1 <= sequence <= size:
            raise ProofOutOfRange(f"of {size} events ask for a sequence of 1 to {size}, not {sequence}")
        siblings = _inclusion_subtrees(sequence - 1, size)
        leaf = (sequence - 1, sequence)
        roots = await _subtree_roots(connection, book, [leaf, *siblings])
    return InclusionProof(book, sequence, size, roots[leaf], tuple(roots[one] for one in siblings))


async def consistency_proof(
    database: "asyncpg.Pool[Any] | AnyConnection", book: str, first: int, second: int | None = None
) -> ConsistencyProof:
    """Prove that a book of `second` events begins with the book of `first` events; with None, all there are now.

    Both sizes are those of checkpoints, if it is to be checked against them. `database` is a pool, or a connection
    outside a transaction. The leaf hashes are read in constant memory; those of the first events only if the database
    has no checkpoint of that size, whose frontier it goes on from. Raises UnknownBook, ProofOutOfRange,
    LeavesMissing, and asyncpg's errors.
    """
    async with _snapshot(database) as connection:
        head = await _head(connection, book)
        second = head if second is None else second
        if not 1 <= second <= head:
            raise ProofOutOfRange(f"{book} has {head} events: ask for a second size of 1 to {head}, not {second}")
        if not 1 <= first <= second:
            raise ProofOutOfRange(f"before {second} events ask for a first size of 1 to {second}, not {first}")
        subtrees = _consistency_subtrees(first, second)
        roots = await _frontier_roots(connection, book, first)
        roots |= await _subtree_roots(connection, book, [one for one in subtrees if one not in roots])
    return ConsistencyProof(book, first, second, tuple(roots[one] for one in subtrees))


def _climb(node: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    # Gives each hash on the way to the root, and whether it stands on the left of what was folded so far. `node` is
    # the place on the level, `last` the last place there.
    for one in path:
        if last == 0:
            raise ProofRejected("the proof has too many hashes for these sizes")
        on_the_left = node & 1 == 1 or node == last
        if on_the_left:
            # The rightmost node of a ragged level has no sibling there and rises as it is.
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
        yield one, on_the_left
    if last:
        raise ProofRejected("the proof has too few hashes for these sizes")


def _inclusion_subtrees(index: int, size: int) -> list[_Leaves]:
    # PATH of RFC 6962, section 2.1.1, walked from the root down to the leaf.
    start, stop = 0, size
    siblings: list[_Leaves] = []
    while stop - start > 1:
        middle = start + _left_leaves(stop - start)
        if index < middle:
            siblings.append((middle, stop))
            stop = middle
        else:
            siblings.append((start, middle))
            start = middle
    siblings.reverse()
    return siblings


def _consistency_subtrees(first: int, second: int) -> list[_Leaves]:
    # PROOF of RFC 6962, section 2.1.2, walked from the root down to the subtree in which the first tree ends. Where
    # that subtree is the whole first tree, its root is known to whoever checks the proof.
    start, stop = 0, second
    subtrees: list[_Leaves] = []
    while first < stop:
        middle = start + _left_leaves(stop - start)
        if first <= middle:
            subtrees.append((middle, stop))
            stop = middle
        else:
            subtrees.append((start, middle))
            start = middle
    if start:
        subtrees.append((start, stop))
    subtrees.reverse()
    return subtrees


def _left_leaves(count: int) -> int:
    # The largest power of two below `count`.
    return 1 << ((count - 1).bit_length() - 1)


@asynccontextmanager
async def _snapshot(database: "asyncpg.Pool[Any] | AnyConnection") -> AsyncIterator[AnyConnection]:
    # One snapshot, so that the book's size and its leaves agree while others append.
    if isinstance(database, asyncpg.Pool):
        async with database.acquire() as connection, _snapshot(connection) as reading:
            yield reading
    else:
        async with database.transaction(isolation="repeatable_read", readonly=True):
            yield database


async def _head(connection: AnyConnection, book: str) -> int:
    if _BOOK.fullmatch(book) is None:
        raise UnknownBook("no book has such a name: 1 to 100 of a-z, 0-9, '.', '_' and '-', a letter or digit first")
    head = await connection.fetchval("SELECT sequence FROM ledger.books WHERE book = $1", book)
    if head is None:
        raise UnknownBook(f"there is no book {book}: ask for one of those that the ledger lists")
    return int(head)


async def _frontier_roots(connection: AnyConnection, book: str, size: int) -> dict[_Leaves, bytes]:
    # The perfect subtrees that a checkpoint's tree is made of, largest first: every node of a consistency proof that
    # lies within the first tree is one of them. Should they have been changed, the proof is rejected by who checks it.
    encoded = await connection.fetchval(
        "SELECT frontier FROM ledger.checkpoints WHERE book = $1 AND size = $2", book, size
    )
    roots: dict[_Leaves, bytes] = {}
    if encoded is None or len(encoded) != size.bit_count() * HASH_BYTES:
        return roots
    start = 0
    for at in range(0, len(encoded), HASH_BYTES):
        stop = start + _left_leaves(size - start + 1)
        roots[(start, stop)] = encoded[at : at + HASH_BYTES]
        start = stop
    return roots


async def _subtree_roots(connection: AnyConnection, book: str, subtrees: Sequence[_Leaves]) -> dict[_Leaves, bytes]:
    # The subtrees of a proof stand side by side: each leaf is read once and belongs to one of them.
    roots: dict[_Leaves, bytes] = {}
    if not subtrees:
        return roots
    waiting = iter(sorted(subtrees))
    current = next(waiting)
    position, end = current[0], max(stop for _, stop in subtrees)
    frontier = Frontier()
    rows = await connection.cursor(
        "SELECT sequence, leaf_hash FROM ledger.events WHERE book = $1 AND sequence > $2 AND sequence <= $3 "
        "ORDER BY sequence",
        book,
        position,
        end,
    )
    while page := await rows.fetch(LEAVES_PER_FETCH):
        for expected, row in enumerate(page, start=position + 1):
            if row["sequence"] != expected:
                raise LeavesMissing(f"event {expected} of {book} is missing: verify the book")
        leaves = [row["leaf_hash"] for row in page]
        used = 0
        while used < len(leaves):
            taken = leaves[used : used + current[1] - position]
            frontier.extend(taken)
            used += len(taken)
            position += len(taken)
            if position == current[1]:
                roots[current] = frontier.root()
                frontier = Frontier()
                current = next(waiting, current)
    if position != end:
        raise LeavesMissing(f"event {position + 1} of {book} is missing: verify the book")
    return roots


def _refuse_other_book(book: str, checkpoint: Checkpoint) -> None:
    if checkpoint.origin.rpartition("/")[2] != book:
        raise ProofRejected(f"the proof is over {book}, the checkpoint over another book: {checkpoint.origin}")


def _refuse_other_size(what: str, size: int, checkpoint: Checkpoint) -> None:
    if size != checkpoint.size:
        raise ProofRejected(f"{what} is {size}, the checkpoint's is {checkpoint.size}: ask for a proof for its size")


def _bounded(proof: Sequence[bytes]) -> Sequence[bytes]:
    if len(proof) > MAX_HASHES:
        raise ProofRejected(f"{len(proof)} hashes are too many: no proof has more than {MAX_HASHES}")
    return proof


def _refuse_no_hashes(hashes: Sequence[bytes]) -> None:
    for one in hashes:
        if len(one) != HASH_BYTES:
            raise ProofRejected(f"a hash has {HASH_BYTES} bytes, not {len(one)}")


def _spell(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _read(text: str, kind: str, names: set[str]) -> dict[str, Any]:
    # What was read is not repeated in an error: somebody may have given the event's file for the proof's.
    if len(text) > MAX_PROOF_CHARACTERS:
        raise MalformedProof(f"{len(text)} characters; at most {MAX_PROOF_CHARACTERS} are read")
    try:
        fields: Any = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        raise MalformedProof("the text is not JSON, or not any that a proof has") from None
    if not isinstance(fields, dict) or fields.get("kind") != kind:
        raise MalformedProof(f'not a proof of {kind}: give a JSON object with "kind": "{kind}"')
    if fields.keys() != names | {"kind"}:
        raise MalformedProof(f"a proof of {kind} has the fields kind, {', '.join(sorted(names))}, each once, no others")
    return fields


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedProof("a field stands there twice")
    return fields


def _book_of(fields: dict[str, Any]) -> str:
    book = fields["book"]
    if type(book) is not str or _BOOK.fullmatch(book) is None:
        raise MalformedProof("book: give a book's name")
    return book


def _number_of(fields: dict[str, Any], name: str) -> int:
    number = fields[name]
    if type(number) is not int or not 1 <= number <= MAX_SIZE:
        raise MalformedProof(f"{name}: give a whole number from 1 to {MAX_SIZE}")
    return number


def _hash_of(value: object, where: str) -> bytes:
    if type(value) is not str or _HASH.fullmatch(value) is None:
        raise MalformedProof(f"{where}: give {HASH_BYTES * 2} lower-case hexadecimal digits for a hash")
    return bytes.fromhex(value)


def _hashes_of(fields: dict[str, Any]) -> tuple[bytes, ...]:
    hashes = fields["hashes"]
    if type(hashes) is not list or len(hashes) > MAX_HASHES:
        raise MalformedProof(f"hashes: give a list of at most {MAX_HASHES} hashes")
    return tuple(_hash_of(value, f"hashes[{place}]") for place, value in enumerate(hashes))
