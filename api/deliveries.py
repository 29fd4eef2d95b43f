"""What was served to whom, by which way and when: the evidence for each notice, and the addresses that do not work.

A county sees its own notices and those of its schools, everybody else his own, the bureau all. A teacher's address is
sealed under his own key; it is shown, masked, only with the case that the notice is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from api.pagination import Page, WindowHere, next_cursor
from api.people import mask_email, mask_telephone
from api.permissions import Caller
from api.personal import PERSONAL
from api.problems import documented
from api.receipts import RestrictionNumber, TraineeNumber
from api.routing import router
from api.services import Services, ServicesHere, allowed
from ledger.errors import SubjectErased, SubjectUnknown
from projections.institutions import MAX_INSTITUTIONS

routes = router("/v1", "deliveries")
NEWEST: Final = 2**63 - 1
OF_A_CASE_MAX: Final = 200
"""The evidence of one case is one page: a case has a few dozen notices."""
DELIVERIES_MAX: Final = 100
"""So many ways and attempts are shown of one notice, the newest."""
UNDELIVERABLE: Final = (
    "the recipient was refused",
    "the mail came back",
    "the text message did not arrive",
    "no address is known",
    "its address was refused before",
)
Reader = Annotated[Caller, allowed("deliveries:read")]

_OURS: Final = "SELECT id FROM view.institutions WHERE id = $1 OR parent = $1 LIMIT $2"
_NOTICES: Final = """
SELECT position, id, recipient, topic, body, created_at, delivered_at FROM ledger.outbox
WHERE NOT starts_with(recipient, 'process:') AND position < $1
  AND ($2::text[] IS NULL OR recipient = ANY ($2)) AND ($3::uuid IS NULL OR id = $3)
  AND ($4::bytea IS NULL OR position($4 IN body) > 0)
  AND ($6::boolean IS NULL OR (delivered_at IS NULL) = $6)
  AND ($7::timestamptz IS NULL OR created_at >= $7) AND ($8::timestamptz IS NULL OR created_at < $8)
ORDER BY position DESC LIMIT $5
"""
_DELIVERIES: Final = """
SELECT d.* FROM unnest($1::uuid[]) AS wanted (id), LATERAL (
    SELECT outbox_id, channel, endpoint, attempt, status_code, problem, first_at, at, server, reply, content_digest,
           template, recipient_sealed, bounced_at, bounce_status
    FROM app.deliveries WHERE outbox_id = wanted.id ORDER BY id DESC LIMIT $2
) d ORDER BY d.first_at
"""
# The newest failure of each address that nothing has reached since. Whoever it is, is told from the notices' bodies.
_UNDELIVERABLE: Final = """
SELECT * FROM (
    SELECT DISTINCT ON (key) concat_ws('|', d.organisation, d.channel, whose.person) AS key, d.organisation, d.channel,
           d.problem, coalesce(d.bounce_status, d.status_code::text) AS status, d.reply,
           coalesce(d.bounced_at, d.at) AS at, o.id AS notice, o.topic, o.body,
           count(*) OVER (PARTITION BY d.organisation, d.channel, whose.person) AS notices
    FROM app.deliveries d JOIN ledger.outbox o ON o.id = d.outbox_id,
         LATERAL (SELECT convert_from(o.body, 'UTF8')::json ->> 'person' AS person) whose
    WHERE d.problem = ANY ($1) AND ($2::text[] IS NULL OR d.organisation = ANY ($2))
      AND NOT EXISTS (
          SELECT FROM app.deliveries later JOIN ledger.outbox about ON about.id = later.outbox_id
          WHERE later.organisation = d.organisation AND later.channel = d.channel AND later.problem = ''
            AND later.at > d.at
            AND (convert_from(about.body, 'UTF8')::json ->> 'person') IS NOT DISTINCT FROM whose.person
      )
    ORDER BY key, d.id DESC
) newest WHERE key > $3 ORDER BY key LIMIT $4
"""


class ServedOut(BaseModel):
    """One way that a notice went, or was tried. `problem` is empty once the receiver has taken it."""

    channel: Literal["webhook", "mail", "person-mail", "sms"] = Field(
        description="`person-mail` is a letter to the teacher, `sms` a text message to him."
    )
    endpoint: str = Field(description="The webhook endpoint, or the id of the mail, which its Message-ID begins with.")
    attempts: int
    first_at: datetime = Field(description="When it was first tried.")
    accepted_at: datetime | None = Field(description="When the receiver took it; null when it has not.")
    status_code: int | None
    problem: str = Field(examples=["", "the recipient was refused", "the mail came back"])
    server: str | None = Field(description="The mail server that took or refused it.", examples=["mail.example.org:25"])
    reply: str | None = Field(
        description="What the server answered, without addresses.", examples=["2.0.0 Ok: queued as 4F5XYZ1"]
    )
    content_sha256: str | None = Field(description="SHA-256 of subject, line feed and text of the mail, in UTF-8.")
    template: str | None = Field(description="The version of the words and templates that it was made of.")
    returned_at: datetime | None = Field(description="When a report came that it could not be delivered after all.")
    returned_status: str | None = Field(description="That report's status code (RFC 3463).", examples=["5.1.1"])


class ServedToOut(ServedOut):
    """With whom it went to."""

    recipient: Annotated[
        str | None,
        PERSONAL,
        Field(description="A teacher's address or telephone, masked.", examples=["w***@example.invalid"]),
    ] = None


class NoticeOfOut(BaseModel):
    """A notice. `done_at`: nothing more is to be done for it."""

    notice: str = Field(description="The notice's id, as in webhooks and in the feed.")
    type: str = Field(examples=["restriction.served"])
    organisation: str
    to: Literal["organisation", "teacher"]
    data: dict[str, Any] = Field(description="References and dates; nothing personal.")
    created_at: datetime
    done_at: datetime | None


class NoticeServedOut(NoticeOfOut):
    """A notice with every way that it went."""

    ways: list[ServedOut]


class CaseServedOut(NoticeOfOut):
    """A notice about a case, with every way that it went, and whom to."""

    ways: list[ServedToOut]


class UndeliverableOut(BaseModel):
    """An address that does not work, and that nothing has reached since. `data` is that of the newest notice: it names
    the case whose record is to be mended.
    """

    organisation: str
    to: Literal["organisation", "teacher"]
    problem: str
    status: str | None
    reply: str | None
    at: datetime
    notices: int = Field(description="How many notices did not arrive.")
    notice: str = Field(description="The newest of them.")
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notices."""

    notice: UUID | None = None
    waiting: bool | None = None
    since: datetime | None = None
    before: datetime | None = None


