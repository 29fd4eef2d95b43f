"""Making local accounts of members of staff, and what is kept of a password: argon2id, and never the password."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_MIN: Final = 12
PASSWORD_MAX: Final = 200
ID_LENGTH: Final = 16
_HASHER: Final = PasswordHasher()
_INSERT: Final = """
INSERT INTO app.accounts (id, name, organisation, scopes, password_hash) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO NOTHING RETURNING id
"""


class PasswordRefused(ValueError):
    """The password is too short or too long; the message says what is possible."""


class AccountExists(Exception):
    """There is an account of this name."""


def password_hash(password: str) -> str:
    """What is kept of a password: argon2id with the library's parameters of RFC 9106. Raises PasswordRefused."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise PasswordRefused(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    return _HASHER.hash(password)


def is_password(password: str, kept: str) -> bool:
    """Whether `kept` was made of the password. It takes as long for a wrong one."""
    try:
        return _HASHER.verify(kept, password[: PASSWORD_MAX + 1])
    except (VerificationError, InvalidHashError):
        return False


def nobodys_hash() -> str:
    """Something to compare with where there is no account, so that the time tells nothing."""
    return _HASHER.hash("nobody has this password")


async def add_account(
    pool: "asyncpg.Pool[Any]", name: str, organisation: str, password: str, scopes: Sequence[str] = ()
) -> str:
    """Make an account, as an operator may; give its id. Without scopes it has all of its organisation's role.

    Raises AccountExists, PasswordRefused, and CheckViolationError for what cannot be a name.
    """
    made: str | None = await pool.fetchval(
        _INSERT, uuid4().hex[:ID_LENGTH], name, organisation, list(scopes) or None, password_hash(password)
    )
    if made is None:
        raise AccountExists(name)
    return made
