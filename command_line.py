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

from child_processes import StackError
from ledger.errors import LedgerError
from settings import Settings, SettingsError, load_settings

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
FAILED, MISUSED = 1, 2
State = Annotated[Path | None, typer.Option(help="The state directory of the embedded stack.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


def configured(state: Path | None) -> Settings:
    """The settings, or a message that names what is missing."""
    return load_settings(state)


def run(work: Coroutine[Any, Any, int]) -> None:
    """Run a command; an expected failure becomes a message with its remedy, never a trace."""
    code = FAILED
    try:
        code = asyncio.run(work)
    except (StackError, SettingsError, LedgerError) as error:
        fail(str(error))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError) as error:
        fail(f"PostgreSQL cannot be used: {error}\n  → Start it (make demo), or correct DATABASE_URL.")
    except (RPCError, RuntimeError) as error:
        fail(f"Temporal cannot be used: {error}\n  → Start it (make demo), or correct TEMPORAL_ADDRESS.")
    except KeyboardInterrupt:
        pass
    raise typer.Exit(code)


def fail(message: str) -> NoReturn:
    """Say what went wrong and end."""
    err.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(FAILED)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")
