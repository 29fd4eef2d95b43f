"""What a person sees of the demo: bars and the campaign's date on a terminal, plain lines elsewhere, and tables."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

REFRESH_S: Final = 0.25
LINE_EVERY_DAYS: Final = 7
"""Where there is no terminal, so often a line is written."""

WIDE: Final = 160
WEEKDAYS: Final = "一二三四五六日"


class Watched(Protocol):
    """A run as the screen sees it: the campaign's day, and what was done so far."""

    today: date
    done: Counter[str]


class Screen:
    """Writes to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        if not self.console.is_terminal:
            # A file has no width; a table in it is as wide as it needs to be.
            self.console.width = WIDE

    def say(self, sentence: str) -> None:
        """One sentence, above the bars if there are any."""
        self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    @asynccontextmanager
    async def progress(self, watched: Watched, totals: dict[str, int], days: int, first: date) -> AsyncIterator[None]:
        """Show how far the run has come for as long as the block runs. `totals` are the bars in their order."""
        shown = self._bars if self.console.is_terminal else self._lines
        task = asyncio.create_task(shown(watched, totals, days, first))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _bars(self, watched: Watched, totals: dict[str, int], days: int, first: date) -> None:
        columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, refresh_per_second=1 / REFRESH_S) as progress:
            campaign = progress.add_task(_named(first), total=days)
            bars: dict[str, TaskID] = {name: progress.add_task(name, total=n) for name, n in totals.items()}
            try:
                while True:
                    self._move(progress, watched, first, campaign, bars)
                    await asyncio.sleep(REFRESH_S)
            finally:
                self._move(progress, watched, first, campaign, bars)

    @staticmethod
    def _move(progress: Progress, watched: Watched, first: date, campaign: TaskID, bars: dict[str, TaskID]) -> None:
        day = (watched.today - first).days + 1
        progress.update(campaign, completed=day, description=_named(watched.today))
        for name, bar in bars.items():
            progress.update(bar, completed=watched.done[name])

    async def _lines(self, watched: Watched, totals: dict[str, int], days: int, first: date) -> None:
        written = -LINE_EVERY_DAYS
        while True:
            day = (watched.today - first).days
            if day >= written + LINE_EVERY_DAYS or (day + 1 == days and day > written):
                written = day
                counts = "  ".join(f"{name} {watched.done[name]}/{total}" for name, total in totals.items())
                self.say(f"{_named(watched.today)}  {counts}")
            await asyncio.sleep(REFRESH_S)

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table. The first column is broken where the screen is narrow, the others are not."""
        table = Table(title=title, title_justify="left", header_style="bold")
        for number, name in enumerate(header):
            first = number == 0
            table.add_column(name, justify="left" if first else "right", no_wrap=not first, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)


def _named(day: date) -> str:
    return f"{day.isoformat()} 星期{WEEKDAYS[day.weekday()]}"
