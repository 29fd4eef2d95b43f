"""What a command is answered with: a receipt for one, a result per row for many."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SkipValidation, ValidationError

from api import problem_types
from api.commands import Delivery, Postponed, waits_behind
from api.conditional import etag
from api.idempotency import Answer, Once
from api.problems import Problem, ProblemDocument
from api.services import Services
from api.validation import faults_of
from workflows.messages import Receipt

MAX_ROWS: Final = 500
"""Rows that are carried out while their request waits."""

MAX_LARGE_ROWS: Final = 2_000
CONCURRENT_ROWS: Final = 32
"""Rows of one request that are under way at once."""

PREPARED_AT_ONCE: Final = 4
"""Rows that are made ready at once where they are not sent one by one: more would only keep other requests waiting."""

NUMBER_LIMIT: Final = 80
TraineeNumber = Annotated[
    str,
    Field(
        pattern=r"^[a-z]{2}[0-9]{2}-[a-z0-9][a-z0-9-]{0,39}-[0-9]{5,9}$",
        max_length=NUMBER_LIMIT,
        examples=["zz22-410181-00123"],
    ),
]
ClassNumber = Annotated[
    str,
    Field(
        pattern=r"^[a-z]{2}[0-9]{2}-c-[a-z0-9]{1,32}-[0-9]{2,6}$",
        max_length=NUMBER_LIMIT,
        examples=["zz22-c-h012-01"],
    ),
]
RestrictionNumber = Annotated[
    str,
    Field(
        pattern=r"^([a-z]{2}[0-9]{2}-[a-z0-9][a-z0-9-]{0,39}-[0-9]{5,9}-r[0-9]{1,3}|prior-[0-9]{5,9})$",
        max_length=NUMBER_LIMIT,
        examples=["zz22-410181-00123-r1"],
    ),
]
CampaignId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=32, examples=["2022-zhengzhou"])]

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""No date of a request lies outside these: further ones cannot be stored, or waited for."""

Instant = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST, examples=["2022-09-01T00:00:00Z"])]
Day = Annotated[date, Field(ge=EARLIEST.date(), le=LATEST.date(), examples=["2022-09-05"])]

Row = TypeVar("Row", bound=BaseModel)


class CommandReceipt(BaseModel):
    """What became of a command, and what the case waits for now. `version` is the stream's."""

    number: str
    version: int
    phase: str
    closed: bool
    waiting_for: str
    deadline: datetime | None = Field(description="When the next thing is due, UTC.")
    summary: str
    sequence: int = Field(description="The last sequence in the book; the views show it once they have read so far.")


class RowResult(BaseModel):
    """One row of a request with many: the status it would have had alone, with a receipt or a problem."""

    index: int = Field(description="The row's place in `items`, from 0.")
    status: int
    number: str | None = None
    receipt: CommandReceipt | None = None
    problem: ProblemDocument | None = None
    operation: str | None = Field(
        default=None, description="Where to read what comes of a row that was kept for later (202)."
    )


class RowResults(BaseModel):
    """A result for every row, in the order of the rows."""

    items: list[RowResult]
    succeeded: int
    failed: int
    kept: int = Field(default=0, description="Rows that are handled later, because a part of the system was away.")


class Rows(BaseModel, Generic[Row]):
    """Many of the same. Each row is judged by itself, so a wrong one does not keep the others from going through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: Annotated[list[SkipValidation[Row]], Field(min_length=1, max_length=MAX_ROWS)]


class ManyRows(Rows[Row], Generic[Row]):
    """The same, and more of them: beyond MAX_ROWS they are carried out after the answer."""

    items: Annotated[list[SkipValidation[Row]], Field(min_length=1, max_length=MAX_LARGE_ROWS)]


@dataclass(frozen=True, slots=True)
class Job:
    """A row that is ready to run. Rows of one `lane` run one after the other, in their order."""

    index: int
    lane: Hashable
    run: Callable[[], Awaitable[Receipt]]
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that came to a problem."""

    index: int
    problem: Problem
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A row that was carried out, or would have been. `is_new`: its number exists only then."""

    index: int
    receipt: Receipt
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Waits:
    """A row that is to be kept in the inbox."""

    index: int
    delivery: Delivery
    number: str | None = None


Result: TypeAlias = Done | Failed | Waits


def receipt_body(receipt: Receipt) -> dict[str, Any]:
    """The receipt as callers see it."""
    return CommandReceipt.model_validate(receipt, from_attributes=True).model_dump(mode="json")


def answer_of(receipt: Receipt, *, status: int = 200, location: str = "") -> Answer:
    """The answer to a single command."""
    headers = {"ETag": etag(receipt.version)}
    if location:
        headers["Location"] = location
    return Answer(receipt_body(receipt), status, headers)


def parsed_row(model: type[Row], raw: object) -> Row:
    """A row of a request with many. Raises Problem with pointers into the row."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise Problem(problem_types.INVALID, *faults_of(details, model)) from None


