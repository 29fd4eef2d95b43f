"""The activity `deliver_batch`: an organisation's next notices, in order, by every way that each one has to go.

    notice ─┬─► every active endpoint that wants its type        (webhook, one message per notice)
            ├─► the organisation's digest, when no endpoint takes it   (one mail for the batch)
            └─► the teacher, when it goes on to one                   (a letter of his own, or else a text message)
                  └─► no address, a refused one, or a mail that came back: listed in the organisation's digest for
                      handing over; a restriction that was served by it is not served

Mail that can wait is held in the quiet hours; webhooks are not.

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
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid5

import asyncpg
import structlog
from temporalio import activity
from temporalio.exceptions import TemporalError

from activities import letters
from activities.asked import GIVE_UP_AFTER as ASKED_GIVE_UP_AFTER
from activities.asked import Asked, AskedLog
from activities.channels import Channel, Outgoing, Sent, Session
from activities.deliveries import NO_ADDRESS, RESTING, DeliveryLog, MailChannel, Proof
from activities.email import Mail
from activities.institution_book import InstitutionBook
from activities.outbox import Outbox, QueuedNotice, UnreadableNotice
from activities.recipients import PeopleStreams, PersonalFields, Recipient, Recipients
from activities.schema import statement
from activities.service_of_notice import ServiceOfNotice
from activities.sms import TEXT_VERSION, TEXTED, TextMessage
from activities.ways import GIVE_UP_AFTER, MAIL_NAMESPACE, Item, ObjectionLink, digests, hand_over, item_of, with_link
from activities.webhooks import Endpoint, EndpointSession, Message, Posted, WebhookSender
from clock import Clock
from domain.institution import WebhookEndpointDisabled
from domain.quiet_hours import QuietHours, can_wait
from domain.refusals import in_words
from domain.restriction_messages import RestrictionServed
from ledger.errors import VaultError
from workflows.messages import BatchResult, DeliverBatch

ENDPOINTS_MAX = 20
"""How many endpoints of one organisation are served; the oldest come first."""
BATCH_SECONDS_MAX = 120.0
"""No new send is begun in a batch that has taken so long; the next batch goes on."""
ENDPOINT_GIVE_UP_AFTER = timedelta(days=5)
"""An endpoint that has not taken a notice for so long is disabled, and mail takes over."""
PROBLEM_LENGTH_MAX = 120
PROBLEMS_MAX = 20
"""So many failing ways of a batch are named; there are ENDPOINTS_MAX endpoints, letters and mail."""
WORKER = "system:mailbox"
M = TypeVar("M", bound=Outgoing)

OpenSecret = Callable[[str, bytes], str]
"""Opens the sealed secret of the endpoint with this id; raises ValueError."""
Seal = Callable[[str, bytes], bytes]
"""Seals bytes for a place: `answer_place` says which."""
log = structlog.get_logger(__name__)


def answer_place(notice: UUID, endpoint: str) -> str:
    """Where a receiver's answer is sealed for, so that it cannot be opened as another's."""
    return f"answer:{notice}:{endpoint}"


class MailboxActivities:
    """Sends notices. One object per worker process."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        *,
        people: PeopleStreams,
        vault: PersonalFields,
        webhooks: WebhookSender,
        mailer: Channel[Mail],
        open_secret: OpenSecret,
        seal: Seal,
        book: InstitutionBook,
        clock: Clock,
        objection_link: ObjectionLink | None = None,
        quiet_hours: QuietHours | None = None,
        service: ServiceOfNotice | None = None,
        texts: Channel[TextMessage] | None = None,
    ) -> None:
        self.pool = pool
        self.recipients = Recipients(pool, people, vault)
        self.webhooks = webhooks
        self.mailer = mailer
        self.open_secret = open_secret
        self.objection_link = objection_link
        self.seal = seal
        self.book = book
        self.clock = clock
        self.quiet_hours = quiet_hours
        self.service = service
        self.texts = texts
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
        held, morning = batch.held, batch.morning
        return BatchResult(
            delivered=batch.delivered,
            left=await self._left(request.organisation),
            problem=batch.problem[:PROBLEM_LENGTH_MAX],
            retry_after_seconds=batch.retry_after_s,
            problems=tuple(each[:PROBLEM_LENGTH_MAX] for each in batch.problems[:PROBLEMS_MAX]),
            held=held,
            held_until=f"{in_words(morning)} (Asia/Shanghai)" if held and morning else "",
            held_seconds=await self.clock.real_seconds_until(morning) if held and morning else None,
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


class _Batch:
    """One run of `deliver_batch`: which ways have failed so far, and what was done."""

    def __init__(self, office: MailboxActivities, organisation: str, stack: AsyncExitStack) -> None:
        self._office = office
        self._organisation = organisation
        self._stack = stack
        self._items: list[Item] = []
        self._sessions: list[EndpointSession] = []
        self._asked: list[Asked] = []
        self._mail: Session[Mail] | None = None
        self._texts: Session[TextMessage] | None = None
        self._mail_works = True
        self._ends = time.monotonic() + BATCH_SECONDS_MAX
        self._finished: set[UUID] = set()
        self._answered = 0
        self.morning: datetime | None = None
        self.problems: list[str] = []
        self.retry_after_s: float | None = None

    @property
    def held(self) -> int:
        """How many notices wait for nothing but the end of the quiet hours."""
        return sum(item.held and not item.endpoints and not item.finished for item in self._items)

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
        self._items = [item_of(each, progress[each.id], endpoints) for each in notices]
        await self._keep_quiet()
        self._asked = await self._office.asked.next(self._organisation, [each.id for each in endpoints])
        for endpoint in endpoints:
            session = self._office.webhooks.session(endpoint)
            self._sessions.append(await self._stack.enter_async_context(session))
        self._mail = await self._stack.enter_async_context(self._office.mailer.session())
        if self._office.texts is not None:
            self._texts = await self._stack.enter_async_context(self._office.texts.session())

    async def _keep_quiet(self) -> None:
        """Find out what is not mailed before the morning. Webhooks go to machines and wait for nothing."""
        if self._office.quiet_hours is None:
            return
        now = await self._office.clock.now()
        self.morning = self._office.quiet_hours.until(now)
        if self.morning is not None:
            for item in self._items:
                item.held = can_wait(item.notice.type, item.notice.data, now, self.morning)

    async def deliver(self) -> None:
        """Send in order, on every way at once: to each endpoint and to the teachers; then the digest."""
        await _together([*(self._lane(each) for each in self._sessions), self._letters()])
        for mail, items in digests(self._organisation, [item for item in self._items if item.digest]):
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

    async def _post(self, item: Item, session: EndpointSession) -> bool:
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
            if self._time_is_over():
                break
            if item.letter and item.handover:
                # His letter came back, or was put off for too long.
                await self._hand_over(item, "returned" if item.progress.letter_refused else "put-off")
            elif item.letter and not item.held and self._mail_works:
                await self._write_to_teacher(item)

    async def _untold(self) -> list[str]:
        """The endpoints that were disabled without their owner knowing it."""
        rows = await self._office.pool.fetch(statement("untold_endpoints"), self._organisation, ENDPOINTS_MAX)
        return [row["id"] for row in rows]

    async def _write_to_teacher(self, item: Item) -> None:
        assert item.notice.person is not None, "a letter goes to a person"
        try:
            teacher = await self._office.recipients.teacher(item.notice.person)
        except VaultError as error:
            self._fail(f"a personal record cannot be opened ({type(error).__name__})")
            return
        id_ = uuid5(MAIL_NAMESPACE, f"teacher/{item.notice.id}")
        if teacher is None or not teacher.email or await self._office.recipients.is_resting(teacher.digest):
            problem, reason = (RESTING, "address-refused") if teacher and teacher.email else (NO_ADDRESS, "no-address")
            await self._office.deliveries.record_unsent(item.notice.id, self._organisation, "person-mail", id_, problem)
            await self._hand_over(item, reason)
            return
        letter = letters.to_teacher(teacher.name, with_link(item.notice, self._office.objection_link))
        item.letter = False
        mailed = await self._send_mail([item], id_, "person-mail", teacher, letter)
        if mailed.refused:
            await self._hand_over(item, "address-refused")
        elif mailed.problem:
            item.letter = True

    async def _hand_over(self, item: Item, reason: str) -> None:
        """No letter reaches the teacher, so the organisation gives him the notice.

        But when the letter was to serve him with the notice of a restriction, he was not served: the case says so, and
        tells school and county itself, with a new date (edge case 41).
        """
        service = self._office.service
        if service is not None and item.notice.type == RestrictionServed.type:
            try:
                taken_back = await service.take_back(item.notice, reason)
            except (TemporalError, RuntimeError) as error:
                # It is asked again with the next batch. Until then nobody is told to hand over what may be void.
                self._fail(f"the service of a notice cannot be taken back ({type(error).__name__})")
                item.letter = True
                return
            if taken_back:
                item.letter = False
                return
        if not await self._text(item):
            hand_over(item)

    async def _text(self, item: Item) -> bool:
        """Send the teacher a text message instead. Whether he has got one, or will be sent one later."""
        progress, person = item.progress, item.notice.person
        if progress.text_sent:
            item.letter = False
            return True
        if self._texts is None or person is None or item.notice.type not in TEXTED or progress.text_over:
            return False
        if item.held:
            item.letter = True
            return True
        try:
            teacher = await self._office.recipients.teacher(person)
        except VaultError:
            return False
        late = progress.text_since is not None and datetime.now(UTC) - progress.text_since > GIVE_UP_AFTER
        if teacher is None or not teacher.telephone or late:
            return False
        if await self._office.recipients.is_resting(teacher.telephone_digest):
            return False
        item.letter = False
        sent = await self._send_text(item, teacher)
        item.letter = sent.problem != "" and not sent.of_recipient
        return not sent.problem or item.letter

    async def _send_text(self, item: Item, teacher: Recipient) -> Sent:
        assert self._texts is not None, "it was asked for"
        message = letters.to_telephone(uuid5(MAIL_NAMESPACE, f"sms/{item.notice.id}"), teacher.telephone, item.notice)
        sealed = await self._office.recipients.sealed(teacher, {"telephone": teacher.telephone})
        proof = Proof(message.digest, TEXT_VERSION, teacher.telephone_digest, sealed)
        return await self._send([item], message, "sms", self._texts, proof)

    async def _send_digest(self, id_: UUID, items: Sequence[Item]) -> None:
        recipient = await self._office.recipients.organisation(self._organisation)
        problem = "the organisation has no mail address" if recipient is None else ""
        if recipient is not None and await self._office.recipients.is_resting(recipient.digest):
            problem = "the organisation's mail address was refused; it rests for a day, or until it is changed"
        if recipient is None or problem:
            self._mail_works = False
            self._fail(problem)
            return
        untold = await self._untold()
        letter = letters.digest(
            recipient.name,
            [item.notice for item in items if not item.handover],
            [item.notice for item in items if item.handover],
            bool(untold),
        )
        for item in items:
            item.digest = False
        mailed = await self._send_mail(items, id_, "mail", recipient, letter)
        if mailed.problem:
            for item in items:
                item.digest = True
        elif untold:
            await self._office.pool.execute(statement("owner_told"), untold)

    async def _send_mail(
        self, items: Sequence[Item], id_: UUID, channel: MailChannel, recipient: Recipient, letter: letters.Letter
    ) -> Sent:
        assert self._mail is not None, "the batch was opened"
        mail = Mail(id_, recipient.email, letter.subject, letter.text)
        sealed = await self._office.recipients.sealed(recipient, {"email": recipient.email})
        proof = Proof(mail.digest, letters.template_version(), recipient.digest, sealed)
        sent = await self._send(items, mail, channel, self._mail, proof)
        if sent.problem and not (sent.refused and channel == "person-mail"):
            self._mail_works = sent.of_recipient
        return sent

    async def _send(
        self, items: Sequence[Item], message: M, channel: MailChannel, session: Session[M], proof: Proof
    ) -> Sent:
        """Send a message that, once it is sent, leaves `items` with this way done."""
        ids = [item.notice.id for item in items]
        await self._office.deliveries.begin_mail(ids, self._organisation, channel, message.id, proof)
        sent = await session.send(message)
        activity.heartbeat()
        done = self._done(items) if sent.problem == "" else []
        await self._office.deliveries.finish_mail(ids, message.id, sent, done)
        self._finished.update(done)
        if sent.problem and not (sent.refused and channel != "mail"):
            self._fail(f"{channel}: {sent.problem}")
        return sent

    # --------------------------------------------------------------------------------------------------- shared

    async def _mark(self, items: Iterable[Item]) -> None:
        """Mark what has nothing to wait for and was not marked with a send: most often what was sent before a crash."""
        ids = [item.notice.id for item in items if item.notice.id not in self._finished]
        if ids:
            await self._office.outbox.mark_delivered(ids)
            self._finished.update(ids)

    def _done(self, items: Sequence[Item]) -> list[UUID]:
        return [item.notice.id for item in items if item.finished]

    def _fail(self, problem: str, retry_after_s: float | None = None) -> None:
        """A way has failed. The longest wish to be left alone counts."""
        log.warning("notice.delivery_failed", organisation=self._organisation, problem=problem)
        self.problems.append(problem)
        if retry_after_s is not None:
            self.retry_after_s = max(self.retry_after_s or 0.0, retry_after_s)


async def _together(ways: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Go all ways at once, and wait for all. Of the errors the first is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for way in ways:
                group.create_task(way)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
