"""The activity `deliver_batch`: an organisation's next notices, in order, by every way that each one has to go.

    notice ─┬─► every active endpoint that wants its type        (webhook, one message per notice)
            ├─► the organisation's digest, when no endpoint takes it   (one mail for the batch)
            └─► the teacher, when it goes on to one                   (a letter of his own)
                  └─► no address, or a refused one: listed in the organisation's digest for handing over

Each endpoint is a lane of its own: a slow one holds up no other. A failing way stops for the rest of the batch, so that
its order is kept; the others go on. What somebody asked to be posted once more, or as a test, follows in the lane of
its endpoint. A notice is delivered once every way of it is done. After each send the log and the mark are written at
once: a crash, or a Temporal that was lost, repeats at most what was on its way, under the same webhook-id or
Message-ID.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID, uuid5

import asyncpg
import structlog
from temporalio import activity

from activities import letters
from activities.asked import GIVE_UP_AFTER as ASKED_GIVE_UP_AFTER
from activities.asked import Asked, AskedLog
from activities.deliveries import DeliveryLog, MailChannel, Progress
from activities.email import Mail, Mailed, Mailer, MailSession
from activities.institution_book import InstitutionBook
from activities.outbox import Outbox, QueuedNotice, UnreadableNotice
from activities.schema import statement
from activities.webhooks import Endpoint, EndpointSession, Message, Posted, WebhookSender
from clock import Clock
from domain.institution import WebhookEndpointDisabled
from domain.numbers import PEOPLE, stream_name
from domain.restriction_messages import RestrictionServed
from ledger.errors import SubjectErased, SubjectUnknown, VaultError
from ledger.types import RecordedEvent
from workflows.messages import BatchResult, DeliverBatch

ENDPOINTS_MAX = 20
"""How many endpoints of one organisation are served; the oldest come first."""
BATCH_SECONDS_MAX = 120.0
"""No new send is begun in a batch that has taken so long; the next batch goes on."""
GIVE_UP_AFTER = timedelta(hours=75, minutes=35, seconds=5)
"""The length of the whole Standard Webhooks schedule. A letter that could not be delivered so long is handed over by
the organisation."""
ENDPOINT_GIVE_UP_AFTER = timedelta(days=5)
"""An endpoint that has not taken a notice for so long is disabled, and mail takes over."""
ADDRESS_ATTEMPTS = 10
ADDRESS_WAIT_S = 0.2
"""An organisation that has only just been registered is seen in the view a moment later."""
MAIL_NAMESPACE = UUID("4d9f6a0e-93c1-4f0c-8f5e-1d1f6b6f2c55")
PROBLEM_LENGTH_MAX = 120
PROBLEMS_MAX = 20
"""So many failing ways of a batch are named; there are ENDPOINTS_MAX endpoints, letters and mail."""
WORKER = "system:mailbox"

OpenSecret = Callable[[str, bytes], str]
"""Opens the sealed secret of the endpoint with this id; raises ValueError."""
ObjectionLink = Callable[[str, datetime], str]
"""The address at which the teacher objects to the restriction of this number, valid until then."""
Seal = Callable[[str, bytes], bytes]
"""Seals bytes for a place: `answer_place` says which."""
log = structlog.get_logger(__name__)


class PeopleStreams(Protocol):
    """What of the ledger is read here: a person's stream."""

    async def read_stream(self, book: str, stream: str, after_version: int = 0) -> list[RecordedEvent]: ...


