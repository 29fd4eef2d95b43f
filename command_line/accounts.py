"""`xunji account …`: members of staff with a name and a password, where no provider knows them."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Final

import asyncpg
import typer

from command_line.exit_codes import MISUSED, OK, REFUSED
from command_line.shared import AsJSON, State, configured, fail, out, print_json, run
from database import operator_pool
from services.accounts import AccountExists, PasswordRefused, add_account, password_hash
from settings import Settings

account_app = typer.Typer(help=__doc__, no_args_is_help=True)
LIST_LIMIT: Final = 1_000
Name = Annotated[str, typer.Argument(help="What he signs in with: small letters, digits, dots, dashes.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]

_LIST: Final = """
SELECT a.id, a.name, a.organisation, a.scopes, a.created_at, a.disabled_at,
       (SELECT max(s.last_seen_at) FROM app.sessions AS s WHERE s.account = a.id) AS last_seen_at
FROM app.accounts AS a ORDER BY a.name LIMIT $1
"""
_END_SESSIONS: Final = "UPDATE app.sessions SET ended_at = clock_timestamp() WHERE account = $1 AND ended_at IS NULL"


@account_app.command()
def add(
    name: Name,
    organisation: Annotated[str, typer.Option(help="Whose staff he is, by the organisation's id.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="Only this scope; repeat it. All of the role if left out.")
    ] = None,
    password_stdin: FromStdin = False,
    state: State = None,
) -> None:
    """Make an account. His role is the organisation's."""

    async def work() -> int:
        new = _password(password_stdin)
        async with _pool(configured(state)) as pool:
            await _require_grantable(pool, organisation, scope or [])
            try:
                await add_account(pool, name, organisation, new, scope or [])
            except AccountExists:
                fail(f"There is an account {name} already.\n  → xunji account password {name}", REFUSED)
            except asyncpg.CheckViolationError:
                fail(
                    f"{name} cannot be a name.\n  → Begin with a small letter; then a-z, 0-9, dots and dashes.", MISUSED
                )
        out.print(f"{name} may sign in for {organisation}.", highlight=False)
        return OK

    run(work())


@account_app.command()
def password(name: Name, password_stdin: FromStdin = False, state: State = None) -> None:
    """Give an account a new password, and let it be used again if it was disabled. Its sessions end."""

    async def work() -> int:
        new = _password(password_stdin)
        async with _pool(configured(state)) as pool:
            query = "UPDATE app.accounts SET password_hash = $2, disabled_at = NULL WHERE name = $1 RETURNING id"
            await _changed(pool, name, query, password_hash(new))
        out.print(f"{name} has a new password.", highlight=False)
        return OK

    run(work())


@account_app.command()
def disable(name: Name, state: State = None) -> None:
    """Let an account sign in no more. Its sessions end: in running processes within seconds. Its acts stay its own."""

    async def work() -> int:
        async with _pool(configured(state)) as pool:
            query = """
            UPDATE app.accounts SET disabled_at = coalesce(disabled_at, clock_timestamp()) WHERE name = $1 RETURNING id
            """
            await _changed(pool, name, query)
        out.print(f"{name} may sign in no more.", highlight=False)
        return OK

    run(work())


@account_app.command("list")
def list_accounts(state: State = None, as_json: AsJSON = False) -> None:
    """Show every account, and the id that stands for it in events, logs and the trail of reads."""

    async def work() -> int:
        async with _pool(configured(state)) as pool:
            rows = [dict(row) for row in await pool.fetch(_LIST, LIST_LIMIT)]
        if as_json:
            print_json([{key: _plain(value) for key, value in row.items()} for row in rows])
            return OK
        for row in rows:
            standing = "disabled" if row["disabled_at"] else "may sign in"
            out.print(f"{row['id']}  {row['name']}  {row['organisation']}  {standing}", highlight=False)
        return OK

    run(work())


async def _require_grantable(pool: "asyncpg.Pool[Any]", organisation: str, scopes: list[str]) -> None:
    """Ends with a message unless the organisation takes part and its role may have the scopes."""
    from api.permissions import excess, scopes_of
    from api.registry import Registry
    from event_schemas import SCHEMAS
    from ledger.store import Ledger

    ledger = Ledger(pool, SCHEMAS)
    try:
        registered = await Registry(ledger).find(organisation)
    finally:
        await ledger.close()
    if registered is None:
        fail(f"No organisation {organisation} takes part.\n  → Its id is one of GET /v1/institutions.", REFUSED)
    wrong = excess(registered.kind, scopes)
    if wrong:
        known = ", ".join(scopes_of(registered.kind))
        fail(f"Staff of {organisation} cannot have {', '.join(wrong)}.\n  → Possible: {known}.", MISUSED)


async def _changed(pool: "asyncpg.Pool[Any]", name: str, query: str, *arguments: object) -> None:
    async with pool.acquire() as connection, connection.transaction():
        account = await connection.fetchval(query, name, *arguments)
        if account is None:
            fail(f"There is no account {name}.\n  → xunji account list", REFUSED)
        await connection.execute(_END_SESSIONS, account)


def _password(from_stdin: bool) -> str:
    text = (
        sys.stdin.readline().rstrip("\n")
        if from_stdin
        else str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    )
    try:
        password_hash(text)
    except PasswordRefused as error:
        fail(str(error), MISUSED)
    return text


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with operator_pool(settings, min_size=1, max_size=2) as pool:
        yield pool


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
