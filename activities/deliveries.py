"""The delivery log (`app.deliveries`): what was sent on which way, and what of it is still to be done.

It is written directly after each send, in one statement with the mark in the outbox, so that a crash repeats at most
what was on its way. It holds references only.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog

from activities.channels import BOUNCED, NOT_ARRIVED, REFUSED, Sent
from activities.outbox import Queryable
from activities.schema import statement
from activities.webhooks import Posted
from ledger.errors import DATABASE_LOST

UNFINISHED = "unfinished"
NO_ADDRESS = "no address is known"
RESTING = "its address was refused before"
PUT_OFF = "put off"
TRIED_AGAIN = (PUT_OFF, "no connection")
"""How the problem of a text message begins that has surely not gone out."""
UNDELIVERABLE = (REFUSED, BOUNCED, NOT_ARRIVED, NO_ADDRESS, RESTING)
MailChannel = Literal["mail", "person-mail", "sms"]
ANSWERS_KEPT = timedelta(days=30)
"""How long the beginnings of receivers' answers are kept; the attempts themselves stay."""
SWEEP_EVERY_S = 3_600.0
ANSWERS_PER_SWEEP = 10_000
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is kept of a mail besides its fate: the digests of its content and of the address, the version of the
    templates, and a teacher's address under his own key.
    """

    content_digest: bytes
    template: str
    address_digest: bytes
    recipient_sealed: str | None = None


@dataclass(slots=True)
class Progress:
    """What has become of one notice so far.

    `posted` are the endpoints that took it. `digest` is the mail to the organisation that it was put into.
    `letter_refused` says that the teacher's address does not work, `letter_since` since when he is being written to.
    `text_over` says that no more text message is to be tried: one that was begun may have arrived.
    """

    posted: set[str] = field(default_factory=set)
    digest: UUID | None = None
    digest_sent: bool = False
    letter_sent: bool = False
    letter_refused: bool = False
    letter_since: datetime | None = None
    text_sent: bool = False
    text_over: bool = False
    text_since: datetime | None = None


class DeliveryLog:
    """Reads and writes `app.deliveries`."""

    def __init__(self, database: Queryable) -> None:
        self._database = database

    async def progress(self, notices: Sequence[UUID]) -> dict[UUID, Progress]:
        """What has become of each of `notices`."""
        progress = {id_: Progress() for id_ in notices}
        for row in await self._database.fetch(statement("progress"), list(notices)):
            each, done = progress[row["outbox_id"]], row["problem"] == ""
            match row["channel"]:
                case "webhook":
                    each.posted.add(row["endpoint"])
                case "mail":
                    each.digest, each.digest_sent = UUID(row["endpoint"]), done
                case "sms":
                    each.text_sent, each.text_since = done, row["first_at"]
                    each.text_over = not done and not row["problem"].startswith(TRIED_AGAIN)
                case _:
                    each.letter_sent = done
                    each.letter_refused = row["problem"] in UNDELIVERABLE
                    each.letter_since = row["first_at"]
        return progress

    async def record_post(
        self,
        notice: UUID,
        organisation: str,
        endpoint: str,
        posted: Posted,
        finished: Sequence[UUID],
        *,
        answer_sealed: bytes | None = None,
        asked: bool = False,
    ) -> None:
        """An attempt to post `notice` to `endpoint`, by itself or because somebody asked for it.

        The notices in `finished` wait for nothing more.
        """
        await self._database.execute(
            statement("record_post"),
            notice,
            organisation,
            endpoint,
            posted.status_code,
            posted.problem,
            list(finished),
            posted.latency_ms,
            answer_sealed,
            asked,
        )

    async def failing_since(self, notice: UUID, endpoint: str) -> datetime | None:
        """When `endpoint` first failed to take `notice`."""
        since: datetime | None = await self._database.fetchval(statement("first_failure"), notice, endpoint)
        return since

    async def begin_mail(
        self, notices: Sequence[UUID], organisation: str, channel: MailChannel, mail: UUID, proof: Proof
    ) -> None:
        """`mail` with these notices is about to be sent; they stay together in it, whatever happens."""
        await self._database.execute(
            statement("begin_mail"),
            list(notices),
            organisation,
            channel,
            str(mail),
            proof.content_digest,
            proof.template,
            proof.address_digest,
            proof.recipient_sealed,
        )

    async def record_unsent(
        self, notice: UUID, organisation: str, channel: MailChannel, mail: UUID, problem: str
    ) -> None:
        """Why `mail` was not even tried."""
        await self._database.execute(statement("record_unsent"), notice, organisation, channel, str(mail), problem)

    async def finish_mail(self, notices: Sequence[UUID], mail: UUID, mailed: Sent, finished: Sequence[UUID]) -> None:
        """How `mail` fared. The notices in `finished` wait for nothing more."""
        await self._database.execute(
            statement("finish_mail"),
            list(notices),
            str(mail),
            mailed.status_code,
            mailed.problem,
            list(finished),
            mailed.server or None,
            mailed.reply or None,
        )

    async def forget_answers(self) -> None:
        """Forget receivers' answers that are older than ANSWERS_KEPT, at most ANSWERS_PER_SWEEP."""
        await self._database.execute(statement("forget_answers"), ANSWERS_KEPT, ANSWERS_PER_SWEEP)

    async def forget_for_ever(self, stop: asyncio.Event) -> None:
        """Forget old answers now and then until `stop` is set."""
        while not stop.is_set():
            try:
                await self.forget_answers()
            except DATABASE_LOST as error:
                log.warning("deliveries.not_swept", problem=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SWEEP_EVERY_S)