class PersonalFields(Protocol):
    """What of the vault is used here."""

    async def open(self, subject_id: UUID, sealed: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Teacher:
    """Whom a letter goes to. Nothing of it is ever logged or stored."""

    name: str = field(repr=False)
    email: str = field(repr=False)


def answer_place(notice: UUID, endpoint: str) -> str:
    """Where a receiver's answer is sealed for, so that it cannot be opened as another's."""
    return f"answer:{notice}:{endpoint}"


@dataclass(slots=True)
class _Item:
    """A notice of the batch and the ways it still has to go."""

    notice: QueuedNotice
    progress: Progress
    endpoints: set[str]
    letter: bool
    digest: bool
    handover: bool = False

    @property
    def finished(self) -> bool:
        return not (self.endpoints or self.letter or self.digest)


class MailboxActivities:
    """Sends notices. One object per worker process."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        *,
        people: PeopleStreams,
        vault: PersonalFields,
        webhooks: WebhookSender,
        mailer: Mailer,
        open_secret: OpenSecret,
        seal: Seal,
        book: InstitutionBook,
        clock: Clock,
        objection_link: ObjectionLink | None = None,
    ) -> None:
        self.pool = pool
        self.people = people
        self.vault = vault
        self.webhooks = webhooks
        self.mailer = mailer
        self.open_secret = open_secret
        self.objection_link = objection_link
        self.seal = seal
        self.book = book
        self.clock = clock
        self.outbox = Outbox(pool)
        self.asked = AskedLog(pool)
        self.deliveries = DeliveryLog(pool)

    @activity.defn(name="deliver_batch")
    async def deliver_batch(self, request: DeliverBatch) -> BatchResult:
        """Deliver the organisation's next notices. A failure of a receiver is an answer; only our own are raised.

        Nothing is sent while an operator has stopped the mailbox.
        """
        paused = await self.pool.fetchrow(statement("mailbox_paused"), request.organisation)
        if paused is not None:
            words = f"by {paused['actor']} at {paused['paused_at']:%Y-%m-%d %H:%M} UTC: {paused['reason']}"
            return BatchResult(delivered=0, left=await self._left(request.organisation), paused=words)
        async with AsyncExitStack() as stack:
            batch = _Batch(self, request.organisation, stack)
            await batch.open()
            await batch.deliver()
        return BatchResult(
            delivered=batch.delivered,
            left=await self._left(request.organisation),
            problem=batch.problem[:PROBLEM_LENGTH_MAX],
            retry_after_seconds=batch.retry_after_s,
            problems=tuple(each[:PROBLEM_LENGTH_MAX] for each in batch.problems[:PROBLEMS_MAX]),
        )

    async def _left(self, organisation: str) -> int:
        return await self.outbox.count_undelivered(organisation) + await self.asked.count_other(organisation)

    async def endpoints(self, organisation: str) -> tuple[list[Endpoint], str]:
        """The active endpoints of the organisation, and what is wrong with those that cannot be used."""
        endpoints, problem = [], ""
        for row in await self.pool.fetch(statement("active_endpoints"), organisation, ENDPOINTS_MAX):
            try:
                secrets = tuple(self.open_secret(row["id"], row["secret_sealed"]).split())
                if row["former_secret_sealed"] is not None:
                    secrets += (self.open_secret(row["id"], row["former_secret_sealed"]),)
            except ValueError:
                problem = f"webhook {row['id']}: its secret cannot be opened"
                continue
            types = frozenset(row["event_types"] or ())
            endpoints.append(Endpoint(row["id"], row["url"], secrets, types))
        return endpoints, problem

    async def teacher(self, person: UUID) -> Teacher | None:
        """Name and address from the newest sealed record; None without an address, or when the person was erased.

        Raises VaultError when the record is there and cannot be opened.
        """
        events = await self.people.read_stream(PEOPLE, stream_name("person", str(person)))
        sealed = next((event.data["sealed"] for event in reversed(events) if "sealed" in event.data), None)
        if sealed is None:
            return None
        try:
            fields = await self.vault.open(person, sealed)
        except (SubjectErased, SubjectUnknown):
            return None
        email = fields.get("email", "").strip()
        return Teacher(fields.get("name", ""), email) if email else None

    async def address(self, organisation: str) -> tuple[str, str] | None:
        """The organisation's name and mail address, None when it has none."""
        for attempt in range(ADDRESS_ATTEMPTS):
            if attempt:
                await asyncio.sleep(ADDRESS_WAIT_S)
            row = await self.pool.fetchrow(statement("institution_address"), organisation)
            if row is not None:
                return (row["name_zh"], row["email"]) if row["email"] else None
        return None


class _Batch:
    """One run of `deliver_batch`: which ways have failed so far, and what was done."""

    def __init__(self, office: MailboxActivities, organisation: str, stack: AsyncExitStack) -> None:
        self._office = office
        self._organisation = organisation
        self._stack = stack
        self._items: list[_Item] = []
        self._sessions: list[EndpointSession] = []
        self._asked: list[Asked] = []
        self._mail: MailSession | None = None
        self._mail_works = True
        self._ends = time.monotonic() + BATCH_SECONDS_MAX
        self._finished: set[UUID] = set()
        self._answered = 0
        self.problems: list[str] = []
        self.retry_after_s: float | None = None

    @property
    def delivered(self) -> int:
        """How many notices and requests are done."""
        return len(self._finished) + self._answered

    @property
    def problem(self) -> str:
        """The first failure, empty when there was none."""
        return self.problems[0] if self.problems else ""

    async def open(self) -> None:
        """Read the notices, and find out which ways each one still has to go."""
        queued = await self._office.outbox.next_notices(self._organisation)
        notices = [each for each in queued if isinstance(each, QueuedNotice)]
        for unreadable in (each for each in queued if isinstance(each, UnreadableNotice)):
            self._fail(f"notice {unreadable.id} cannot be read")
        endpoints, problem = await self._office.endpoints(self._organisation)
        if problem:
            self._fail(problem)
        progress = await self._office.deliveries.progress([each.id for each in notices])
        self._items = [_item(each, progress[each.id], endpoints) for each in notices]
        self._asked = await self._office.asked.next(self._organisation, [each.id for each in endpoints])
        for endpoint in endpoints:
            session = self._office.webhooks.session(endpoint)
            self._sessions.append(await self._stack.enter_async_context(session))
        self._mail = await self._stack.enter_async_context(self._office.mailer.session())

    async def deliver(self) -> None:
        """Send in order, on every way at once: to each endpoint and to the teachers; then the digest."""
        await _together([*(self._lane(each) for each in self._sessions), self._letters()])
        for mail, items in _mails(self._organisation, [item for item in self._items if item.digest]):
            if self._mail_works:
                await self._send_digest(mail, items)
        untold = await self._untold()
        if untold and self._mail_works:
            await self._send_digest(uuid5(MAIL_NAMESPACE, f"disabled/{'/'.join(untold)}"), [])
        await self._mark(item for item in self._items if item.finished)

    def _time_is_over(self) -> bool:
        return time.monotonic() > self._ends

    # ------------------------------------------------------------------------------------------------ webhooks

    async def _lane(self, session: EndpointSession) -> None:
        """Everything for one endpoint, in order, until something fails; a test is tried even then."""
        endpoint = session.endpoint.id
        works = True
        for item in self._items:
            if self._time_is_over() or not works:
                break
            if endpoint in item.endpoints:
                works = await self._post(item, session)
        for asked in self._asked:
            if self._time_is_over():
                break
            if asked.endpoint == endpoint and (works or asked.kind == "test"):
                works = await self._post_asked(asked, session) and works

    async def _post(self, item: _Item, session: EndpointSession) -> bool:
        """Post a notice. Whether the endpoint has taken it."""
        notice, endpoint = item.notice, session.endpoint.id
        posted = await session.post(
            Message(id=notice.id, type=notice.type, occurred_at=notice.created_at, data=notice.data)
        )
        activity.heartbeat()
        if posted.problem == "":
            item.endpoints.discard(endpoint)
            item.progress.posted.add(endpoint)
        # Nothing is waited for between this and the line above: of two lanes that end a notice, the later one marks it.
        done = self._done([item])
        await self._record_post(notice.id, endpoint, posted, done)
        self._finished.update(done)
        if posted.problem == "":
            return True
        if posted.gone:
            await self._disable(endpoint, posted, "gone")
        elif await self._has_failed_for_days(notice.id, endpoint):
            await self._disable(endpoint, posted, "failing")
        else:
            self._fail(f"webhook {endpoint}: {posted.problem}", posted.retry_after_s)
        return False

    async def _post_asked(self, asked: Asked, session: EndpointSession) -> bool:
        """Post what somebody asked for. Whether the endpoint goes on to be served in this batch."""
        message, endpoint = asked.message, session.endpoint.id
        if message is None:
            await self._finish_asked(asked, "the notice cannot be read")
            return True
        posted = await session.post(message)
        activity.heartbeat()
        await self._record_post(message.id, endpoint, posted, [], asked=True)
        is_late = datetime.now(UTC) - asked.requested_at > ASKED_GIVE_UP_AFTER
        if posted.problem == "" or asked.kind == "test" or posted.gone or is_late:
            await self._finish_asked(asked, posted.problem)
        else:
            self._fail(f"webhook {endpoint}: {posted.problem} (redelivery)", posted.retry_after_s)
        if posted.gone:
            await self._disable(endpoint, posted, "gone")
        return posted.problem == ""

    async def _finish_asked(self, asked: Asked, problem: str) -> None:
        await self._office.asked.finish(asked.id, problem)
        self._answered += 1

    async def _record_post(
        self, message: UUID, endpoint: str, posted: Posted, done: Sequence[UUID], *, asked: bool = False
    ) -> None:
        sealed = self._office.seal(answer_place(message, endpoint), posted.answer) if posted.answer else None
        await self._office.deliveries.record_post(
            message, self._organisation, endpoint, posted, done, answer_sealed=sealed, asked=asked
        )

    async def _has_failed_for_days(self, notice: UUID, endpoint: str) -> bool:
        since = await self._office.deliveries.failing_since(notice, endpoint)
        return since is not None and datetime.now(UTC) - since > ENDPOINT_GIVE_UP_AFTER

    async def _disable(self, endpoint: str, posted: Posted, because: Literal["gone", "failing"]) -> None:
        """The endpoint gets nothing more; what it was to get goes by mail, which also tells its owner."""
        event = WebhookEndpointDisabled(endpoint=endpoint, because=because, disabled_by=WORKER)
        now = await self._office.clock.now()
        await self._office.book.record(self._organisation, event, uuid5(MAIL_NAMESPACE, endpoint), WORKER, now)
        await self._office.pool.execute(statement("disable_endpoint"), endpoint, because)
        log.warning("webhook.disabled", organisation=self._organisation, endpoint=endpoint, problem=posted.problem)
        await self._office.asked.close(
            self._organisation, [each.endpoint.id for each in self._sessions if each.endpoint.id != endpoint]
        )
        for item in self._items:
            if endpoint in item.endpoints:
                item.endpoints.discard(endpoint)
                item.digest = item.notice.person is None

    # ---------------------------------------------------------------------------------------------------- mail

    async def _letters(self) -> None:
        for item in self._items:
            if self._time_is_over() or not self._mail_works:
                break
            if item.letter:
                await self._write_to_teacher(item)

    async def _untold(self) -> list[str]:
        """The endpoints that were disabled without their owner knowing it."""
        rows = await self._office.pool.fetch(statement("untold_endpoints"), self._organisation, ENDPOINTS_MAX)
        return [row["id"] for row in rows]

    async def _write_to_teacher(self, item: _Item) -> None:
        assert item.notice.person is not None, "a letter goes to a person"
        try:
            teacher = await self._office.teacher(item.notice.person)
        except VaultError as error:
            self._fail(f"a personal record cannot be opened ({type(error).__name__})")
            return
        if teacher is None:
            _hand_over(item)
            return
        letter = letters.to_teacher(teacher.name, _with_link(item.notice, self._office.objection_link))
        mail = Mail(uuid5(MAIL_NAMESPACE, f"teacher/{item.notice.id}"), teacher.email, letter.subject, letter.text)
        item.letter = False
        mailed = await self._send([item], mail, "person-mail")
        if mailed.refused:
            _hand_over(item)
        elif mailed.problem:
            item.letter = True

    async def _send_digest(self, id_: UUID, items: Sequence[_Item]) -> None:
        address = await self._office.address(self._organisation)
        if address is None:
            self._mail_works = False
            self._fail("the organisation has no mail address")
            return
        name, email = address
        untold = await self._untold()
        letter = letters.digest(
            name,
            [item.notice for item in items if not item.handover],
            [item.notice for item in items if item.handover],
            bool(untold),
        )
        for item in items:
            item.digest = False
        mailed = await self._send(items, Mail(id_, email, letter.subject, letter.text), "mail")
        if mailed.problem:
            for item in items:
                item.digest = True
        elif untold:
            await self._office.pool.execute(statement("owner_told"), untold)

    async def _send(self, items: Sequence[_Item], mail: Mail, channel: MailChannel) -> Mailed:
        """Send a mail that, once it is sent, leaves `items` with this way done."""
        assert self._mail is not None, "the batch was opened"
        ids = [item.notice.id for item in items]
        await self._office.deliveries.begin_mail(ids, self._organisation, channel, mail.id)
        mailed = await self._mail.send(mail)
        activity.heartbeat()
        done = self._done(items) if mailed.problem == "" else []
        await self._office.deliveries.finish_mail(ids, mail.id, mailed, done)
        self._finished.update(done)
        if mailed.problem and not (mailed.refused and channel == "person-mail"):
            self._mail_works = mailed.of_recipient
            self._fail(f"{channel}: {mailed.problem}")
        return mailed

    # --------------------------------------------------------------------------------------------------- shared

    async def _mark(self, items: Iterable[_Item]) -> None:
        """Mark what has nothing to wait for and was not marked with a send: most often what was sent before a crash."""
        ids = [item.notice.id for item in items if item.notice.id not in self._finished]
        if ids:
            await self._office.outbox.mark_delivered(ids)
            self._finished.update(ids)

    def _done(self, items: Sequence[_Item]) -> list[UUID]:
        return [item.notice.id for item in items if item.finished]

    def _fail(self, problem: str, retry_after_s: float | None = None) -> None:
        """A way has failed. The longest wish to be left alone counts."""
        log.warning("notice.delivery_failed", organisation=self._organisation, problem=problem)
        self.problems.append(problem)
        if retry_after_s is not None:
            self.retry_after_s = max(self.retry_after_s or 0.0, retry_after_s)


async def _together(ways: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Go all ways at once, and wait for all. Of the errors that end the batch the first is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for way in ways:
                group.create_task(way)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


def _item(notice: QueuedNotice, progress: Progress, endpoints: Sequence[Endpoint]) -> _Item:
    """The ways that `notice` still has to go. Once it was put into a digest it goes by digest."""
    wanting = {each.id for each in endpoints if each.wants(notice.type)}
    for_teacher = notice.person is not None
    overdue = progress.letter_since is not None and datetime.now(UTC) - progress.letter_since > GIVE_UP_AFTER
    handover = (
        for_teacher and not progress.letter_sent and (progress.letter_refused or overdue or progress.digest is not None)
    )
    unposted = not wanting and not progress.posted and not for_teacher
    return _Item(
        notice=notice,
        progress=progress,
        endpoints=wanting - progress.posted,
        letter=for_teacher and not progress.letter_sent and not handover,
        digest=(unposted or handover or progress.digest is not None) and not progress.digest_sent,
        handover=handover,
    )


def _with_link(notice: QueuedNotice, objection_link: ObjectionLink | None) -> QueuedNotice:
    """The notice with the teacher's own link to object. It is made here, so that only his letter ever holds it."""
    if objection_link is None or notice.type != RestrictionServed.type or "until" not in notice.data:
        return notice
    link = objection_link(str(notice.data["restriction"]), datetime.fromisoformat(str(notice.data["until"])))
    return replace(notice, data={**notice.data, "link": link})


def _hand_over(item: _Item) -> None:
    item.letter, item.digest, item.handover = False, True, True


def _mails(organisation: str, items: Sequence[_Item]) -> list[tuple[UUID, list[_Item]]]:
    """The digests to be sent, oldest first: the ones begun before, unchanged, and one for everything new.

    A mail's id follows from its notices, so that a receiver knows it again when it comes twice.
    """
    begun: dict[UUID, list[_Item]] = {}
    new: list[_Item] = []
    for item in items:
        if item.progress.digest is not None:
            begun.setdefault(item.progress.digest, []).append(item)
        else:
            new.append(item)
    if new:
        names = "/".join(str(item.notice.id) for item in new)
        begun[uuid5(MAIL_NAMESPACE, f"{organisation}/{names}")] = new
    return list(begun.items())
