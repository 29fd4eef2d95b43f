"""Connections to PostgreSQL: as whom each part acts, and how long anything may take.

    application_pool   xunji_app      reads everything, appends through the one function, keeps views and app tables
    caller_pool        xunji_caller   what the API asks for a caller: only rows of his organisation (`api/own_rows.py`)
    sealer_pool        xunji_sealer   reads books and events, adds checkpoints
    operator_pool      the owner      what only an operator does: erase, import, close, detach, rotate keys, rebuild

The role is taken on by every connection when it is made, so that a process that logs in as the owner cannot change
history by mistake. That it cannot do so on purpose either needs a login that is nobody: `SERVICE_LOGIN`, made by
`prepare_login`, which owns nothing and may only take on these roles. See `docs/runbooks/roles.md`.
"""

import base64
import hmac
import re
import secrets
from hashlib import pbkdf2_hmac, sha256
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncpg

from settings import Settings

APPLICATION_ROLE: Final = "xunji_app"
CALLER_ROLE: Final = "xunji_caller"
SEALER_ROLE: Final = "xunji_sealer"
SERVICE_LOGIN: Final = "xunji_service"
"""The login that migrations let take on the roles (`ledger/sql/085_service.sql`, `projections/sql/app/`)."""

OPERATOR_STATEMENT_TIMEOUT_S: Final = 3_600
"""An import copies a whole book in one statement."""

SCRAM_ITERATIONS: Final = 4_096
SCRAM_SALT_BYTES: Final = 16
_LOGIN: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class LoginRefused(Exception):
    """The application's login cannot be prepared; the message names what to change."""


def application_pool(settings: Settings, **options: Any) -> "asyncpg.Pool[Any]":
    """A pool for the API or the worker, not yet open; `options` are those of asyncpg's `create_pool`."""
    return _pool(settings, settings.database_url.get_secret_value(), APPLICATION_ROLE, **options)


def caller_pool(settings: Settings, **options: Any) -> "asyncpg.Pool[Any]":
    """A pool for what the API asks on behalf of its callers, not yet open."""
    return _pool(settings, settings.database_url.get_secret_value(), CALLER_ROLE, **options)


def sealer_pool(settings: Settings, **options: Any) -> "asyncpg.Pool[Any]":
    """A pool for the sealer alone, not yet open."""
    return _pool(settings, settings.database_url.get_secret_value(), SEALER_ROLE, **options)


def operator_pool(settings: Settings, **options: Any) -> "asyncpg.Pool[Any]":
    """A pool for an operator's command, as the owner, not yet open. Locks are waited for as briefly as by anybody."""
    limits = timeouts(settings) | {"statement_timeout": f"{OPERATOR_STATEMENT_TIMEOUT_S}s"}
    return asyncpg.create_pool(
        settings.owner_database_url(), server_settings={"application_name": "xunji operator", **limits}, **options
    )


def timeouts(settings: Settings) -> dict[str, str]:
    """What PostgreSQL is told about every connection of the application."""
    return {
        "lock_timeout": f"{settings.database_lock_timeout_s}s",
        "statement_timeout": f"{settings.database_statement_timeout_s}s",
        "idle_in_transaction_session_timeout": f"{settings.database_idle_in_transaction_timeout_s}s",
    }


def _pool(settings: Settings, url: str, role: str, **options: Any) -> "asyncpg.Pool[Any]":
    server_settings = {"application_name": role.replace("_", " "), **timeouts(settings)}
    if settings.database_roles:
        # In the start-up packet, so it costs no round trip and no reset of the connection undoes it.
        server_settings["role"] = role
    return asyncpg.create_pool(url, server_settings=server_settings, **options)


async def prepare_login(connection: "asyncpg.Connection[Any]", application_url: str) -> bool:
    """Let the login of `application_url` exist with its password; give whether it is another one than the owner.

    `connection` is the owner's. Only SERVICE_LOGIN is made and given the roles; another login is its maker's to grant.
    Raises LoginRefused when the owner may not make logins and this one does not exist.
    """
    parts = urlsplit(application_url)
    login = unquote(parts.username or "")
    if not login or login == await connection.fetchval("SELECT session_user"):
        return False
    if login != SERVICE_LOGIN:
        return True
    assert _LOGIN.fullmatch(login), "a constant that needs no quoting"
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", login)
    password = unquote(parts.password or "")
    try:
        if not exists:
            await connection.execute(f"CREATE ROLE {login} LOGIN NOINHERIT")
        if password:
            # The verifier and not the password travels, so that no log of statements holds it.
            await connection.execute(f"ALTER ROLE {login} LOGIN PASSWORD '{scram_verifier(password)}'")
    except asyncpg.DuplicateObjectError:
        return True
    except asyncpg.InsufficientPrivilegeError as error:
        if exists:
            return True
        raise LoginRefused(
            f"The owner may not make the login {login}.\n"
            "  → Let an administrator make it (docs/runbooks/roles.md), or give the owner CREATEROLE."
        ) from error
    return True


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password (SCRAM-SHA-256, RFC 5803). Raises LoginRefused unless it is ASCII."""
    if not password.isascii():
        raise LoginRefused("The password in DATABASE_URL is not ASCII.\n  → Choose one: openssl rand -hex 32")
    salt = secrets.token_bytes(SCRAM_SALT_BYTES)
    salted = pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored = sha256(hmac.digest(salted, b"Client Key", sha256)).digest()
    server = hmac.digest(salted, b"Server Key", sha256)
    salt_text, stored_text, server_text = (base64.b64encode(each).decode() for each in (salt, stored, server))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt_text}${stored_text}:{server_text}"
