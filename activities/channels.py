"""What mail and text messages have in common: a message to one address, sent once over a session, and how it fared.

Whatever a receiver or the way to it does wrong is an answer, not an exception, so that a batch goes on.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar
from uuid import UUID

REFUSED: Final = "the recipient was refused"
BOUNCED: Final = "the mail came back"
"""A mail server took the mail, and another one did not."""

NOT_ARRIVED: Final = "the text message did not arrive"
"""The provider took it, and the telephone's operator did not deliver it."""


class Outgoing(Protocol):
    """A message. `id` stays the same when it is sent again; `digest` is the SHA-256 of what the recipient reads."""

    @property
    def id(self) -> UUID: ...
    @property
    def to(self) -> str: ...
    @property
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """How a message fared. `problem` is REFUSED when this recipient will never be accepted; others may be tried again.

    `of_recipient` says that only this recipient failed, and the server may be given other messages. `server` is who
    answered, `reply` what: most often the id in its queue. No address is in it. Both are evidence, and make no
    difference between two outcomes.
    """

    status_code: int | None = None
    problem: str = ""
    of_recipient: bool = False
    server: str = field(default="", compare=False)
    reply: str = field(default="", compare=False)

    @property
    def refused(self) -> bool:
        return self.problem == REFUSED


M_contra = TypeVar("M_contra", bound=Outgoing, contravariant=True)


class Session(Protocol[M_contra]):
    """Takes messages one after the other, for one batch."""

    async def send(self, message: M_contra) -> Sent:
        """Send `message` once."""
        ...


class Channel(Protocol[M_contra]):
    """A way to people: opens sessions."""

    def session(self) -> AbstractAsyncContextManager[Session[M_contra]]: ...
