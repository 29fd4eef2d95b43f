"""What the settings say about whom to trust: the ring of signing keys, the witnesses, and whether we are one."""

import base64
import binascii
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.cosignature import Witness, witness_of
from ledger.errors import MalformedWitness
from ledger.keyring import Keyring
from ledger.seal import Sealer, public_key_of
from ledger.witness import WitnessService
from ledger.witnessing import Witnessing
from settings import Settings, SettingsError, key_bytes, variable_of


def checkpoint_directory(settings: Settings) -> Path:
    """Where the checkpoints stand outside the database."""
    return settings.state_dir / "checkpoints"


def keyring_of(settings: Settings) -> Keyring:
    """The ring that begins at the signing keys of the settings."""
    keys = [settings.signing_key, settings.previous_signing_key]
    return Keyring(public_key_of(key_bytes(key)) for key in keys if key is not None)


def public_key_text(key: Ed25519PublicKey) -> str:
    """A public key as people pass it on: base64 of 32 bytes."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def read_public_key(text: str) -> Ed25519PublicKey:
    """A public key as `xunji ledger public-key` prints it. Raises ValueError."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("not base64 of 32 bytes") from None


def witnesses_of(settings: Settings) -> list[Witness]:
    """Who countersigns our checkpoints. Raises SettingsError."""
    try:
        return [witness_of(each.key, each.url, required=each.required) for each in settings.witnesses]
    except MalformedWitness as error:
        raise SettingsError(f"{variable_of('witnesses')}: {error}") from None


def sealer_of(settings: Settings, pool: "asyncpg.Pool[Any]") -> Sealer:
    """What signs the checkpoints."""
    previous = settings.previous_signing_key
    return Sealer(
        pool,
        signing_key=key_bytes(settings.signing_key),
        origin=settings.ledger_origin,
        directory=checkpoint_directory(settings),
        previous_key=key_bytes(previous) if previous is not None else None,
    )


def witnessing_of(settings: Settings, pool: "asyncpg.Pool[Any]") -> Witnessing:
    """What has the checkpoints countersigned. Raises SettingsError."""
    return Witnessing(pool, witnesses_of(settings), checkpoint_directory(settings))


def witness_service_of(settings: Settings, pool: "asyncpg.Pool[Any]") -> WitnessService | None:
    """What countersigns for others, None when this instance does not. Raises SettingsError."""
    if settings.witness_key is None:
        return None
    try:
        logs = {origin: [read_public_key(key) for key in keys] for origin, keys in settings.witnessed_logs.items()}
    except ValueError as error:
        raise SettingsError(f"{variable_of('witnessed_logs')}: a public key is {error}") from None
    return WitnessService(pool, settings.witness_name, key_bytes(settings.witness_key), logs)
