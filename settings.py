"""Everything that a deployment can set, read once at start from environment variables and the state
directory.

Environment variables win. Under them lie two files that the local stack keeps in the state directory:
`stack.env` (where the running PostgreSQL and Temporal are) and `secrets.env` (the keys made on the first
start). A variable is `XUNJI_` and the field's name in capitals, but for `DATABASE_URL`, `TEMPORAL_ADDRESS`
and `TEMPORAL_NAMESPACE`, which other tools know.
"""

import base64
import binascii
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "XUNJI_"
KEY_BYTES = 32
DEFAULT_STATE_DIR = Path(".xunji")
SECRETS_FILE = "secrets.env"
STACK_FILE = "stack.env"
Port = Annotated[int, Field(ge=1, le=65_535)]


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message names each variable and what to do."""


def _require_key(value: SecretStr) -> SecretStr:
    try:
        length = len(base64.b64decode(value.get_secret_value(), validate=True))
    except binascii.Error:
        raise ValueError("is not base64") from None
    if length != KEY_BYTES:
        raise ValueError(f"holds {length} bytes instead of {KEY_BYTES}")
    return value


Key = Annotated[SecretStr, AfterValidator(_require_key)]


class Settings(BaseSettings):
    """See `docs/settings.md`. Keys are base64 of 32 bytes; ask for the bytes with `key_bytes()`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True)

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    temporal_address: str = Field(default="127.0.0.1:7233", validation_alias="TEMPORAL_ADDRESS")
    temporal_namespace: str = Field(default="default", validation_alias="TEMPORAL_NAMESPACE")
    task_queue: str = "xunji"
    # Wraps the key of every person. Losing it loses every name and number in the ledger.
    master_key: Key
    # Finds a person by an ID number without storing the number.
    index_key: Key
    # Signs the ledger's checkpoints (ed25519 seed).
    signing_key: Key
    # Signs the links through which a teacher objects without an account.
    link_key: Key
    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 25
    mail_from: str = "xunji@localhost"
    api_host: str = "127.0.0.1"
    api_port: Port = 8080
    # How the world reaches the API: stands in problem types, links and notices.
    public_url: str = "http://127.0.0.1:8080"
    temporal_ui_url: str = "http://127.0.0.1:8233"
    state_dir: Path = DEFAULT_STATE_DIR
    clock: Literal["system", "demo"] = "system"
    # Webhooks must not reach into our own network; the demo's receivers are on this machine.
    webhook_allow_loopback: bool = False
    # Which runner executes workflow code; the others are for `make bench` (docs/decisions/0004).
    workflow_runner: Literal["unsandboxed", "passthrough", "sandboxed"] = "unsandboxed"
    # Who signs the ledger's checkpoints: stands in the first line of each, before the book's name.
    ledger_origin: str = "xunji"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def key_bytes(key: SecretStr) -> bytes:
    """The 32 bytes of one of the keys."""
    return base64.b64decode(key.get_secret_value(), validate=True)


def load_settings(state_dir: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings; `overrides` (by field name) win over everything, `state_dir` over XUNJI_STATE_DIR.

    Raises SettingsError with every problem at once.
    """
    directory = state_dir or Path(os.environ.get(f"{PREFIX}STATE_DIR", DEFAULT_STATE_DIR))
    files = (directory / SECRETS_FILE, directory / STACK_FILE)
    try:
        return Settings(_env_file=files, state_dir=directory, **overrides)
    except ValidationError as error:
        raise SettingsError(_explain(error, directory)) from None


def variable_of(field: str) -> str:
    """The environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def _explain(error: ValidationError, directory: Path) -> str:
    return "\n".join(_explanations(error, directory))


def _explanations(error: ValidationError, directory: Path) -> Iterable[str]:
    fields = {variable_of(name): name for name in Settings.model_fields}
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        place = str(problem["loc"][0])
        variable = place if place in fields else variable_of(place)
        field = fields[variable]
        if problem["type"] == "missing":
            yield f"{variable} is not set. {_remedy(field, directory)}"
        else:
            yield f"{variable}: {problem['msg'].removeprefix('Value error, ')}. {_remedy(field, directory)}"


def _remedy(field: str, directory: Path) -> str:
    if field in ("master_key", "index_key", "signing_key", "link_key"):
        return (
            f"Take it from {directory / SECRETS_FILE} (the local stack makes it there on its first start), "
            "or make a new one for an empty database: openssl rand -base64 32"
        )
    if field == "database_url":
        return (
            "Start the local stack (make demo) and use its state directory, or give a PostgreSQL's address, "
            "as in postgresql://user:password@host:5432/database"
        )
    return f"See `{field}` in settings.py."