async def filters(
    notice: Annotated[UUID | None, Query(description="Only this notice.")] = None,
    waiting: Annotated[bool | None, Query(description="Only notices that wait, or only those that are done.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only what came about from then on.")] = None,
    before: Annotated[AwareDatetime | None, Query(description="Only what came about before.")] = None,
) -> Wanted:
    """The parameters of the list and of its download."""
    return Wanted(notice, waiting, since, before)


@routes.get("/deliveries", operation_id="list_deliveries", summary="List what was served", responses=documented())
async def list_deliveries(
    caller: Reader,
    services: ServicesHere,
    window: WindowHere,
    wanted: Annotated[Wanted, Depends(filters)],
) -> Page[NoticeServedOut]:
    """The notices to the caller's organisations and each way that they went, the newest first."""
    before = int(window.after) if window.after.isdecimal() else NEWEST
    found, after = await served(services, caller, wanted, before, window.limit)
    return Page(items=found, next=next_cursor(None if after is None else str(after)))


async def served(
    services: Services, caller: Caller, wanted: Wanted, before: int, limit: int
) -> tuple[list[NoticeServedOut], int | None]:
    """A page of what was served, before a position; with the position that the next page goes on from."""
    rows = await services.own_rows(caller).fetch(
        _NOTICES,
        before,
        await _visible(services, caller),
        wanted.notice,
        None,
        limit + 1,
        wanted.waiting,
        wanted.since,
        wanted.before,
    )
    page = rows[:limit]
    after = int(page[-1]["position"]) if len(rows) > limit else None
    ways = await _ways(services, caller, page)
    shown = [[ServedOut(**_way(each)) for each in ways[row["id"]]] for row in page]
    return [NoticeServedOut(**_notice(row), ways=each) for row, each in zip(page, shown, strict=True)], after


@routes.get(
    "/undeliverable-addresses",
    operation_id="list_undeliverable_addresses",
    summary="List addresses that do not work",
    responses=documented(),
)
async def list_undeliverable_addresses(
    caller: Reader, services: ServicesHere, window: WindowHere
) -> Page[UndeliverableOut]:
    """Which organisations' and teachers' addresses are to be mended: refused, returned, or not known at all."""
    rows = await services.own_rows(caller).fetch(
        _UNDELIVERABLE, list(UNDELIVERABLE), await _visible(services, caller), window.after, window.limit + 1
    )
    page = rows[: window.limit]
    more = len(rows) > window.limit
    return Page(
        items=[
            UndeliverableOut(
                to="teacher" if row["channel"] != "mail" else "organisation",
                notice=str(row["notice"]),
                type=row["topic"],
                data=_body(row).get("data", {}),
                **{name: row[name] for name in ("organisation", "problem", "status", "reply", "at", "notices")},
            )
            for row in page
        ],
        next=next_cursor(page[-1]["key"] if more else None),
    )


