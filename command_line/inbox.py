"""`xunji inbox`: which commands were accepted and wait, because Temporal or the workers are away.

Exit codes: 0 nothing waits, or not for long; 1 something has waited longer than `--alarm-after`.
"""

from dataclasses import asdict
from typing import Annotated, Final

import typer

from command_line.shared import FAILED, AsJSON, State, configured, out, print_json, run

SHOWN: Final = 100
ALARM_AFTER_S: Final = 300


def inbox(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show so many of the oldest.")] = SHOWN,
    alarm_after: Annotated[
        int, typer.Option(min=1, help="Seconds that a command may wait before this ends with 1.")
    ] = ALARM_AFTER_S,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """List the accepted commands that wait for Temporal or the workers, oldest first; what they say is not shown."""
    from api.inbox import Waiting, WaitingCommand, listed, waiting
    from database import application_pool

    async def work() -> int:
        async with application_pool(configured(state), min_size=1, max_size=1) as pool:
            figures, commands = await waiting(pool), await listed(pool, limit)
        if as_json:
            print_json({**asdict(figures), "items": [asdict(each) for each in commands]})
        else:
            show(figures, commands)
        return FAILED if (figures.oldest_s or 0.0) > alarm_after else 0

    def show(figures: Waiting, commands: list[WaitingCommand]) -> None:
        if not figures.count:
            out.print("Nothing waits.")
            return
        for each in commands:
            why = f"; {each.attempts} failures" if each.attempts else ""
            why += f"; {each.problem}" if each.problem else ""
            line = f"{each.position:6} {each.waited_s:8.0f} s  {each.command} {each.process}, from {each.organisation}"
            out.print(line + why, highlight=False)
        out.print(
            f"{figures.count} wait, the oldest for {figures.oldest_s:.0f} s. They are handled by themselves, in order, "
            "when Temporal and a worker answer: see /v1/readyz and docs/runbooks/inbox.md."
        )

    run(work())
