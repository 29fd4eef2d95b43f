"""What the commands of `xunji` share: settings, output, and how an expected failure is told."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
from rich.console import Console
from temporalio.service import RPCError

from command_line.exit_codes import INTERRUPTED, MISUSED, REFUSED, WRONG, code_of
from settings import Settings, load_settings

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
FAILED = WRONG
State = Annotated[Path | None, typer.Option(help="The state directory of the embedded stack.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]

__all__ = ["FAILED", "MISUSED", "REFUSED", "AsJSON", "State", "configured", "err", "fail", "out", "print_json", "run"]


def configured(state: Path | None) -> Settings:
    """The settings, or a message that names what is missing."""
    return load_settings(state)


def run(work: Coroutine[Any, Any, int]) -> None:
    """Run a command; an expected failure becomes a message with its remedy and an exit code, never a trace."""
    try:
        code = asyncio.run(work)
    except typer.Exit:
        # A RuntimeError to Python; the command has said what it had to say.
        raise
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        # The edge of the process: what `code_of` does not know is a defect, and shows its trace.
        known = code_of(error)
        if known is None:
            raise
        fail(_words(error), known)
    raise typer.Exit(code)


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say what went wrong and end with a code of `exit_codes`."""
    err.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(code)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def _words(error: Exception) -> str:
    match error:
        case asyncpg.InsufficientPrivilegeError():
            return f"This login may not do that: {error}\n  → Give the owner's address in XUNJI_MIGRATION_DATABASE_URL."
        case asyncpg.UndefinedTableError() | asyncpg.UndefinedFunctionError() | asyncpg.UndefinedColumnError():
            return f"The database is not of this release: {error}\n  → Run `xunji migrate`."
        case OSError() if error.filename is not None:
            return f"{error.filename}: {error.strerror}."
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError():
            return f"PostgreSQL cannot be used: {error}\n  → Start it (make demo), or correct DATABASE_URL."
        case RPCError():
            return f"Temporal cannot be used: {error}\n  → Start it (make demo), or correct TEMPORAL_ADDRESS."
        case RuntimeError() if type(error) is RuntimeError:
            return f"Temporal cannot be used: {error}\n  → Start it (make demo), or correct TEMPORAL_ADDRESS."
        case _:
            return str(error)