@routes.get(
    "/restrictions/{number}/deliveries",
    operation_id="list_restriction_deliveries",
    summary="How a restriction's notices were served",
    responses=documented(404),
)
async def list_restriction_deliveries(
    number: Annotated[RestrictionNumber, Path(description="The restriction's number.")],
    caller: Annotated[Caller, allowed("deliveries:read", "bureau", "county", "school")],
    services: ServicesHere,
) -> Page[CaseServedOut]:
    """The evidence of service: each notice of this restriction, the newest first, at most 200."""
    state = (await services.cases.restriction(number, caller)).state
    return await _of_case(services, caller, number, (state.school, state.county, state.host))


@routes.get(
    "/trainees/{number}/deliveries",
    operation_id="list_trainee_deliveries",
    summary="How a nomination's notices were served",
    responses=documented(404),
)
async def list_trainee_deliveries(
    number: Annotated[TraineeNumber, Path(description="The nomination's number.")],
    caller: Reader,
    services: ServicesHere,
) -> Page[CaseServedOut]:
    """Each notice that names this nomination, the newest first, at most 200."""
    state = (await services.cases.trainee(number, caller)).state
    return await _of_case(services, caller, number, (state.school, state.county, state.host))


async def _of_case(
    services: Services, caller: Caller, number: str, parties: Sequence[str | None]
) -> Page[CaseServedOut]:
    visible = await _visible(services, caller)
    recipients = [each for each in (*parties, caller.organisation) if each and (visible is None or each in visible)]
    # An id stands in quotes in the body, so that one number does not match as the beginning of another.
    mark = orjson.dumps(number)
    own = services.own_rows(caller)
    rows = await own.fetch(_NOTICES, NEWEST, recipients, None, mark, OF_A_CASE_MAX, None, None, None)
    ways = await _ways(services, caller, rows)
    items = []
    for row in rows:
        person = _person(row)
        shown = [
            ServedToOut(**_way(each), recipient=await _recipient(services, person, each["recipient_sealed"]))
            for each in ways[row["id"]]
        ]
        items.append(CaseServedOut(**_notice(row), ways=shown))
    return Page(items=items, next=None)


async def _visible(services: Services, caller: Caller) -> list[str] | None:
    """Whose notices the caller may see; None for everybody's."""
    if caller.role == "bureau":
        return None
    rows = await services.own_rows(caller).fetch(_OURS, caller.organisation, MAX_INSTITUTIONS)
    return [row["id"] for row in rows] or [caller.organisation]


async def _ways(services: Services, caller: Caller, rows: Sequence[Any]) -> dict[UUID, list[Any]]:
    """The rows of the log for each of these notices."""
    ways: dict[UUID, list[Any]] = {row["id"]: [] for row in rows}
    for way in await services.own_rows(caller).fetch(_DELIVERIES, list(ways), DELIVERIES_MAX):
        ways[way["outbox_id"]].append(way)
    return ways


def _notice(row: Any) -> dict[str, Any]:
    return {
        "notice": str(row["id"]),
        "type": row["topic"],
        "organisation": row["recipient"],
        "to": "organisation" if _person(row) is None else "teacher",
        "data": _body(row).get("data", {}),
        "created_at": row["created_at"],
        "done_at": row["delivered_at"],
    }


def _way(row: Any) -> dict[str, Any]:
    same = ("channel", "endpoint", "first_at", "status_code", "problem", "server", "reply", "template")
    return {name: row[name] for name in same} | {
        "attempts": row["attempt"],
        # A mail that came back was taken first, and says when.
        "accepted_at": row["at"] if row["problem"] == "" or row["bounced_at"] is not None else None,
        "content_sha256": row["content_digest"].hex() if row["content_digest"] else None,
        "returned_at": row["bounced_at"],
        "returned_status": row["bounce_status"],
    }


async def _recipient(services: Services, person: UUID | None, sealed: str | None) -> str | None:
    """The address, masked; None when it is not to be shown, or went with the person."""
    if person is None or sealed is None:
        return None
    try:
        fields = await services.vault.open(person, sealed)
    except (SubjectErased, SubjectUnknown):
        return None
    return mask_email(fields["email"]) if "email" in fields else mask_telephone(fields.get("telephone", ""))


def _body(row: Any) -> dict[str, Any]:
    try:
        body = orjson.loads(row["body"])
    except ValueError:
        return {}
    return body if isinstance(body, dict) and isinstance(body.get("data", {}), dict) else {}


def _person(row: Any) -> UUID | None:
    person = _body(row).get("person")
    return UUID(person) if person else None
