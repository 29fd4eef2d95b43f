"""An organisation in the `institutions` book (stream `institution/{id}`), with what was issued to it.

Nothing waits here, so no workflow runs for it: the API appends these events itself.
"""

from datetime import date
from typing import ClassVar, Literal

from domain.decision import Event, EventCatalogue

Kind = Literal["bureau", "county", "school", "host"]


class InstitutionRegistered(Event):
    """An organisation takes part: the bureau, a county (or another recipient of quotas), a school or a host."""

    type: ClassVar[str] = "institution.registered"
    id: str
    kind: Kind
    name_zh: str
    parent: str
    email: str
    gb_code: str | None = None
    generated: bool = False


class KeyIssued(Event):
    """An API key was issued. Only its public id and its scopes are kept here, never the key."""

    type: ClassVar[str] = "institution.key_issued"
    key: str
    scopes: tuple[str, ...]
    issued_by: str


class KeyRevoked(Event):
    """An API key is no longer accepted."""

    type: ClassVar[str] = "institution.key_revoked"
    key: str
    revoked_by: str


class WebhookEndpointRegistered(Event):
    """The organisation wants its notices posted to a URL; the secret is kept sealed elsewhere."""

    type: ClassVar[str] = "institution.webhook_endpoint_registered"
    endpoint: str
    url: str
    registered_by: str


class HostSuspended(Event):
    """暂停承训 by a named person with reasons: no class is planned before `until`."""

    type: ClassVar[str] = "institution.suspended"
    by: str
    decided_by: str
    reasons: str
    document: str
    starts: date
    until: date


class HostReinstated(Event):
    """恢复承训 by a named person with reasons."""

    type: ClassVar[str] = "institution.reinstated"
    by: str
    decided_by: str
    reasons: str


EVENTS = EventCatalogue(
    InstitutionRegistered, KeyIssued, KeyRevoked, WebhookEndpointRegistered, HostSuspended, HostReinstated
)
