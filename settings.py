"""Everything that a deployment can set, read once at start from environment variables and the state
directory.

Environment variables win. Under them lie two files that the local stack keeps in the state directory:
`stack.env` (where the running PostgreSQL and Temporal are) and `secrets.env` (the keys made on the first
start). A variable is `XUNJI_` and the field's name in capitals, but for `DATABASE_URL`, `TEMPORAL_ADDRESS`
and `TEMPORAL_NAMESPACE`, which other tools know.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "XUNJI_"
KEY_BYTES = 32
DEFAULT_STATE_DIR = Path(".xunji")
SECRETS_FILE = "secrets.env"
STACK_FILE = "stack.env"
Port = Annotated[int, Field(ge=1, le=65_535)]
PerMinute = Annotated[int, Field(ge=0, le=10_000_000)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]


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


def _require_keys(value: SecretStr) -> SecretStr:
    for each in _split(value):
        _require_key(each)
    return value


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None


Key = Annotated[SecretStr, AfterValidator(_require_key)]
Keys = Annotated[SecretStr, AfterValidator(_require_keys)]
"""Several keys, with commas between them."""

MAX_WITNESSES = 8
QUIET_HOURS = r"^$|^(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d$"


class WitnessSetting(BaseModel):
    """Who countersigns our checkpoints: the address before `/add-checkpoint`, and the witness's verifier key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
    key: Annotated[str, Field(max_length=500)]
    required: bool = True


MAX_STAFF_GROUPS = 500


class StaffGroup(BaseModel):
    """Who is staff of which organisation: whose claim holds `value`. Without `scopes` it is every scope of the role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Annotated[str, Field(min_length=1, max_length=200)]
    organisation: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    scopes: Annotated[tuple[str, ...], Field(max_length=60)] = ()


class Settings(BaseSettings):
    """See `docs/settings.md`. Keys are base64 of 32 bytes; ask for the bytes with `key_bytes()`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True)

    database_url: SecretStr = Field(validation_alias="DATABASE_URL")
    # The owner of the schemas, who migrates and does what only an operator may; else it is DATABASE_URL's login.
    migration_database_url: SecretStr | None = None
    # Whether every connection takes on the role of its part (`xunji_app`, `xunji_caller`, …); see `database.py`.
    database_roles: bool = True
    database_lock_timeout_s: Seconds = 10
    database_statement_timeout_s: Seconds = 30
    database_idle_in_transaction_timeout_s: Seconds = 60
    temporal_address: str = Field(default="127.0.0.1:7233", validation_alias="TEMPORAL_ADDRESS")
    temporal_namespace: str = Field(default="default", validation_alias="TEMPORAL_NAMESPACE")
    task_queue: str = "xunji"
    # Wraps the key of every person. Losing it loses every name and number in the ledger.
    master_key: Key
    # Master keys that others still work with or things are still wrapped by, while the key is being replaced.
    former_master_keys: Keys | None = None
    # Finds a person by an ID number without storing the number.
    index_key: Key
    # The same for the index key; also where a key that is going to be the current one is made known first.
    former_index_keys: Keys | None = None
    # Signs the ledger's checkpoints (ed25519 seed).
    signing_key: Key
    # The signing key before, while it signs beside the present one (`xunji ledger rotate-key`).
    previous_signing_key: Key | None = None
    # Signs the links through which a teacher objects without an account.
    link_key: Key
    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 25
    mail_from: str = "xunji@localhost"
    # Where mails that come back go: each is sent from an address of its own below it (docs/runbooks/mail.md).
    bounce_address: Annotated[str, Field(pattern=r"^$|^[A-Za-z0-9._-]{1,20}@[A-Za-z0-9.-]{1,200}$")] | None = None
    # Text messages to teachers whom no mail reaches; without the key there are none (docs/runbooks/mail.md).
    sms_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$", max_length=200)] = "https://dysmsapi.aliyuncs.com"
    sms_key_id: Annotated[str, Field(max_length=100)] | None = None
    sms_key_secret: SecretStr | None = None
    sms_sign_name: Annotated[str, Field(max_length=50)] | None = None
    sms_template_code: Annotated[str, Field(max_length=50)] | None = None
    # When no mail is sent (Asia/Shanghai), unless it cannot wait; empty for none. Webhooks go at any time.
    quiet_hours: Annotated[str, Field(pattern=QUIET_HOURS)] = "21:00-08:00"
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
    # Who countersigns our checkpoints.
    witnesses: Annotated[
        tuple[WitnessSetting, ...], NoDecode, BeforeValidator(_from_json), Field(max_length=MAX_WITNESSES)
    ] = ()
    # With a key this instance is a witness of others: of the ledgers of `witnessed_logs`, public keys by origin.
    witness_key: Key | None = None
    witness_name: Annotated[str, Field(pattern=r"^[^\s+]*$", max_length=200)] = "xunji/witness"
    witnessed_logs: Annotated[dict[str, tuple[str, ...]], NoDecode, BeforeValidator(_from_json)] = {}
    # How many requests a key may send: so many a minute, and so many at once after a pause. 0 a minute is no limit.
    rate_limit_per_minute: PerMinute = 6_000
    rate_limit_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    # How many attempts to sign in may fail from one address, or for one account.
    failed_sign_ins_per_minute: PerMinute = 30
    # How members of staff sign in: an OpenID Connect provider, and which value of which claim means which organisation.
    oidc_issuer: Annotated[str, Field(pattern=r"^(https?://[^\s?#]+)?$", max_length=500)] = ""
    oidc_client_id: Annotated[str, Field(max_length=200)] = ""
    oidc_client_secret: SecretStr | None = None
    oidc_claim: Annotated[str, Field(min_length=1, max_length=200)] = "groups"
    oidc_staff: Annotated[
        tuple[StaffGroup, ...], NoDecode, BeforeValidator(_from_json), Field(max_length=MAX_STAFF_GROUPS)
    ] = ()
    session_hours: Annotated[int, Field(ge=1, le=168)] = 12
    session_idle_minutes: Annotated[int, Field(ge=1, le=1_440)] = 60
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def owner_database_url(self) -> str:
        """Where the owner of the schemas connects: what was given for migrations, else the application's address."""
        owner = self.migration_database_url.get_secret_value() if self.migration_database_url else ""
        return owner or self.database_url.get_secret_value()


