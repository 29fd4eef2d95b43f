"""Seals the secrets that must be readable again (webhook secrets, answers that show a key once), under the
master key.

AES-256-GCM; the sealed bytes are a fresh nonce followed by the ciphertext. The associated data bind a
secret to its place: what was sealed for one webhook endpoint cannot be opened as another's.
"""

import os
from collections.abc import Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
PURPOSE = b"xunji secrets box 1"
"""Sets this use of the master key apart from the wrapping of people's keys."""


class SecretBroken(ValueError):
    """The sealed bytes were changed, belong to another place, or were sealed under another master key."""


class SecretsBox:
    """Seals under `master_key` (32 bytes), and opens what was sealed under it or under one of the `former` ones."""

    def __init__(self, master_key: bytes, former: Sequence[bytes] = ()) -> None:
        self._ciphers = [_cipher(each) for each in (master_key, *former)]

    def seal(self, place: str, secret: bytes) -> bytes:
        """`secret` sealed for `place`; no two calls give the same bytes."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret, place.encode())

    def open(self, place: str, sealed: bytes) -> bytes:
        """What was sealed for `place`. Raises SecretBroken."""
        for cipher in self._ciphers:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        raise SecretBroken(f"the secret of {place} cannot be opened with this master key")

    def is_current(self, place: str, sealed: bytes) -> bool:
        """Whether it was sealed under the current key."""
        try:
            self._ciphers[0].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            return False
        return True


def _cipher(master_key: bytes) -> AESGCM:
    if len(master_key) != KEY_BYTES:
        raise ValueError(f"the master key has {KEY_BYTES} bytes, not {len(master_key)}")
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=PURPOSE).derive(master_key))


def seal_secret(master_key: bytes, endpoint: str, secret: str) -> bytes:
    """A webhook endpoint's secret (`whsec_…`), sealed for that endpoint."""
    return SecretsBox(master_key).seal(endpoint, secret.encode())


def open_secret(master_key: bytes, endpoint: str, sealed: bytes, *, former: Sequence[bytes] = ()) -> str:
    """The webhook endpoint's secret. Raises SecretBroken."""
    return SecretsBox(master_key, former).open(endpoint, sealed).decode()
