"""Personal data under a key of each person, so that destroying the key erases the person.

A person has a random id and a random AES-256 key. The key is stored wrapped by the master key; a natural key (an ID
number) is found by a keyed blind index, so that the table alone answers nothing, not even to guessing. What is sealed
for one person cannot be opened as another's: the person's id is authenticated with it.

    sealed text = "v1." + base64url(nonce (12) || ciphertext || tag (16))     AES-256-GCM
"""

import base64
import binascii
import hmac
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import InvalidKey, InvalidNaturalKey, SealBroken, SubjectErased, SubjectUnknown

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
CACHED_KEYS: Final = 1_024
CACHED_KEY_LIFETIME_S: Final = 30.0
"""So long after an erasure another process may still open what it had open before; the erasing one may not."""

_PREFIX: Final = "v1."
_WRAPPING: Final = b"xunji vault key\x00"
_SEALING: Final = b"xunji vault fields\x00"
_INDEXING: Final = b"xunji vault index\x00"
_CREATE_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A person of whom nothing is known here but this id."""

    id: UUID


def normalise(natural_key: str) -> str:
    """Give the one spelling of a natural key: NFKC, upper case, no white space. Raises InvalidNaturalKey if empty."""
    spelt = "".join(unicodedata.normalize("NFKC", natural_key).upper().split())
    if not spelt:
        raise InvalidNaturalKey("a natural key is not empty")
    return spelt


class Vault:
    """Persons and their keys, on a pool of connections to a migrated database. Methods raise asyncpg's errors too."""

    def __init__(self, pool: "asyncpg.Pool[Any]", master_key: bytes, index_key: bytes) -> None:
        for key in (master_key, index_key):
            if len(key) != KEY_BYTES:
                raise InvalidKey(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        self._pool = pool
        self._master = AESGCM(master_key)
        self._index_key = index_key
        self._cached: OrderedDict[UUID, tuple[float, AESGCM]] = OrderedDict()
        # Whom this process has erased: a key that was read just before must not come into the cache just after.
        self._erased: set[UUID] = set()

    async def subject_for(self, natural_key: str) -> Subject:
        """Give the person with this natural key, made known now if nobody was."""
        index = self._blind_index(natural_key)
        for _ in range(_CREATE_ATTEMPTS):
            found = await self._find(index)
            if found is not None:
                return Subject(found)
            subject_id = uuid4()
            made = await self._pool.fetchval(
                "INSERT INTO vault.subjects (id, blind_index, wrapped_key) VALUES ($1, $2, $3) "
                "ON CONFLICT (blind_index) DO NOTHING RETURNING id",
                subject_id,
                index,
                self._wrap(subject_id, secrets.token_bytes(KEY_BYTES)),
            )
            if made is not None:
                return Subject(subject_id)
        raise SubjectErased("the person was made known and erased again by others meanwhile")

    async def find(self, natural_key: str) -> UUID | None:
        """Give the id of the person with this natural key, or None when nobody has it or the person was erased."""
        return await self._find(self._blind_index(natural_key))

    async def seal(self, subject_id: UUID, fields: Mapping[str, str]) -> str:
        """Encrypt a person's fields. Each sealing gives another text. Raises SubjectUnknown or SubjectErased."""
        key = await self._key(subject_id)
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = orjson.dumps(dict(fields), option=orjson.OPT_SORT_KEYS)
        sealed = nonce + key.encrypt(nonce, plain, _SEALING + subject_id.bytes)
        return _PREFIX + base64.urlsafe_b64encode(sealed).decode()

    async def open(self, subject_id: UUID, sealed: str) -> dict[str, str]:
        """Decrypt what was sealed for this person. Raises SubjectUnknown, SubjectErased or SealBroken."""
        key = await self._key(subject_id)
        value = _unpack(sealed)
        try:
            plain = key.decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], _SEALING + subject_id.bytes)
        except InvalidTag as error:
            raise SealBroken(f"not sealed for subject {subject_id}, or changed since") from error
        fields: dict[str, str] = orjson.loads(plain)
        return fields

    async def erase(self, subject_id: UUID) -> None:
        """Destroy the person's key and index entry, for ever. Raises SubjectUnknown; doing it again does nothing.

        Backups keep the key until they expire. Whoever bears the natural key becomes a new person when next seen.
        """
        self._erased.add(subject_id)
        self._cached.pop(subject_id, None)
        status = await self._pool.execute(
            "UPDATE vault.subjects SET blind_index = NULL, wrapped_key = NULL, erased_at = coalesce(erased_at, now()) "
            "WHERE id = $1",
            subject_id,
        )
        if status == "UPDATE 0":
            self._erased.discard(subject_id)
            raise SubjectUnknown(f"no subject {subject_id}")

    def _blind_index(self, natural_key: str) -> bytes:
        return hmac.digest(self._index_key, _INDEXING + normalise(natural_key).encode(), sha256)

    async def _find(self, index: bytes) -> UUID | None:
        found: UUID | None = await self._pool.fetchval("SELECT id FROM vault.subjects WHERE blind_index = $1", index)
        return found

    async def _key(self, subject_id: UUID) -> AESGCM:
        now = time.monotonic()
        cached = self._cached.get(subject_id)
        if cached is not None and now - cached[0] < CACHED_KEY_LIFETIME_S:
            self._cached.move_to_end(subject_id)
            return cached[1]
        row = await self._pool.fetchrow("SELECT wrapped_key FROM vault.subjects WHERE id = $1", subject_id)
        if row is None:
            raise SubjectUnknown(f"no subject {subject_id}")
        if row["wrapped_key"] is None or subject_id in self._erased:
            self._cached.pop(subject_id, None)
            raise SubjectErased(f"subject {subject_id} was erased")
        key = AESGCM(self._unwrap(subject_id, row["wrapped_key"]))
        self._cached[subject_id] = (now, key)
        self._cached.move_to_end(subject_id)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return key

    def _wrap(self, subject_id: UUID, key: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, key, _WRAPPING + subject_id.bytes)

    def _unwrap(self, subject_id: UUID, wrapped: bytes) -> bytes:
        try:
            return self._master.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _WRAPPING + subject_id.bytes)
        except InvalidTag as error:
            raise SealBroken(f"the key of subject {subject_id} was not wrapped by this master key") from error


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
