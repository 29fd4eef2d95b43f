"""Links that let somebody without an account do one thing, once, until a moment: here, object to a restriction.

A token is `payload.signature`, both base64url: the payload names purpose, number and last second, and the signature is
HMAC-SHA256 under a key of its own. Nothing personal is in it. Whether the thing was done already is for the ledger to
say; the token only says who may ask.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

OBJECT: Final = "object"
TOKEN_LENGTH_MAX: Final = 300
_SEPARATOR: Final = "|"


class LinkInvalid(ValueError):
    """The token was not signed here, serves another purpose, or has expired."""


@dataclass(frozen=True, slots=True)
class SignedLinks:
    """Makes and reads tokens. `key` is 32 bytes, `public_url` how the world reaches the API."""

    key: bytes
    public_url: str

    def objection(self, restriction: str, until: datetime) -> str:
        """The address at which the teacher objects to the restriction before `until`."""
        return f"{self.public_url}/objections/{self.token(OBJECT, restriction, until)}"

    def token(self, purpose: str, number: str, until: datetime) -> str:
        """A token for one purpose and one number, valid before `until`."""
        payload = _SEPARATOR.join((purpose, number, str(int(until.timestamp())))).encode()
        return f"{_encoded(payload)}.{_encoded(self._signature(payload))}"

    def read(self, purpose: str, token: str, now: datetime) -> tuple[str, datetime]:
        """The number that the token was made for, and until when it is valid. Raises LinkInvalid."""
        payload_text, _, signature_text = token[:TOKEN_LENGTH_MAX].partition(".")
        try:
            payload, signature = _decoded(payload_text), _decoded(signature_text)
        except (binascii.Error, ValueError):
            raise LinkInvalid("not a token") from None
        if not hmac.compare_digest(signature, self._signature(payload)):
            raise LinkInvalid("not signed with this key")
        its_purpose, number, until_text = payload.decode().split(_SEPARATOR)
        until = datetime.fromtimestamp(int(until_text), UTC)
        if its_purpose != purpose:
            raise LinkInvalid(f"made for {its_purpose}")
        if now >= until:
            raise LinkInvalid("expired")
        return number, until

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self.key, payload, hashlib.sha256)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
