"""`xunji mail bounce`: takes a delivery report from the mail server, for mails that come back.

Its exit codes are those that mail servers know (sysexits.h), because a mail server calls it.
"""

import sys
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer

from activities.bounces import REPORT_BYTES_MAX, BounceUnreadable, read_report, record_bounce
from command_line.exit_codes import MISUSED
from command_line.shared import State, configured, fail, out, run
from database import application_pool
from services.bounces import return_paths_of

EX_DATAERR: Final = 65
"""No report about a mail of ours. The mail server need not try again."""
EX_TEMPFAIL: Final = 75
"""The database is away. The mail server keeps the report and tries again."""

mail_app = typer.Typer(help="Mails that come back.", no_args_is_help=True)


@mail_app.callback()
def _is_a_group() -> None:
    """Mails that come back."""


@mail_app.command()
def bounce(
    file: Annotated[Path | None, typer.Argument(help="The report; left out, it is read from standard input.")] = None,
    recipient: Annotated[str, typer.Option(help="The address that it was sent to, where the server tells it.")] = "",
    state: State = None,
) -> None:
    """Take a delivery report (RFC 3464): the notices of a mail that came back go another way."""

    async def work() -> int:
        settings = configured(state)
        paths = return_paths_of(settings)
        if paths is None:
            fail("Mails have no return path.\n  → Set XUNJI_BOUNCE_ADDRESS (docs/runbooks/mail.md).", MISUSED)
        try:
            report = read_report(_content(file), paths, recipient)
        except BounceUnreadable as error:
            fail(f"This is no report that can be used: {error}.", EX_DATAERR)
        try:
            async with application_pool(settings, min_size=1, max_size=1) as pool:
                count = await record_bounce(pool, report)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            fail(f"PostgreSQL cannot be used ({type(error).__name__}); try again later.", EX_TEMPFAIL)
        what = "failed" if report.failed else "is late or has arrived"
        out.print(f"mail {report.mail} {what} {report.status}: {count} notices go another way", highlight=False)
        return 0

    run(work())


def _content(file: Path | None) -> bytes:
    if file is not None:
        return file.read_bytes()
    return sys.stdin.buffer.read(REPORT_BYTES_MAX + 1)
