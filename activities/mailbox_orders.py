"""The activity `carry_out_mailbox_order`: an operator stops a mailbox, lets it go on, skips a notice, or has notices
posted once more. Each is recorded in the organisation's stream with who and why, before it takes effect.
"""

from typing import Any

import asyncpg
from temporalio import activity

from activities.institution_book import InstitutionBook
from activities.schema import statement
from clock import Clock
from domain.decision import Event
from domain.institution import MailboxPaused, MailboxResumed, NoticeSkipped, NoticesRedelivered
from workflows.messages import MailboxAnswer, MailboxOrder

REDELIVERIES_MAX = 10_000
"""So many notices are posted once more by one command; the rest of a longer span needs another one."""


class MailboxOrders:
    """Carries out operators' commands. One object per worker process."""

    def __init__(self, pool: "asyncpg.Pool[Any]", book: InstitutionBook, clock: Clock) -> None:
        self._pool = pool
        self._book = book
        self._clock = clock

    @activity.defn(name="carry_out_mailbox_order")
    async def carry_out(self, order: MailboxOrder) -> MailboxAnswer:
        """Record and carry out one command; the same one again changes nothing."""
        if not await self._is_known(order):
            return MailboxAnswer(known=False)
        now = await self._clock.now()
        await self._book.record(order.organisation, _event(order), order.command_id, order.actor, now)
        match order.kind:
            case "pause":
                await self._pool.execute(statement("pause_mailbox"), order.organisation, order.reason, order.actor)
            case "resume":
                await self._pool.execute(statement("resume_mailbox"), order.organisation, order.reason, order.actor)
            case "skip":
                await self._pool.execute(statement("skip_notice"), order.organisation, order.notice)
                return MailboxAnswer(count=1)
            case "redeliver":
                return MailboxAnswer(count=await self._ask(order))
        return MailboxAnswer()

    async def _is_known(self, order: MailboxOrder) -> bool:
        """Whether the notice that is to be skipped waits or has waited here, or the endpoint is this organisation's."""
        match order.kind:
            case "skip":
                found = await self._pool.fetchval(statement("is_own_notice"), order.organisation, order.notice)
            case "redeliver":
                found = await self._pool.fetchval(statement("is_own_endpoint"), order.organisation, order.endpoint)
            case _:
                return True
        return bool(found)

    async def _ask(self, order: MailboxOrder) -> int:
        count: int = await self._pool.fetchval(
            "SELECT app.request_redelivery($1, $2, $3, $4, $5, $6, $7, $8)",
            order.command_id,
            order.organisation,
            order.endpoint,
            order.notice,
            order.since,
            order.before,
            order.missing_only,
            REDELIVERIES_MAX,
        )
        return count


def _event(order: MailboxOrder) -> Event:
    match order.kind:
        case "pause":
            return MailboxPaused(reason=order.reason, paused_by=order.actor)
        case "resume":
            return MailboxResumed(reason=order.reason, resumed_by=order.actor)
        case "skip":
            return NoticeSkipped(notice=str(order.notice), reason=order.reason, skipped_by=order.actor)
        case "redeliver":
            return NoticesRedelivered(
                endpoint=order.endpoint,
                notice=str(order.notice) if order.notice else None,
                since=order.since.isoformat() if order.since else None,
                before=order.before.isoformat() if order.before else None,
                missing_only=order.missing_only,
                reason=order.reason,
                asked_by=order.actor,
            )
