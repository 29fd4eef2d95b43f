"""Personal data under a key of each person, so that destroying the key erases the person.

A person has a random id and a random AES-256 key. The key is stored wrapped by the master key; a natural key (an ID
number) is found by a keyed blind index, so that the table alone answers nothing, not even to guessing. What is sealed
for one person cannot be opened as another's: the person's id is authenticated with it.

    sealed text = "v1." + base64url(nonce (12) || ciphertext || tag (16))     AES-256-GCM

Both keys can be replaced while the system runs. A vault has a current key of each sort, under which it writes, and any
number of others, under which it still reads; every row names its two keys by a short id. A new index key is brought in
twice: first every process gets it among the others, then it becomes the current one everywhere. A process that was
forgotten makes no second person: a miss is only believed where nobody stands under a key that the process lacks.
See `ledger.vault_rotation`.
"""

import base64
import binascii
import hmac
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import InvalidKey, InvalidNaturalKey, SealBroken, SubjectErased, SubjectUnknown, VaultError
from ledger.types import StreamPlace

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
CACHED_KEYS: Final = 1_024
CACHED_KEY_LIFETIME_S: Final = 30.0
"""So long after an erasure another process may still seal under the destroyed key, which nobody can open again."""

ERASED_ON_REQUEST: Final = "requested"

_PREFIX: Final = "v1."
_WRAPPING: Final = b"xunji vault key\x00"
_SEALING: Final = b"xunji vault fields\x00"
_INDEXING: Final = b"xunji vault index\x00"
_NAMING: Final = b"xunji vault key id\x00"
_CREATE_ATTEMPTS: Final = 3
_KEY_AT: Final = """
SELECT wrapped_key, master_key_id, erased_at, erasure_reason, (
    SELECT count(*) FROM unnest($2::text[], $3::text[], $4::bigint[]) AS known (book, stream, version)
    WHERE (SELECT version FROM ledger.streams s WHERE s.book = known.book AND s.stream = known.stream) = known.version
    AND (SELECT detached_at IS NULL FROM ledger.books b WHERE b.book = known.book)
) AS standing FROM vault.subjects WHERE id = $1
"""
_REASON: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class MasterKeyMissing(SealBroken):
    """A person's key was wrapped by a master key that this vault was not given."""


class IndexKeyMissing(VaultError):
    """Somebody stands under an index key that this vault was not given, so it cannot tell who is unknown."""


class InvalidReason(VaultError):
    """The reason of an erasure is not a code."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A person of whom nothing is known here but this id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of an erased person. `reason` is a code; None where the erasure is older than reasons."""

    subject: UUID
    erased_at: datetime
    reason: str | None


def normalise(natural_key: str) -> str:
    """Give the one spelling of a natural key: NFKC, upper case, no white space. Raises InvalidNaturalKey if empty."""
    spelt = "".join(unicodedata.normalize("NFKC", natural_key).upper().split())
    if not spelt:
        raise InvalidNaturalKey("a natural key is not empty")
    return spelt


