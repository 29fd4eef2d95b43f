"""Numbers of new cases: one per command, dense, and never given out twice."""

import asyncio
from uuid import uuid4

from tests.api.front_door import API


async def test_a_repeated_command_gets_its_number_again(api: API) -> None:
    numbers, commands = api.services.numbers, [uuid4() for _ in range(5)]
    assert await numbers.reserve(commands, ["zz22-410181"] * 5) == [1, 2, 3, 4, 5]
    mixed = [uuid4(), commands[2], uuid4(), commands[0]]
    series = ["zz22-410181", "zz22-410181", "zz22-410182", "zz22-410181"]
    assert await numbers.reserve(mixed, series) == [6, 3, 1, 1]
    assert await numbers.reserve_one(commands[4], "zz22-410181") == 5


async def test_many_at_once_get_different_numbers_without_a_gap(api: API) -> None:
    numbers = api.services.numbers
    series = [f"zz22-{each}" for each in ("a", "b", "c")]

    async def batch(offset: int) -> list[int]:
        order = series[offset % 3 :] + series[: offset % 3]
        return await numbers.reserve([uuid4() for _ in range(9)], order * 3)

    found = [each for batch in await asyncio.gather(*map(batch, range(20))) for each in batch]
    assert sorted(found) == sorted(list(range(1, 61)) * 3)


async def test_the_same_command_twice_at_once_gets_one_number(api: API) -> None:
    command = uuid4()
    found = await asyncio.gather(*(api.services.numbers.reserve_one(command, "zz22-x") for _ in range(20)))
    assert set(found) == {1}
    assert await api.services.numbers.reserve_one(uuid4(), "zz22-x") == 2