async def run_rows(jobs: Sequence[Job], *, are_sent: bool = True) -> list[Result]:
    """Run the rows, a few at once; a row that raises Problem or Postponed does not stop the others.

    Unless `are_sent`, each comes to Waits with what it would have sent.

    Anything else that is raised stops them all: what was done stays done, and a repetition finds it so.
    """
    lanes: dict[Hashable, list[Job]] = {}
    for job in jobs:
        lanes.setdefault(job.lane, []).append(job)
    waiting = iter(lanes.values())
    results: list[Result] = []
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONCURRENT_ROWS if are_sent else PREPARED_AT_ONCE, len(lanes))):
                group.create_task(_work(waiting, results, are_sent=are_sent))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return results


async def _work(waiting: Iterator[list[Job]], results: list[Result], *, are_sent: bool) -> None:
    for lane in waiting:
        # Behind a row that has to wait, the rest of its lane waits too.
        behind = waits_behind.set(not are_sent)
        for job in lane:
            try:
                results.append(Done(job.index, await job.run()))
            except Problem as problem:
                results.append(Failed(job.index, problem, job.number))
            except Postponed as postponed:
                waits_behind.set(True)
                number = None if postponed.delivery.target.new else job.number
                results.append(Waits(job.index, postponed.delivery, number))
        waits_behind.reset(behind)


def outcome_of(
    result: Done | Failed, services: Services, request_id: str, success: int, *, is_only_tried: bool = False
) -> dict[str, Any]:
    """What a row has come to, as its item shows it. One that was only tried has no receipt."""
    if isinstance(result, Failed):
        document = result.problem.document(services.settings.public_url, request_id, f"/items/{result.index}")
        number = {"number": result.number} if result.number else {}
        return {"status": document["status"], "problem": document, **number}
    if is_only_tried:
        return {"status": success} | ({} if result.is_new else {"number": result.receipt.number})
    receipt = receipt_body(result.receipt)
    return {"status": success, "number": receipt["number"], "receipt": receipt}


async def answer_of_rows(
    results: Sequence[Result], services: Services, once: Once, success: int = 200, *, is_only_tried: bool = False
) -> Answer:
    """The answer to a request with many: always 207, even when every row failed (a row says what it came to).

    The rows that have to wait are kept under one operation. A row that was only tried has no receipt.
    """
    ordered = sorted(results, key=lambda each: each.index)
    waiting = [(each.index, each.delivery) for each in ordered if isinstance(each, Waits)]
    location = ""
    not_kept: Problem | None = None
    if waiting:
        try:
            location = (await services.inbox.keep(once.operation_id, waiting)).location
        except Problem as full:
            not_kept = full
    items: list[dict[str, Any]] = []
    for result in ordered:
        if isinstance(result, Waits) and not_kept is None:
            number = {"number": result.number} if result.number else {}
            items.append({"index": result.index, "status": 202, "operation": location, **number})
            continue
        settled: Done | Failed
        if isinstance(result, Waits):
            assert not_kept is not None, "what is not kept has a reason"
            settled = Failed(result.index, not_kept, result.number)
        else:
            settled = result
        outcome = outcome_of(settled, services, once.correlation_id, success, is_only_tried=is_only_tried)
        items.append({"index": result.index} | outcome)
    kept = sum(item["status"] == 202 for item in items)
    failed = sum(item["status"] >= 400 for item in items)
    body = {"items": items, "succeeded": len(items) - kept - failed, "failed": failed, "kept": kept}
    # A row that met an outage must be tried again by a repetition; the rows that are done answer as before.
    return Answer(body, 207, is_final=all(item["status"] < 500 for item in items))
