"""An organisation in the `institutions` book (stream `institution/{id}`), with what was issued to it.

Nothing waits here, so no workflow runs for it: the API appends these events itself.
"""

from datetime import date, datetime
from typing import ClassVar, Literal

from domain.decision import Event, EventCatalogue

Kind = Literal["bureau", "county", "school", "host", "auditor"]


class InstitutionRegistered(Event):
    """An organisation takes part: the bureau, a county (or another recipient of quotas), a school, a host, or an
    auditor (审计), who only reads.
    """

    type: ClassVar[str] = "institution.registered"
    id: str
    kind: Kind
    name_zh: str
    parent: str
    email: str
    gb_code: str | None = None
    generated: bool = False


class KeyIssued(Event):
    """An API key was issued. Only its public id and its scopes are kept here, never the key.

    `officer` is the staff number of whoever acts with it: past acts name the key, so they stay his when he moves (edge
    case 60). A deputy's key says for whom, and holds from one date to another (59).
    """

    type: ClassVar[str] = "institution.key_issued"
    key: str
    scopes: tuple[str, ...]
    issued_by: str
    officer: str = ""
    deputy_for: str = ""
    starts_at: datetime | None = None
    expires_at: datetime | None = None


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


class InstitutionContactChanged(Event):
    """Its notices go to another address from now on, those that are still in the post as well."""

    type: ClassVar[str] = "institution.contact_changed"
    by: str
    email: str


class InstitutionClosed(Event):
    """撤并: a school takes part no longer; `successor` is the school that its cases passed to (edge case 62)."""

    type: ClassVar[str] = "institution.closed"
    by: str
    successor: str
    document: str


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


class WebhookSecretRotated(Event):
    """An endpoint has a new secret; the former one signs beside it for `overlap_hours`."""

    type: ClassVar[str] = "institution.webhook_secret_rotated"
    endpoint: str
    overlap_hours: int
    rotated_by: str


class WebhookEndpointDisabled(Event):
    """Nothing is posted to an endpoint any more: by its owner, because it answered 410, or after days of failure."""

    type: ClassVar[str] = "institution.webhook_endpoint_disabled"
    endpoint: str
    because: Literal["owner", "gone", "failing"]
    disabled_by: str


class MailboxPaused(Event):
    """Nothing is sent to the organisation until its mailbox is resumed."""

    type: ClassVar[str] = "institution.mailbox_paused"
    reason: str
    paused_by: str


class MailboxResumed(Event):
    """The organisation's notices are sent again."""

    type: ClassVar[str] = "institution.mailbox_resumed"
    reason: str
    resumed_by: str


class NoticeSkipped(Event):
    """A notice is not sent any more, on whatever way it was still to go."""

    type: ClassVar[str] = "institution.notice_skipped"
    notice: str
    reason: str
    skipped_by: str


class NoticesRedelivered(Event):
    """Notices are posted once more to an endpoint, because somebody asked for it: one, or those of a span of time."""

    type: ClassVar[str] = "institution.notices_redelivered"
    endpoint: str
    notice: str | None = None
    since: str | None = None
    before: str | None = None
    missing_only: bool = False
    reason: str = ""
    asked_by: str


EVENTS = EventCatalogue(
    InstitutionRegistered,
    KeyIssued,
    KeyRevoked,
    WebhookEndpointRegistered,
    InstitutionContactChanged,
    InstitutionClosed,
    HostSuspended,
    HostReinstated,
    WebhookSecretRotated,
    WebhookEndpointDisabled,
    MailboxPaused,
    MailboxResumed,
    NoticeSkipped,
    NoticesRedelivered,
)
