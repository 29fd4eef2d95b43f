"""As whom the processes act, and how long anything may take."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
import pytest_asyncio

from clock import create_demo_clock
from database import (
    APPLICATION_ROLE,
    CALLER_ROLE,
    SEALER_ROLE,
    SERVICE_LOGIN,
    LoginRefused,
    application_pool,
    caller_pool,
    operator_pool,
    prepare_login,
    scram_verifier,
    sealer_pool,
)
from demo.run import _start_api, _start_worker
from embedded.child_processes import LOOPBACK, free_port
from embedded.local_stack import LocalStack
from ledger.store import Ledger
from migrations import migrate
from tests.api.front_door import settings_for
from tests.ledger.appends import append

FORBIDDEN = (
    "UPDATE ledger.events SET type = 'x'",
    "DELETE FROM ledger.events",
    "TRUNCATE ledger.events",
    "INSERT INTO ledger.events SELECT * FROM ledger.events",
    "UPDATE ledger.events_1 SET type = 'x'",
    "DELETE FROM ledger.events_1",
    "TRUNCATE ledger.events_1",
    "INSERT INTO ledger.events_1 SELECT * FROM ledger.events_1",
    "DELETE FROM ledger.commands",
    "UPDATE ledger.commands SET reply = ''",
    "UPDATE ledger.books SET sequence = 0",
    "DELETE FROM ledger.checkpoints",
    "UPDATE vault.subjects SET wrapped_key = NULL, blind_index = NULL, erased_at = now()",
    "DELETE FROM vault.subjects",
    "ALTER TABLE ledger.events DISABLE TRIGGER ALL",
    "DROP TABLE ledger.events",
    "DROP SCHEMA view CASCADE",
    "CREATE TABLE ledger.mine (n int)",
    "SET session_replication_role = replica",
    "UPDATE app.plans SET body = ''",
    "DELETE FROM app.api_keys",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(session_dir: Path) -> AsyncIterator[LocalStack]:
    """PostgreSQL, Temporal, a worker and the API, started as the demo starts them; one book has events."""
    async with LocalStack(session_dir / "roles") as stack:
        await migrate(stack.database_url, stack.application_url)
        connection = await asyncpg.connect(stack.database_url)
        await create_demo_clock(connection, datetime(2022, 8, 25, tzinfo=UTC), 1.0)
        await connection.close()
        async with asyncpg.create_pool(stack.database_url, min_size=1, max_size=3) as pool, Ledger(pool) as ledger:
            await ledger.append(append())
        port = free_port()
        environment = {"XUNJI_CLOCK": "demo", "XUNJI_API_HOST": LOOPBACK, "XUNJI_API_PORT": str(port)}
        await asyncio.gather(
            _start_worker(stack, environment), _start_api(stack, environment, f"http://{LOOPBACK}:{port}")
        )
        yield stack


async def test_every_connection_of_the_running_processes_is_the_service_s(stack: LocalStack) -> None:
    connection = await asyncpg.connect(stack.database_url)
    rows = await connection.fetch(
        "SELECT usename, application_name FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    sealed = await connection.fetchval("SELECT count(*) FROM ledger.checkpoints")
    await connection.close()
    assert {row["usename"] for row in rows} == {SERVICE_LOGIN}
    assert {row["application_name"] for row in rows} == {"xunji app", "xunji sealer"}
    assert sealed > 0, "the sealer's role is enough to seal"


@pytest.mark.parametrize("role", ["none", APPLICATION_ROLE, CALLER_ROLE, SEALER_ROLE])
@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_whatever_a_process_makes_of_its_login_history_cannot_be_changed(
    stack: LocalStack, role: str, statement: str
) -> None:
    connection = await asyncpg.connect(stack.environment()["DATABASE_URL"])
    try:
        await connection.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_login_can_become_nobody_else(stack: LocalStack) -> None:
    connection = await asyncpg.connect(stack.environment()["DATABASE_URL"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SET ROLE xunji")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT * FROM ledger.events")
    await connection.close()


async def test_the_children_are_not_told_who_the_owner_is(stack: LocalStack) -> None:
    environment = stack.environment()
    assert stack.database_url not in environment.values()
    assert environment["XUNJI_MIGRATION_DATABASE_URL"] == ""


async def test_every_table_of_views_and_application_can_be_read_by_it(database_url: str) -> None:
    """A new table without its grant would break the processes, and only them."""
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    await create_demo_clock(connection, datetime(2022, 8, 25, tzinfo=UTC), 1.0)
    unreadable = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
        "WHERE schemaname = ANY ('{ledger,vault,view,app}') "
        "AND NOT has_table_privilege('xunji_app', format('%I.%I', schemaname, tablename), 'SELECT')"
    )
    await connection.close()
    assert unreadable == []


async def test_pools_act_as_their_roles_within_the_limits_that_are_set(database_url: str, tmp_path: Path) -> None:
    await migrate(database_url)
    settings = settings_for(
        database_url,
        tmp_path,
        database_lock_timeout_s=7,
        database_statement_timeout_s=8,
        database_idle_in_transaction_timeout_s=9,
    )
    for make, role in (
        (application_pool, APPLICATION_ROLE),
        (caller_pool, CALLER_ROLE),
        (sealer_pool, SEALER_ROLE),
        (operator_pool, "xunji"),
    ):
        async with make(settings, min_size=1, max_size=1) as pool:
            assert await pool.fetchval("SELECT current_user") == role
            # The pool resets its connections; the role and the limits are not lost by that.
            assert await pool.fetchval("SELECT current_user") == role
            assert await pool.fetchval("SHOW lock_timeout") == "7s"
            assert await pool.fetchval("SHOW idle_in_transaction_session_timeout") == "9s"
            assert await pool.fetchval("SHOW statement_timeout") == ("1h" if role == "xunji" else "8s")


async def test_a_statement_a_lock_and_an_idle_transaction_end_in_time(database_url: str, tmp_path: Path) -> None:
    await migrate(database_url)
    limits = {
        "database_lock_timeout_s": 1,
        "database_statement_timeout_s": 2,
        "database_idle_in_transaction_timeout_s": 1,
    }
    holder = await asyncpg.connect(database_url)
    async with application_pool(settings_for(database_url, tmp_path, **limits), min_size=1, max_size=2) as pool:
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("SELECT pg_sleep(60)")
        async with holder.transaction():
            await holder.execute("LOCK TABLE app.numbers")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await pool.execute("SELECT * FROM app.numbers")
        async with pool.acquire() as connection:
            await connection.execute("BEGIN")
            await asyncio.sleep(1.5)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await connection.execute("SELECT 1")
    await holder.close()


async def test_one_login_for_everything_gives_its_rights_up_or_keeps_them_as_set(
    database_url: str, tmp_path: Path
) -> None:
    await migrate(database_url)
    async with application_pool(settings_for(database_url, tmp_path), min_size=1, max_size=1) as pool:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM ledger.commands")
    kept = settings_for(database_url, tmp_path, database_roles=False)
    async with application_pool(kept, min_size=1, max_size=1) as pool:
        assert await pool.fetchval("SELECT current_user") == "xunji"


# -------------------------------------------------------------------------------------------------- the login


def as_login(url: str, login: str, password: str) -> str:
    """The same database as another login."""
    return f"postgresql://{login}:{quote(password, safe='')}@{url.partition('@')[2]}"


async def test_an_owner_without_superuser_makes_the_login_and_a_new_password_replaces_the_old(
    database_url: str, tmp_path: Path
) -> None:
    owner, password = f"owner_{secrets.token_hex(4)}", secrets.token_hex(8)
    admin = await asyncpg.connect(database_url)
    await admin.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'")
    await admin.execute(f"ALTER DATABASE {database_url.partition('@/')[2].partition('?')[0]} OWNER TO {owner}")
    # The roles of the session's server were made by its superuser; here this owner has made them.
    await admin.execute(
        "DO $$ BEGIN CREATE ROLE xunji_app NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "DO $$ BEGIN CREATE ROLE xunji_sealer NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "DO $$ BEGIN CREATE ROLE xunji_caller NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
    )
    await admin.execute(f"GRANT xunji_app, xunji_sealer, xunji_caller TO {owner} WITH ADMIN OPTION")
    try:
        owner_url = as_login(database_url, owner, password)
        for word in ("first word", "second/word"):
            service = as_login(database_url, SERVICE_LOGIN, word)
            await migrate(owner_url, service)
            async with application_pool(settings_for(service, tmp_path), min_size=1, max_size=2) as pool:
                assert await pool.fetchval("SELECT session_user || ' as ' || current_user") == (
                    f"{SERVICE_LOGIN} as {APPLICATION_ROLE}"
                )
                assert await pool.fetchval("SELECT count(*) FROM app.plans") == 0
            async with caller_pool(settings_for(service, tmp_path), min_size=1, max_size=2) as pool:
                assert await pool.fetchval("SELECT current_user") == CALLER_ROLE
                assert await pool.fetch("SELECT * FROM view.trainees WHERE app.acting_as('bureau', 'zzedu')") == []
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(as_login(database_url, SERVICE_LOGIN, "first word"))
    finally:
        await admin.execute(f"DROP ROLE IF EXISTS {SERVICE_LOGIN}")
        await admin.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {owner}")
        await admin.close()


async def test_an_owner_who_may_make_no_login_is_told_so(database_url: str) -> None:
    owner, password = f"owner_{secrets.token_hex(4)}", secrets.token_hex(8)
    admin = await asyncpg.connect(database_url)
    await admin.execute(f"CREATE ROLE {owner} LOGIN PASSWORD '{password}'")
    connection = await asyncpg.connect(as_login(database_url, owner, password))
    try:
        with pytest.raises(LoginRefused, match=r"docs/runbooks/roles\.md"):
            await prepare_login(connection, as_login(database_url, SERVICE_LOGIN, "word"))
        assert await prepare_login(connection, as_login(database_url, "somebody_else", "word"))
        assert not await prepare_login(connection, as_login(database_url, owner, password))
    finally:
        await connection.close()
        await admin.execute(f"DROP ROLE {owner}")
        await admin.close()


def test_a_password_that_postgresql_would_spell_otherwise_is_refused() -> None:
    with pytest.raises(LoginRefused, match="ASCII"):
        scram_verifier("密码")