def key_bytes(key: SecretStr) -> bytes:
    """The 32 bytes of one of the keys."""
    return base64.b64decode(key.get_secret_value(), validate=True)


def former_keys(keys: SecretStr | None) -> list[bytes]:
    """The bytes of each of several keys, none when there are none."""
    return [key_bytes(each) for each in _split(keys)] if keys else []


def _split(keys: SecretStr) -> list[SecretStr]:
    return [SecretStr(each.strip()) for each in keys.get_secret_value().split(",") if each.strip()]


def load_settings(state_dir: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings; `overrides` (by field name) win over everything, `state_dir` over XUNJI_STATE_DIR.

    Raises SettingsError with every problem at once.
    """
    directory = state_dir or Path(os.environ.get(f"{PREFIX}STATE_DIR", DEFAULT_STATE_DIR))
    files = (directory / SECRETS_FILE, directory / STACK_FILE)
    if "database_url" in overrides or os.environ.get("DATABASE_URL"):
        # The owner of the local stack's database is not that of another one: both addresses come from one place.
        elsewhere = os.environ.get(variable_of("migration_database_url"), "")
        overrides.setdefault("migration_database_url", SecretStr(elsewhere))
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
    if field in ("previous_signing_key", "witness_key"):
        return "Give base64 of 32 bytes, or unset it"
    if field in ("master_key", "index_key", "signing_key", "link_key"):
        return (
            f"Take it from {directory / SECRETS_FILE} (the local stack makes it there on its first start), "
            "or make a new one for an empty database: openssl rand -base64 32"
        )
    if field.startswith("oidc_"):
        return "docs/sign-in.md shows how it is written."
    if field in ("witnesses", "witnessed_logs"):
        return "docs/ledger-trust.md shows how it is written."
    if field == "database_url":
        return (
            "Start the local stack (make demo) and use its state directory, or give a PostgreSQL's address, "
            "as in postgresql://user:password@host:5432/database"
        )
    return f"See `{field}` in settings.py."
