"""Replacing the master key and the index key while the system runs: `docs/runbooks/rotating-keys.md` has the order.

The master key wraps every person's key (`ledger.vault_rotation`) and seals what else must be readable again: the
secrets of webhook endpoints, the kept answers that showed a secret, the keys of imported files, and commands that wait.
All of it is brought under the current key; beginnings of what webhook receivers answered are forgotten instead.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg

from ledger.advance import Advance, uncounted
from ledger.errors import InvalidKey
from ledger.vault_rotation import ReindexReport, RewrapReport, count_former, count_to_rewrap, reindex, rewrap
from secrets_box import SecretBroken, SecretsBox
from services.person_export import identity_number_of
from settings import Settings, former_keys, key_bytes
from vaults import vault_of

MAX_SECRETS: Final = 100_000
"""More webhook endpoints or kept answers than an installation has; the rotation then is refused."""

_ENDPOINTS: Final = "SELECT id AS place, secret_sealed AS sealed FROM app.webhook_endpoints ORDER BY id LIMIT $1"
_ENDPOINT_RESEALED: Final = "UPDATE app.webhook_endpoints SET secret_sealed = $3 WHERE id = $1 AND secret_sealed = $2"
_FORMER: Final = """
SELECT id AS place, former_secret_sealed AS sealed FROM app.webhook_endpoints
WHERE former_secret_sealed IS NOT NULL ORDER BY id LIMIT $1
"""
_FORMER_RESEALED: Final = """
UPDATE app.webhook_endpoints SET former_secret_sealed = $3 WHERE id = $1 AND former_secret_sealed = $2
"""
# Beginnings of what receivers answered help to find a mistake of today; they are forgotten rather than sealed anew.
_ANSWERS_FORGOTTEN: Final = "UPDATE app.deliveries SET answer_sealed = NULL WHERE answer_sealed IS NOT NULL"
# The place as `api.idempotency` names it.
_ANSWERS: Final = """
SELECT 'idempotency:' || concat_ws(E'\\n', organisation, operation, key) AS place, body AS sealed
FROM app.idempotency WHERE sealed AND body IS NOT NULL ORDER BY 1 LIMIT $1
"""
_ANSWER_RESEALED: Final = """
UPDATE app.idempotency SET body = $3
WHERE 'idempotency:' || concat_ws(E'\\n', organisation, operation, key) = $1 AND body = $2
"""

_IMPORTS: Final = """
SELECT kind || ':' || id AS place, key_sealed AS sealed FROM app.imports ORDER BY 1 LIMIT $1
"""
_IMPORT_RESEALED: Final = """
UPDATE app.imports SET key_sealed = $3 WHERE kind || ':' || id = $1 AND key_sealed = $2
"""

# What was handled is sealed no more.
_INBOX: Final = """
SELECT 'inbox:' || command_id AS place, content_sealed AS sealed FROM app.inbox
WHERE content_sealed IS NOT NULL ORDER BY 1 LIMIT $1
"""
_INBOX_RESEALED: Final = """
UPDATE app.inbox SET content_sealed = $3 WHERE 'inbox:' || command_id = $1 AND content_sealed = $2
"""


@dataclass(frozen=True, slots=True)
class MasterRotation:
    """What was done for persons' keys, and for the `resealed` secrets; `unreadable` secrets are under no key given."""

    persons: RewrapReport
    resealed: int
    unreadable: int

    @property
    def finished(self) -> bool:
        """Whether the former master keys are not needed any more."""
        return self.persons.finished and self.unreadable == 0


async def rotate_master_key(
    pool: "asyncpg.Pool[Any]", settings: Settings, advance: Advance = uncounted
) -> MasterRotation:
    """Bring everything under the current master key of the settings, as the owner. Stopped and run again, it goes on.

    Raises InvalidKey when no former key is set, and asyncpg's errors.
    """
    former = former_keys(settings.former_master_keys)
    if not former:
        raise InvalidKey("XUNJI_FORMER_MASTER_KEYS is not set: give the key that is being replaced there")
    current = key_bytes(settings.master_key)
    persons = await rewrap(pool, current, former, advance=advance)
    box = SecretsBox(current, former)
    resealed = unreadable = 0
    await pool.execute(_ANSWERS_FORGOTTEN)
    for secrets, replace in (
        (_ENDPOINTS, _ENDPOINT_RESEALED),
        (_FORMER, _FORMER_RESEALED),
        (_ANSWERS, _ANSWER_RESEALED),
        (_IMPORTS, _IMPORT_RESEALED),
        (_INBOX, _INBOX_RESEALED),
    ):
        rows = await pool.fetch(secrets, MAX_SECRETS + 1)
        assert len(rows) <= MAX_SECRETS, "an installation has not that many secrets"
        for place, sealed in rows:
            if box.is_current(place, sealed):
                continue
            try:
                secret = box.open(place, sealed)
            except SecretBroken:
                unreadable += 1
                continue
            # Whoever has replaced the secret meanwhile has sealed it under his own current key.
            resealed += int((await pool.execute(replace, place, sealed, box.seal(place, secret))).split()[-1])
    return MasterRotation(persons, resealed, unreadable)


async def rotate_index_key(
    pool: "asyncpg.Pool[Any]", settings: Settings, advance: Advance = uncounted
) -> ReindexReport:
    """Bring everybody whose number can be opened under the current index key, as the owner.

    Raises InvalidKey when no former key is set, VaultError, and asyncpg's errors.
    """
    if not former_keys(settings.former_index_keys):
        raise InvalidKey("XUNJI_FORMER_INDEX_KEYS is not set: give the key that is being replaced there")
    vault = vault_of(settings, pool)
    number_of = partial(_number_of, pool, settings)
    return await reindex(pool, vault, number_of, advance=advance)


async def _number_of(pool: "asyncpg.Pool[Any]", settings: Settings, person: UUID) -> str | None:
    return await identity_number_of(pool, vault_of(settings, pool), person)


async def master_keys_to_do(pool: "asyncpg.Pool[Any]", settings: Settings) -> int:
    """How many persons' keys the next rotation has to wrap anew."""
    return await count_to_rewrap(pool, key_bytes(settings.master_key))


async def index_keys_to_do(pool: "asyncpg.Pool[Any]", settings: Settings) -> int:
    """How many persons stand under another index key than the current one."""
    return await count_former(pool, vault_of(settings, pool).index_key_id)
