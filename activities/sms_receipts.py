"""Text messages that do not arrive: the provider is asked what became of each, and a failed one goes another way.

    sent ──a minute──▶ ask ──waits for the operator──▶ ask again, after ever longer pauses, for three days
                        ├──arrived──▶ nothing more
                        └──failed───▶ as a mail that came back: the notice waits in its mailbox again

Asking needs no listener that the world can reach, and nobody can make an answer up. Several workers ask beside each
other, each about other messages.
"""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import structlog

from activities.recipients import PersonalFields
from activities.schema import statement
from activities.sms import BIZ_ID, NoReceipts, Receipt, SmsSender, SmsSession
from domain.calendar import local_date
from ledger.errors import DATABASE_LOST, SubjectErased, SubjectUnknown

EVERY_S: Final = 60.0
PER_ROUND: Final = 200
FIRST_AFTER: Final = timedelta(minutes=1)
ASKED_FOR: Final = timedelta(days=3)
"""The provider has an operator's receipt within 72 hours, or never."""

NEAR_MIDNIGHT: Final = timedelta(minutes=1)
"""A message belongs to the day on which the provider took it, which we noted a moment later."""

CODE_LENGTH_MAX: Final = 20
log = structlog.get_logger(__name__)


class SmsReceipts:
    """Asks for receipts. `first_after` is how old a message is when it is asked about; a test may give its own."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        vault: PersonalFields,
        texts: SmsSender,
        first_after: timedelta = FIRST_AFTER,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._texts = texts
        self._first_after = first_after

    async def run(self, stop: asyncio.Event) -> None:
        """Ask now and then until `stop` is set. Database and provider being away is waited out."""
        while not stop.is_set():
            try:
                await self.ask()
            except NoReceipts as error:
                log.warning("sms.no_receipts", problem=str(error))
            except DATABASE_LOST as error:
                log.warning("sms.receipts_not_read", problem=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_S)

    async def ask(self) -> int:
        """Ask about what is due, at most PER_ROUND; how many messages did not arrive. Raises NoReceipts."""
        rows = await self._pool.fetch(statement("next_receipts"), ASKED_FOR, PER_ROUND, self._first_after)
        if not rows:
            return 0
        failed = 0
        async with self._texts.session() as session:
            for row in rows:
                failed += await self._ask_about(session, row)
        return failed

    async def _ask_about(self, session: SmsSession, row: Any) -> bool:
        """Whether the message is now known not to have arrived."""
        telephone = await self._telephone(row)
        if telephone is None:
            # Who was erased cannot be asked for any more.
            await self._pool.execute(statement("text_arrived"), row["id"])
            return False
        receipt = await _receipt(session, row, telephone)
        if receipt is None:
            return False
        if receipt.arrived:
            await self._pool.execute(statement("text_arrived"), row["id"])
            return False
        again = await self._pool.fetch(statement("text_not_arrived"), row["id"], receipt.code[:CODE_LENGTH_MAX])
        log.info("sms.not_arrived", message=row["endpoint"], code=receipt.code)
        return bool(again)

    async def _telephone(self, row: Any) -> str | None:
        person = orjson.loads(row["body"]).get("person")
        if row["recipient_sealed"] is None or person is None:
            return None
        try:
            fields = await self._vault.open(UUID(person), row["recipient_sealed"])
        except (SubjectErased, SubjectUnknown):
            return None
        return fields.get("telephone")


async def _receipt(session: SmsSession, row: Any, telephone: str) -> Receipt | None:
    biz_id = (row["reply"] or "").removeprefix(BIZ_ID)
    for day in sorted({local_date(row["at"] - NEAR_MIDNIGHT), local_date(row["at"])}):
        receipt = await session.receipt(UUID(row["endpoint"]), telephone, biz_id, day)
        if receipt is not None:
            return receipt
    return None
