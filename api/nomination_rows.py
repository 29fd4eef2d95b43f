"""The rows of a nomination file: each goes the way of a single nomination, by the same guards (edge case 71)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

from api.bulk import carried_out
from api.idempotency import Once
from api.import_columns import SUCCEEDED_MARK
from api.import_work import YIELD_ROWS, Noun, require_plain, settled, succeeded_before
from api.kept_imports import Import, Result
from api.nomination_columns import COLUMNS, Words, nomination_of
from api.nominations import Checked, check, nominate_checked, plan_of, reserve_numbers
from api.operations import Away
from api.problem_types import TEMPORAL_AWAY
from api.problems import Problem, refused
from api.receipts import Done, Job, Waits
from api.services import Services
from domain import trainee
from domain.calendar import local_date
from domain.decision import Clear, Context, Refusal, Take
from domain.refusals import refuse
from domain.trainee_context import Facts
from domain.trainee_messages import Nominate, PersonReference
from projections.history import history_of
from workflows.messages import Receipt

NO_NUMBER: Final = "check"
"""Stands for the number of a nomination that is only judged."""


class NominationRows:
    """The rows of one import. Two rows for one teacher keep their order, so that the first one wins."""

    def __init__(self, services: Services, the_import: Import, words: Words) -> None:
        self._services, self._import, self._words = services, the_import, words
        self._seen: set[tuple[str, str]] = set()

    @classmethod
    async def open(cls, services: Services, the_import: Import) -> "NominationRows":
        return cls(services, the_import, Words.of(await plan_of(services, the_import.about)))

    async def check(self, indexes: range) -> list[Result]:
        """What every row would come to now. Nothing is changed, and nobody becomes known."""
        results = []
        for index in indexes:
            if index % YIELD_ROWS == 0:
                await asyncio.sleep(0)
            results.append(self._done_before(index) or await self._judged(index))
        return results

    async def _judged(self, index: int) -> Result:
        try:
            checked = await self._read(index)
            await _judge(self._services, self._import.once, checked)
            this = (checked.identity.text, checked.row.project_type)
            if this in self._seen:
                raise refused(refuse("duplicate_nomination"))
        except Problem as problem:
            return settled(COLUMNS, self._import, index, problem)
        self._seen.add(this)
        return self._import.result(index, "acceptable")

    async def send(self, indexes: range) -> list[Result]:
        """Nominate some rows. Raises Away when one of them met an outage: all of them are sent again later."""
        results: dict[int, Result] = {}
        checked: list[Checked] = []
        for index in indexes:
            before = self._done_before(index)
            if before is not None:
                results[index] = before
                continue
            try:
                checked.append(await self._read(index))
            except Problem as problem:
                results[index] = settled(COLUMNS, self._import, index, problem)
            if index % YIELD_ROWS == 0:
                await asyncio.sleep(0)
        numbers = await reserve_numbers(self._services, self._import.once, checked)
        jobs = [Job(each.index, each.identity.text, self._job(each, numbers), numbers[each.index]) for each in checked]
        for each in await carried_out(self._services, jobs):
            if isinstance(each, Done):
                results[each.index] = self._done(each.index, "nominated", each.receipt.number)
            elif isinstance(each, Waits):
                # The import itself is kept: it goes on when what is away is back.
                raise Away(TEMPORAL_AWAY.slug)
            else:
                results[each.index] = settled(COLUMNS, self._import, each.index, each.problem)
        return [results[index] for index in indexes]

    def _job(self, checked: Checked, numbers: dict[int, str]) -> Callable[[], Awaitable[Receipt]]:
        async def run() -> Receipt:
            return await nominate_checked(self._services, self._import.once, checked, numbers)

        return run

    async def _read(self, index: int) -> Checked:
        """Raises Problem."""
        require_plain(self._import, index)
        nomination = nomination_of(self._import.table, self._import.cells(index), self._import.about, self._words)
        return await check(self._services, self._import.once, index, nomination)

    def _done_before(self, index: int) -> Result | None:
        number = succeeded_before(self._import, index).split(" ", 1)[0]
        return self._done(index, "done-before", number) if number else None

    def _done(self, index: int, status: str, number: str) -> Result:
        return self._import.result(index, status, number=number, mark=f"{SUCCEEDED_MARK} {number}")


NOUN: Final = Noun(
    kind="nomination-import",
    words="nominations",
    scope="nominations:write",
    roles=("county", "school"),
    subject="campaign",
    columns=COLUMNS,
    open=NominationRows.open,
)


async def _judge(services: Services, once: Once, checked: Checked) -> None:
    """Raises Problem with what the nomination would be refused with if it was sent now.

    The domain decides as ever, and the claims that it asks for are looked at instead of taken.
    """
    person = await services.vault.find(checked.identity.text)
    own = {"county", "school", "person"}
    fields = {
        name: getattr(checked.row, name) for name in Nominate.model_fields.keys() - own if hasattr(checked.row, name)
    }
    reference = PersonReference(id=person or uuid4(), sealed="")
    command = Nominate(**fields, county=checked.county, school=checked.school, person=reference)
    now = await services.clock.now()
    facts = Facts(checked.plan)
    if person is not None:
        campaign = checked.plan.id
        known, records = await history_of(services.pool, services.plans.by_campaign, campaign, NO_NUMBER, person)
        facts = Facts(checked.plan, history=known, records=records)
    decided = trainee.decide(None, command, Context(NO_NUMBER, once.caller.actor, facts, now))
    if isinstance(decided, Refusal):
        raise refused(decided)
    if person is None:
        return
    taken = [each.key for each in decided.claims if isinstance(each, Take)]
    clear = [each.key for each in decided.claims if isinstance(each, Clear)]
    row = await services.pool.fetchrow(_CLAIMS, taken, clear, local_date(now))
    assert row is not None, "the query gives one row"
    if row["held"]:
        raise refused(refuse("duplicate_nomination"))
    if row["until"]:
        raise refused(refuse("restricted_until", until=row["until"].isoformat()))


_CLAIMS: Final = """
SELECT EXISTS (SELECT FROM ledger.holds WHERE key = ANY ($1)) AS held,
       (SELECT max(upper(days)) FROM unnest((SELECT range_agg(period) FROM ledger.blocks WHERE key = ANY ($2))) AS days
        WHERE days @> $3::date) AS until
"""
