"""Many rows at once: bounded, in order where it matters, and none hurt by another."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api import problem_types
from api.problems import Problem
from api.receipts import CONCURRENT_ROWS, Done, Failed, Job, run_rows
from api.validation import Fault
from workflows.messages import Receipt


def receipt(number: str) -> Receipt:
    return Receipt(number=number, version=1, phase="nominated", closed=False)


async def test_rows_of_one_lane_keep_their_order_and_lanes_do_not_wait_for_each_other() -> None:
    done: list[str] = []

    def job(index: int, lane: str, turns: int) -> Job:
        async def run() -> Receipt:
            for _ in range(turns):
                await asyncio.sleep(0)
            done.append(f"{lane}{index}")
            return receipt(lane)

        return Job(index, lane, run)

    results = await run_rows([job(0, "a", 50), job(1, "a", 1), job(2, "b", 5), job(3, "a", 1)])
    assert done == ["b2", "a0", "a1", "a3"]
    assert {each.index for each in results} == {0, 1, 2, 3}


async def test_no_more_rows_are_under_way_than_is_said() -> None:
    under_way = most = 0

    async def run() -> Receipt:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return receipt("x")

    results = await run_rows([Job(index, index, run) for index in range(5 * CONCURRENT_ROWS)])
    assert len(results) == 5 * CONCURRENT_ROWS
    assert most == CONCURRENT_ROWS


async def test_a_row_with_a_problem_does_not_stop_the_others() -> None:
    fault = Fault("x", "x", "x", "x", "x")
    results = await run_rows([Job(0, "a", raising(Problem(problem_types.NOT_FOUND, fault)), "n0"), job_of(1, "a")])
    failed, done = sorted(results, key=lambda each: each.index)
    assert isinstance(failed, Failed)
    assert (failed.problem.type, failed.number) == (problem_types.NOT_FOUND, "n0")
    assert isinstance(done, Done)


async def test_what_is_no_problem_is_raised_as_it_is() -> None:
    with pytest.raises(ConnectionError):
        await run_rows([Job(0, "a", raising(ConnectionError()))])
    assert await run_rows([]) == []


def raising(error: Exception) -> Callable[[], Awaitable[Receipt]]:
    async def run() -> Receipt:
        raise error

    return run


def job_of(index: int, lane: str) -> Job:
    async def run() -> Receipt:
        return receipt(lane)

    return Job(index, lane, run)
