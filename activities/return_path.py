"""The sender of each mail's envelope: an address of its own, so that a mail that comes back tells which one it was.

    bounces+<token>@domain      token = base32(mail id (16 bytes) || HMAC-SHA256 (10 bytes)), 42 characters

Nothing personal is in it, nobody can make one up, and it survives servers that write addresses in small letters.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

ID_BYTES: Final = 16
SIGNATURE_BYTES: Final = 10
_PURPOSE: Final = b"xunji return path\x00"
_TOKEN: Final = re.compile(r"\+([a-z2-7]{42})@", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """Makes and reads them. `address` is the mailbox that takes them, `key` 32 bytes."""

    address: str
    key: bytes = field(repr=False)

    def of(self, mail: UUID) -> str:
        """The envelope's sender of a mail."""
        local, _, domain = self.address.rpartition("@")
        token = base64.b32encode(mail.bytes + self._signature(mail)).decode().rstrip("=").lower()
        return f"{local}+{token}@{domain}"

    def mail_of(self, address: str) -> UUID | None:
        """The mail that an address was made for; None for any other address."""
        found = _TOKEN.search(address)
        if found is None:
            return None
        token = found.group(1).upper()
        try:
            content = base64.b32decode(token + "=" * (-len(token) % 8))
        except (binascii.Error, ValueError):
            return None
        mail = UUID(bytes=content[:ID_BYTES])
        return mail if hmac.compare_digest(content[ID_BYTES:], self._signature(mail)) else None

    def _signature(self, mail: UUID) -> bytes:
        return hmac.digest(self.key, _PURPOSE + mail.bytes, hashlib.sha256)[:SIGNATURE_BYTES]
