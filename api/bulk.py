"""Requests with many rows: how they are carried out, by what the caller asks for and how many they are.

partial (as ever)      each row by itself: a result per row (207); they share commits, not their fate
partial, > MAX_ROWS    kept in the inbox and handled from there: an operation with progress (202)
atomic                 all rows in one transaction, or none of them: a result per row (207)
dry_run                what every row would come to, in their order; nothing is changed: a result per row (207)
either, > MAX_ROWS     the same, after the answer: an operation with progress (202, `api/rows_together.py`)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query

from api import inbox, problem_types
from api.commands import Delivery
from api.idempotency import Answer, Once
from api.problems import RETRY_AFTER_S, Problem, refused
from api.receipts import MAX_ROWS, Done, Failed, Job, Result, Waits, answer_of_rows, run_rows
from api.services import Services
from api.validation import Fault
from services.judging import Contended, Progress
from workflows.messages import Outcome, UpdateLedger

TOGETHER_FROM: Final = 2
"""From so many rows on they are decided together. A single one goes to its workflow like a single command."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the rows of a request are meant."""

    mode: Literal["partial", "atomic"] = "partial"
    dry_run: bool = False

    @property
    def together(self) -> bool:
        """Whether the rows are judged as a whole."""
        return self.dry_run or self.mode == "atomic"


async def row_options(
    mode: Annotated[
        Literal["partial", "atomic"], Query(description="atomic: all rows are carried out, or none of them.")
    ] = "partial",
    dry_run: Annotated[bool, Query(description="Judge every row, in their order, and change nothing.")] = False,
) -> Options:
    return Options(mode, dry_run)


OptionsHere = Annotated[Options, Depends(row_options)]
"""The parameter of a route that takes many rows."""


def meant(once: Once, options: Options) -> Once:
    """The request, known by its options as well: the same key with others is another request."""
    return once.about(f"{options.mode} {options.dry_run}\n".encode() + once.body) if options.together else once


async def answer_of_items(
    services: Services, once: Once, items: Sequence[object], options: Options, job_of: Callable[[int, Any], Job]
) -> Answer:
    """Carry out the items of a request as they are meant. `job_of` reads one by its place; if it raises Problem, that
    is what the row comes to.
    """
    jobs: list[Job] = []
    failed: list[Failed] = []
    for index, raw in enumerate(items):
        try:
            jobs.append(job_of(index, raw))
        except Problem as problem:
            failed.append(Failed(index, problem))
    return await answer_of_jobs(services, once, jobs, failed, options)


async def answer_of_jobs(
    services: Services,
    once: Once,
    jobs: Sequence[Job],
    failed: Sequence[Failed],
    options: Options,
    success: int = 200,
) -> Answer:
    """Carry out the rows as they are meant. `failed` are those that came to a problem already."""
    is_large = len(jobs) + len(failed) > MAX_ROWS
    if not options.together and not is_large:
        return await answer_of_rows([*await carried_out(services, jobs), *failed], services, once, success)
    # None of them is sent: each says what it would have sent.
    results: list[Result] = [*await run_rows(jobs, are_sent=False), *failed]
    if is_large:
        return await _kept(services, once, results, options)
    waiting = sorted((each for each in results if isinstance(each, Waits)), key=lambda each: each.index)
    others = [each for each in results if not isinstance(each, Waits)]
    if not options.dry_run and not others:
        await _require_turn(services, waiting)
    try:
        judged = await judge_rows(services, waiting, only_try=options.dry_run, are_refused=bool(others))
    except Contended:
        raise Problem(problem_types.STILL_WORKING, _CONTENDED, headers=_AGAIN) from None
    return await answer_of_rows([*judged, *others], services, once, success, is_only_tried=options.dry_run)


async def carried_out(services: Services, jobs: Sequence[Job]) -> list[Result]:
    """What the rows come to, each by itself.

    They are decided here and appended together; their workflows hear of it afterwards. A row that cannot be settled so
    is sent to its workflow, as a single command is, and so are all of them while anything waits in the inbox: nothing
    overtakes what was kept before.
    """
    if len(jobs) < TOGETHER_FROM or services.inbox.in_use:
        return await run_rows(jobs)
    results = await run_rows(jobs, are_sent=False)
    waiting = sorted((each for each in results if isinstance(each, Waits)), key=lambda each: each.index)
    outcomes = await services.judge.judge_each([_request(each) for each in waiting])
    numbers = {job.index: job.number for job in jobs}
    settled: list[Result] = [each for each in results if not isinstance(each, Waits)]
    unsettled: list[Job] = []
    for each, outcome in zip(waiting, outcomes, strict=True):
        if outcome is not None:
            settled.append(_result(replace(each, number=numbers[each.index]), outcome))
            continue
        sent = partial(services.commands.pass_on, each.delivery)
        unsettled.append(Job(each.index, each.delivery.process, sent, numbers[each.index]))
    return [*settled, *await run_rows(unsettled)]


