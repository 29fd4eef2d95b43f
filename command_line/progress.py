"""How far a long command is: a bar on a terminal, nothing anywhere else.

    with progress("Reading", total=head) as advance:
        await export_book(..., advance=advance)

The bar is on standard error, so that standard output stays what a script reads, and `--json` never mixes with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

REFRESHES_PER_SECOND: Final = 5

Advance = Callable[[int], None]
"""Told how many more of what is counted are done. May be called from any thread."""


@contextmanager
def progress(what: str, total: int | None = None, console: Console | None = None) -> Iterator[Advance]:
    """Show `what` with a bar for as long as the block runs; without a total, only that it goes on."""
    screen = console or Console(stderr=True)
    if not screen.is_terminal:
        yield lambda _count: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=screen, transient=True, refresh_per_second=REFRESHES_PER_SECOND) as bars:
        task = bars.add_task(what, total=total)
        yield lambda count: bars.advance(task, count)
