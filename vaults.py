"""The vault as the settings say: its current keys, and those that are being replaced."""

from typing import Any

import asyncpg

from ledger.vault import Vault
from settings import Settings, former_keys, key_bytes


def vault_of(settings: Settings, pool: "asyncpg.Pool[Any]", kind: type[Vault] = Vault) -> Vault:
    """A vault of this kind on this pool with every key of the settings."""
    return kind(
        pool,
        key_bytes(settings.master_key),
        key_bytes(settings.index_key),
        former_master_keys=former_keys(settings.former_master_keys),
        former_index_keys=former_keys(settings.former_index_keys),
    )