async def _kept(services: Services, once: Once, results: Sequence[Result], options: Options) -> Answer:
    origin = services.settings.public_url
    rows: list[tuple[int | None, Delivery]] = []
    documents: list[tuple[int, dict[str, Any]]] = []
    for each in sorted(results, key=lambda result: result.index):
        if isinstance(each, Waits):
            rows.append((each.index, each.delivery))
        elif isinstance(each, Failed):
            document = each.problem.document(origin, once.correlation_id, f"/items/{each.index}")
            documents.append((each.index, {"status": document["status"], "problem": document}))
    if not rows:
        return await answer_of_rows(results, services, once)
    kind = inbox.DRY_RUN if options.dry_run else inbox.ATOMIC if options.together else inbox.KIND
    kept = await services.inbox.keep(once.operation_id, rows, failed=documents, kind=kind)
    services.work_announced.set()
    return Answer(kept.body(), 202, kept.headers())


async def judge_rows(
    services: Services,
    waiting: Sequence[Waits],
    *,
    only_try: bool,
    are_refused: bool,
    progress: Progress | None = None,
) -> list[Result]:
    """Judge the rows as a whole, and carry them out if all are allowed, it is not only tried, and none `are_refused`
    beside them already. Raises Contended.
    """
    requests = [_request(each) for each in waiting]
    outcomes = await services.judge.judge(requests, only_try=only_try or are_refused, progress=progress)
    judged: list[Result] = [_result(each, outcome) for each, outcome in zip(waiting, outcomes, strict=True)]
    if only_try or not (are_refused or any(isinstance(each, Failed) for each in judged)):
        return judged
    not_sent = Problem(problem_types.NOT_SENT, _NOT_SENT)
    return [
        Failed(each.index, not_sent, None if each.is_new else each.receipt.number) if isinstance(each, Done) else each
        for each in judged
    ]


async def _require_turn(services: Services, waiting: Sequence[Waits]) -> None:
    """Nothing overtakes what is kept. Raises Problem when something is."""
    if not services.inbox.in_use:
        return
    for each in waiting:
        if await services.inbox.holds(each.delivery.process, each.delivery.message.actor.organisation):
            raise Problem(problem_types.STILL_WORKING, _EARLIER_WAIT, headers=_AGAIN)


def _request(row: Waits) -> UpdateLedger:
    delivery = row.delivery
    return UpdateLedger(
        kind=delivery.target.kind,
        number=delivery.target.number,
        campaign=delivery.target.campaign,
        command=delivery.command,
        command_id=delivery.command_id,
        message=delivery.message,
    )


def _result(row: Waits, outcome: Outcome) -> Result:
    if outcome.refusal is not None:
        return Failed(row.index, refused(outcome.refusal), row.number)
    if outcome.receipt is None:
        return Failed(row.index, Problem(problem_types.ROW_DEPENDS, _DEPENDS), row.number)
    return Done(row.index, outcome.receipt, is_new=row.delivery.target.new)


_AGAIN: Final = {"Retry-After": str(RETRY_AFTER_S)}
_NOT_SENT: Final = Fault(
    "not_sent",
    "This row is allowed, but another one is not, and none is carried out without the others (`mode=atomic`).",
    "本行可以执行，但其他行不被允许；`mode=atomic` 要求全部通过才执行。",
    "Correct or remove the rows that failed and send all of them again.",
    "请更正或删除未通过的行后重新提交全部行。",
)
_DEPENDS: Final = Fault(
    "row_depends",
    "An earlier row changes what this one rests on, such as the first nomination of the same teacher.",
    "前面的行会改变本行的依据，例如同一教师的首次推荐。",
    "Send this row in a request of its own, after the others.",
    "请在其他行执行后，单独提交本行。",
)
_CONTENDED: Final = Fault(
    "rows_contended",
    "The cases kept changing while the rows were judged; nothing was changed.",
    "审核期间有关事项不断变化，未作任何变更。",
    "Repeat the request with the same Idempotency-Key.",
    "请用同一 Idempotency-Key 重发。",
)
_EARLIER_WAIT: Final = Fault(
    "earlier_commands_wait",
    "Earlier commands of yours, or for one of these cases, wait in the inbox; rows that belong together cannot join.",
    "本单位或有关事项的先前命令仍在等待执行；必须一并执行的行不能排队。",
    "Repeat the request with the same Idempotency-Key when their operations are done.",
    "请待其完成后用同一 Idempotency-Key 重发。",
)
