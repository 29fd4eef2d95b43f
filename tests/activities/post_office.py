"""Everything that delivers notices, on a real database, with a real webhook receiver and a real mail server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from temporalio.testing import ActivityEnvironment

from activities.email import Mailer, MailServer
from activities.institution_book import InstitutionBook
from activities.mailbox import MailboxActivities
from activities.mailbox_orders import MailboxOrders
from activities.return_path import ReturnPaths
from activities.webhooks import WebhookSender
from clock import SystemClock
from ledger.store import Ledger
from ledger.types import Append, Appended, NewEvent, OutboxEntry, StreamWrite
from ledger.vault import Vault
from secrets_box import SecretsBox, open_secret, seal_secret
from simulator.receivers import Faults, MailReceiver, WebhookReceiver
from workflows.messages import BatchResult, DeliverBatch

MASTER_KEY = bytes(range(32))
INDEX_KEY = bytes(range(32, 64))
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
RETURN_PATHS = ReturnPaths("bounces@example.org", bytes(range(64, 96)))
NOW = datetime(2022, 9, 20, 1, 30, tzinfo=UTC)
CAMPAIGN = "2022-test"
NUMBERS = count(1)


@dataclass(frozen=True)
class PostOffice:
    """The database, the receivers, and the activities between them."""

    pool: "asyncpg.Pool[Any]"
    ledger: Ledger
    vault: Vault
    webhooks: WebhookReceiver
    mails: MailReceiver
    activities: MailboxActivities
    orders: MailboxOrders

    async def organisation(self, id_: str, *, email: str | None = None) -> str:
        """Register an organisation as the projection would; an empty e-mail is allowed."""
        await self.pool.execute(
            "INSERT INTO view.institutions"
            " (id, version, sequence, kind, name_zh, parent, email, generated, registered_at)"
            " VALUES ($1, 1, $2, 'school', $3, '', $4, true, now())",
            id_,
            next(NUMBERS),
            f"学校{id_}",
            f"{id_}@example.org" if email is None else email,
        )
        return id_

    async def endpoint(
        self,
        organisation: str,
        *,
        types: Sequence[str] | None = None,
        url: str | None = None,
        secret: str = SECRET,
        receiver: str | None = None,
    ) -> str:
        """Register a webhook endpoint, by default at the receiver's URL for this organisation."""
        id_ = f"we_{next(NUMBERS):016d}"
        name = receiver or organisation
        self.webhooks.set_secret(name, secret)
        await self.pool.execute(
            "INSERT INTO app.webhook_endpoints (id, organisation, url, secret_sealed, event_types, created_at)"
            " VALUES ($1, $2, $3, $4, $5, now())",
            id_,
            organisation,
            url or self.webhooks.url(name),
            seal_secret(MASTER_KEY, id_, secret),
            types,
        )
        return id_

    async def person(self, **fields: str) -> UUID:
        """Register a teacher with sealed fields."""
        subject = await self.vault.subject_for(str(uuid4()))
        sealed = await self.vault.seal(subject.id, fields)
        event = NewEvent("person.registered", {"person": str(subject.id), "sealed": sealed})
        await self._append(StreamWrite("people", f"person/{subject.id}", 0, (event,)))
        return subject.id

    async def change_person(self, person: UUID, **fields: str) -> None:
        """Correct a teacher's record."""
        event = NewEvent("person.corrected", {"sealed": await self.vault.seal(person, fields)})
        await self._append(StreamWrite("people", f"person/{person}", 1, (event,)))

    async def tell(
        self,
        organisation: str,
        type_: str = "nomination.received",
        *,
        person: UUID | None = None,
        **data: Any,
    ) -> UUID:
        """Put a notice into the outbox by an append; answers with its id, which becomes the webhook-id."""
        number = next(NUMBERS)
        body = {
            "data": {"trainee": f"zz22-410181-{number:05d}", **data},
            "person": str(person) if person else None,
            "campaign": CAMPAIGN,
        }
        await self._append(
            StreamWrite(CAMPAIGN, f"trainee/{number}", 0, (NewEvent(type_, {}),)),
            OutboxEntry(organisation, type_, body, ""),
        )
        newest: UUID = await self.pool.fetchval("SELECT id FROM ledger.outbox ORDER BY position DESC LIMIT 1")
        return newest

    async def start(self, kind: str, number: str) -> None:
        """Ask for a process to be started."""
        body = {"number": number, "campaign": CAMPAIGN}
        write = StreamWrite(CAMPAIGN, f"cause/{next(NUMBERS)}", 0, (NewEvent("cause", {}),))
        await self._append(write, OutboxEntry("process:start", kind, body, ""))

    async def _append(self, write: StreamWrite, *outbox: OutboxEntry) -> None:
        append = Append(uuid4(), bytes(32), "system:test", (write,), NOW, outbox=outbox)
        assert isinstance(await self.ledger.append(append), Appended)

    async def deliver(self, organisation: str) -> BatchResult:
        """Run the activity once."""
        environment = ActivityEnvironment()
        return await environment.run(self.activities.deliver_batch, DeliverBatch(organisation=organisation))

    async def undelivered(self) -> int:
        number: int = await self.pool.fetchval("SELECT count(*) FROM ledger.outbox WHERE delivered_at IS NULL")
        return number

    async def log(self) -> list[tuple[str, str, str, int | None]]:
        """The delivery log, oldest first: channel, endpoint, problem, status."""
        rows = await self.pool.fetch("SELECT * FROM app.deliveries ORDER BY id")
        return [(row["channel"], row["endpoint"], row["problem"], row["status_code"]) for row in rows]


@asynccontextmanager
async def open_post_office(database_url: str, faults: Faults | None = None) -> AsyncIterator[PostOffice]:
    """Everything started on a database with the schema and nothing else, and stopped again."""
    webhooks, mails = WebhookReceiver(faults), MailReceiver()
    await webhooks.start()
    await mails.start()
    try:
        async with asyncpg.create_pool(database_url, min_size=1, max_size=6) as pool, Ledger(pool) as ledger:
            vault = Vault(pool, MASTER_KEY, INDEX_KEY)
            activities = MailboxActivities(
                pool,
                people=ledger,
                vault=vault,
                webhooks=WebhookSender(allow_loopback=True),
                mailer=Mailer(MailServer(mails.host, mails.port, "xunji@example.org", RETURN_PATHS)),
                open_secret=partial(open_secret, MASTER_KEY),
                seal=SecretsBox(MASTER_KEY).seal,
                book=InstitutionBook(ledger),
                clock=SystemClock(),
            )
            orders = MailboxOrders(pool, InstitutionBook(ledger), SystemClock())
            yield PostOffice(pool, ledger, vault, webhooks, mails, activities, orders)
    finally:
        await mails.stop()
        await webhooks.stop()
