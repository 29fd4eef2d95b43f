"""The activity `publish_bulletins`: what a run of the schedule does. Which bulletin is due is decided by the domain.

The append's command id follows from campaign, period and version, and it expects the version that the stream had: a run
that is repeated, or two at once, publish once.
"""

from typing import Final
from uuid import UUID, uuid5

from temporalio import activity

from activities.appending import append_of
from activities.facts import LedgerFacts
from clock import Clock
from domain import bulletin_publication
from domain.bulletin_publication import BulletinPublished
from domain.decision import SYSTEM, Decision
from domain.numbers import book_of, stream_name
from ledger.store import Ledger
from ledger.types import Appended
from workflows.messages import BulletinRun

NAMESPACE: Final = UUID("0f0f8c9e-6f0a-4f7d-8f41-7a5c1f3f6d20")
KIND: Final = "bulletin"


class BulletinActivities:
    """Publishes bulletins of every campaign whose plan was adopted. One object per worker process."""

    def __init__(self, ledger: Ledger, clock: Clock, facts: LedgerFacts) -> None:
        self._ledger = ledger
        self._clock = clock
        self._facts = facts

    @activity.defn(name="publish_bulletins")
    async def publish_bulletins(self) -> BulletinRun:
        """Publish what is due in every campaign. Raises only when the database is away."""
        campaigns = await self._facts.adopted_campaigns()
        published: list[str] = []
        for campaign in campaigns:
            facts = await self._facts.publication(campaign)
            now = await self._clock.now()
            decision = bulletin_publication.publish(facts, now) if facts is not None else None
            if decision is not None:
                published += await self._append(campaign, decision)
            activity.heartbeat()
        return BulletinRun(campaigns=len(campaigns), published=tuple(published))

    async def _append(self, campaign: str, decision: Decision) -> list[str]:
        first = decision.events[0]
        assert isinstance(first, BulletinPublished), "a publication begins with a bulletin"
        name = f"{campaign}:{first.period}:{first.version}"
        book, stream = book_of(KIND, campaign), stream_name(KIND, campaign)
        result = await self._ledger.append(
            append_of(
                decision,
                book=book,
                stream=stream,
                version=await self._ledger.stream_version(book, stream),
                command_id=uuid5(NAMESPACE, name),
                digest=name,
                actor=SYSTEM,
                now=first.as_of,
                reply=b"",
                correlation_id=stream,
                campaign=campaign,
            )
        )
        return [name] if isinstance(result, Appended) else []