def key_id(key: bytes) -> str:
    """Give the short id of a master or index key: 16 hex digits that say nothing about it. Raises InvalidKey."""
    if len(key) != KEY_BYTES:
        raise InvalidKey(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return hmac.digest(key, _NAMING, sha256)[:KEY_ID_BYTES].hex()


class MasterKeys:
    """Wraps persons' keys under the current master key, and unwraps what this one or an other one has wrapped."""

    def __init__(self, current: bytes, others: Sequence[bytes] = ()) -> None:
        self.current_id = key_id(current)
        self._ciphers = {key_id(key): AESGCM(key) for key in (current, *others)}

    def wrap(self, subject_id: UUID, key: bytes) -> bytes:
        """Give the key wrapped under the current master key for this person alone (60 bytes)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._ciphers[self.current_id].encrypt(nonce, key, _WRAPPING + subject_id.bytes)

    def unwrap(self, subject_id: UUID, wrapped: bytes, wrapped_by: str | None) -> bytes:
        """Give the person's key. `wrapped_by` is the master key's id; None, from before ids, tries each.

        Raises MasterKeyMissing, or SealBroken when the key was changed or wrapped for another person.
        """
        if wrapped_by is not None and wrapped_by not in self._ciphers:
            raise MasterKeyMissing(
                f"the key of subject {subject_id} is wrapped by master key {wrapped_by}: give that one as a former key"
            )
        ciphers = self._ciphers.values() if wrapped_by is None else (self._ciphers[wrapped_by],)
        for cipher in ciphers:
            with suppress(InvalidTag):
                return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _WRAPPING + subject_id.bytes)
        raise SealBroken(f"the key of subject {subject_id} was changed, or wrapped by a master key not given here")


class Vault:
    """Persons and their keys, on a pool of connections to a migrated database. Methods raise asyncpg's errors too.

    Former keys only read. `former_index_keys` also takes a key that is going to be the current one: see above.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        master_key: bytes,
        index_key: bytes,
        *,
        former_master_keys: Sequence[bytes] = (),
        former_index_keys: Sequence[bytes] = (),
    ) -> None:
        self._pool = pool
        self._master = MasterKeys(master_key, former_master_keys)
        # By id, the current one first; a key that is given twice counts once.
        self._index_keys = {key_id(key): key for key in (index_key, *former_index_keys)}
        self._index_key_ids = list(self._index_keys)
        self._cached: OrderedDict[UUID, tuple[float, AESGCM]] = OrderedDict()
        # Counts the steps of erasures here: a key that was read before one must not come into the cache after it.
        self._erasures = 0

    @property
    def index_key_id(self) -> str:
        """The short id of the current index key."""
        return self._index_key_ids[0]

    async def subject_for(self, natural_key: str) -> Subject:
        """Give the person with this natural key, made known now if nobody was. Raises IndexKeyMissing.

        Whoever was erased is made known as a new person, with another id and key: to know him again would mean that
        something of him was kept, and what was sealed before stays closed to the new one.
        """
        indexes = self._blind_indexes(natural_key)
        for _ in range(_CREATE_ATTEMPTS):
            found = await self._find(indexes)
            if found is not None:
                return Subject(found)
            new = uuid4()
            wrapped = self._master.wrap(new, secrets.token_bytes(KEY_BYTES))
            if await self._find_in_turn(indexes, new, wrapped) == new:
                return Subject(new)
        raise SubjectErased("the person was made known and erased again by others meanwhile")

    async def find(self, natural_key: str) -> UUID | None:
        """Give the id of the person with this natural key, or None when nobody has it or the person was erased.

        Raises IndexKeyMissing when he may stand under an index key that this vault was not given.
        """
        indexes = self._blind_indexes(natural_key)
        return await self._find(indexes) or await self._find_in_turn(indexes)

    async def reindex(self, subject_id: UUID, natural_key: str) -> bool:
        """Put the person under the current index key. False, and nothing changed, when the natural key is not his.

        Raises SubjectUnknown, SubjectErased, and asyncpg's UniqueViolationError when somebody else has his index.
        """
        row = await self._pool.fetchrow(
            "SELECT blind_index, index_key_id, erased_at, erasure_reason FROM vault.subjects WHERE id = $1", subject_id
        )
        if row is None:
            raise SubjectUnknown(f"no subject {subject_id}")
        if row["erased_at"] is not None:
            raise _erased(subject_id, row)
        indexes = self._blind_indexes(natural_key)
        if row["blind_index"] not in indexes:
            return False
        if row["blind_index"] != indexes[0] or row["index_key_id"] != self._index_key_ids[0]:
            await self._move(subject_id, row["blind_index"], indexes[0])
        return True

    async def rename(self, subject_id: UUID, natural_key: str) -> bool:
        """Find the person by another natural key from now on, and no longer by the one before; again changes nothing.

        False, and nothing changed, when somebody else has it. Raises SubjectUnknown, SubjectErased and IndexKeyMissing.
        """
        other = await self.find(natural_key)
        if other is not None:
            return other == subject_id
        try:
            status = await self._pool.execute(
                "UPDATE vault.subjects SET blind_index = $2, index_key_id = $3 WHERE id = $1 AND erased_at IS NULL",
                subject_id,
                self._blind_indexes(natural_key)[0],
                self.index_key_id,
            )
        except asyncpg.UniqueViolationError:
            # Made known between the question and the change.
            return False
        if status == "UPDATE 0":
            tombstone = await self.tombstone(subject_id)
            raise SubjectErased(f"subject {subject_id} was erased at {tombstone.erased_at if tombstone else '?'}")
        return True

    async def seal(self, subject_id: UUID, fields: Mapping[str, str]) -> str:
        """Encrypt a person's fields. Each sealing gives another text. Raises SubjectUnknown or SubjectErased."""
        key = await self._key_to_seal(subject_id)
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = orjson.dumps(dict(fields), option=orjson.OPT_SORT_KEYS)
        sealed = nonce + key.encrypt(nonce, plain, _SEALING + subject_id.bytes)
        return _PREFIX + base64.urlsafe_b64encode(sealed).decode()

    async def open(self, subject_id: UUID, sealed: str) -> dict[str, str]:
        """Decrypt what was sealed for this person. Raises SubjectUnknown, SubjectErased or SealBroken.

        The key is read anew every time, so that nothing is opened in any process once an erasure was committed.
        """
        return _opened(await self._key(subject_id), subject_id, sealed)

    async def open_at(self, subject_id: UUID, sealed: str, places: Sequence[StreamPlace]) -> dict[str, str] | None:
        """The same in one round trip with the question whether streams still end where somebody knows them; None when
        one has gone on, or is not here any more. Raises as `open` does.
        """
        books, streams = [each.book for each in places], [each.stream for each in places]
        row = await self._pool.fetchrow(_KEY_AT, subject_id, books, streams, [each.after_version for each in places])
        if row is not None and row["standing"] != len(places):
            return None
        return _opened(self._unwrapped(subject_id, row), subject_id, sealed)

    async def erase(self, subject_id: UUID, reason: str = ERASED_ON_REQUEST) -> Tombstone:
        """Destroy the person's key and index entry, for ever, and leave a tombstone with the time and the reason.

        `reason` is a code of 1 to 64 characters (a-z, 0-9, and `.`, `_`, `-` after the first). Doing it again changes
        nothing and gives the first tombstone. Raises SubjectUnknown or InvalidReason. Backups keep the key until they
        expire. Whoever bears the natural key becomes a new person when next seen.
        """
        if not _REASON.fullmatch(reason):
            raise InvalidReason("a reason is a code of 1 to 64 characters: a-z, 0-9, and . _ - after the first")
        self._forget(subject_id)
        try:
            row = await self._pool.fetchrow(
                "SELECT known, erased_at, erasure_reason FROM vault.erase_subject($1, $2)", subject_id, reason
            )
        finally:
            # Again: a key that was read while the erasure was under way may have come into the cache.
            self._forget(subject_id)
        assert row is not None, "the function answers with one row"
        if not row["known"]:
            raise SubjectUnknown(f"no subject {subject_id}")
        return Tombstone(subject_id, row["erased_at"], row["erasure_reason"])

    async def tombstone(self, subject_id: UUID) -> Tombstone | None:
        """Give what is left of an erased person, None for one who is not erased. Raises SubjectUnknown."""
        row = await self._pool.fetchrow(
            "SELECT erased_at, erasure_reason FROM vault.subjects WHERE id = $1", subject_id
        )
        if row is None:
            raise SubjectUnknown(f"no subject {subject_id}")
        return None if row["erased_at"] is None else Tombstone(subject_id, row["erased_at"], row["erasure_reason"])

    def _blind_indexes(self, natural_key: str) -> list[bytes]:
        """The index under each key, the current one first."""
        text = _INDEXING + normalise(natural_key).encode()
        return [hmac.digest(key, text, sha256) for key in self._index_keys.values()]

    async def _find(self, indexes: list[bytes]) -> UUID | None:
        # One statement, so that a person who is moved from one key to another meanwhile is seen under one of them.
        rows = await self._pool.fetch(
            "SELECT id, blind_index, index_key_id FROM vault.subjects WHERE blind_index = ANY($1::bytea[])", indexes
        )
        if not rows:
            return None
        row = min(rows, key=lambda each: indexes.index(each["blind_index"]))
        found: UUID = row["id"]
        if row["blind_index"] != indexes[0] or row["index_key_id"] != self._index_key_ids[0]:
            # He is found either way. Somebody else under the current index was made by a process of an older release;
            # and a role without the right to move persons leaves them to one that has it: `count_former` tells.
            with suppress(asyncpg.UniqueViolationError, asyncpg.InsufficientPrivilegeError):
                await self._move(found, row["blind_index"], indexes[0])
        return found

    async def _find_in_turn(
        self, indexes: list[bytes], new: UUID | None = None, wrapped_key: bytes | None = None
    ) -> UUID | None:
        """Look again when nobody else does, and make the person `new` if he still is not there."""
        row = await self._pool.fetchrow(
            "SELECT subject, other_key FROM vault.subject_for($1::bytea[], $2::text[], $3, $4, $5)",
            indexes,
            self._index_key_ids,
            new,
            wrapped_key,
            self._master.current_id,
        )
        assert row is not None, "the function gives one row"
        if row["other_key"]:
            raise IndexKeyMissing(
                "persons stand under an index key that is not configured here: give it as a former index key"
            )
        found: UUID | None = row["subject"]
        return found

    async def _move(self, subject_id: UUID, index: bytes, to: bytes) -> None:
        # Who was erased or moved meanwhile has another index or none, and is left alone.
        await self._pool.execute(
            "UPDATE vault.subjects SET blind_index = $3, index_key_id = $4 WHERE id = $1 AND blind_index = $2",
            subject_id,
            index,
            to,
            self.index_key_id,
        )

    async def _key(self, subject_id: UUID) -> AESGCM:
        row = await self._pool.fetchrow(
            "SELECT wrapped_key, master_key_id, erased_at, erasure_reason FROM vault.subjects WHERE id = $1", subject_id
        )
        return self._unwrapped(subject_id, row)

    def _unwrapped(self, subject_id: UUID, row: Mapping[str, Any] | None) -> AESGCM:
        if row is None:
            raise SubjectUnknown(f"no subject {subject_id}")
        if row["wrapped_key"] is None:
            self._forget(subject_id)
            raise _erased(subject_id, row)
        return AESGCM(self._master.unwrap(subject_id, row["wrapped_key"], row["master_key_id"]))

    async def _key_to_seal(self, subject_id: UUID) -> AESGCM:
        now = time.monotonic()
        cached = self._cached.get(subject_id)
        if cached is not None and now - cached[0] < CACHED_KEY_LIFETIME_S:
            self._cached.move_to_end(subject_id)
            return cached[1]
        erasures = self._erasures
        key = await self._key(subject_id)
        if erasures == self._erasures:
            self._cached[subject_id] = (now, key)
            self._cached.move_to_end(subject_id)
            while len(self._cached) > CACHED_KEYS:
                self._cached.popitem(last=False)
        return key

    def _forget(self, subject_id: UUID) -> None:
        self._erasures += 1
        self._cached.pop(subject_id, None)


def _opened(key: AESGCM, subject_id: UUID, sealed: str) -> dict[str, str]:
    value = _unpack(sealed)
    try:
        plain = key.decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], _SEALING + subject_id.bytes)
    except InvalidTag as error:
        raise SealBroken(f"not sealed for subject {subject_id}, or changed since") from error
    fields: dict[str, str] = orjson.loads(plain)
    return fields


def _erased(subject_id: UUID, row: Mapping[str, Any]) -> SubjectErased:
    reason = f" ({row['erasure_reason']})" if row["erasure_reason"] else ""
    return SubjectErased(f"subject {subject_id} was erased at {row['erased_at'].isoformat()}{reason}")


def _unpack(sealed: str) -> bytes:
    if not sealed.startswith(_PREFIX):
        raise SealBroken("not a sealed text")
    try:
        value = base64.b64decode(sealed[len(_PREFIX) :], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise SealBroken("not a sealed text") from error
    if len(value) <= NONCE_BYTES:
        raise SealBroken("not a sealed text")
    return value
