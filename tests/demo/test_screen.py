"""What is shown: bars where there is a terminal, a line a week elsewhere, and tables that lose nothing in a file."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import StringIO

import pytest
from rich.console import Console

from demo.screen import LINE_EVERY_DAYS, REFRESH_S, Screen

FIRST = date(2022, 8, 25)


@dataclass
class Run:
    today: date = FIRST
    done: Counter[str] = field(default_factory=Counter)


async def seen(*, terminal: bool) -> str:
    output = StringIO()
    screen = Screen(Console(file=output, force_terminal=terminal, width=120))
    run = Run()
    async with screen.progress(run, {"nominated": 600}, 170, FIRST):
        await asyncio.sleep(REFRESH_S * 1.5)
        run.today, run.done["nominated"] = FIRST + timedelta(days=LINE_EVERY_DAYS), 600
        await asyncio.sleep(REFRESH_S * 2)
    return output.getvalue()


async def test_without_a_terminal_a_line_is_written_for_each_week() -> None:
    lines = (await seen(terminal=False)).splitlines()
    assert [line.split()[0] for line in lines] == ["2022-08-25", "2022-09-01"]
    assert "星期四" in lines[1]
    assert "nominated 600/600" in lines[1]


async def test_a_terminal_shows_bars_and_the_date() -> None:
    shown = await seen(terminal=True)
    assert "2022-09-01 星期四" in shown
    assert "600/600" in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_keeps_every_cell(terminal: bool) -> None:
    output = StringIO()
    screen = Screen(Console(file=output, force_terminal=terminal, width=100))
    root = "b28b6faf807461ca7dff526be223bec48ef7eaeee7a59873b9fb96befec8c768"
    screen.table("账本", ("book", "events", "root"), [("2022-zhengzhou", "750", root)])
    assert root in output.getvalue()
    assert "2022-zhengzhou" in output.getvalue()
