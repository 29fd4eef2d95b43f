"""PostgreSQL and Temporal for one machine, without containers: started, watched and stopped by one object.

    async with LocalStack(Path(".xunji"), say=print) as stack:
        worker = await stack.run_child("worker", [sys.executable, "worker.py"], {}, ready=…)

`DATABASE_URL` and `TEMPORAL_ADDRESS` win: what they name is checked and used, not started. The state
directory holds:

    secrets.env   keys and the database's password, made on the first start (0600)
    stack.env     where the running servers are, while they run (0600); `settings.load_settings` reads both
    postgresql/   the database            temporal.db   Temporal's state
    socket/       PostgreSQL's socket     logs/         one file per process
    run/          a note per process      lock          held while a stack runs
"""

import asyncio
import base64
import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
from dotenv import dotenv_values

from database import SERVICE_LOGIN, prepare_login
from embedded import postgres
from embedded import temporal as embedded_temporal
from embedded.child_processes import (
    READY_TIMEOUT_S,
    STOP_TIMEOUT_S,
    Child,
    MemoryMeter,
    Program,
    StackError,
    Supervisor,
)
from embedded.postgres import EmbeddedPostgres
from embedded.temporal import EmbeddedTemporal
from settings import DEFAULT_STATE_DIR, KEY_BYTES, SECRETS_FILE, STACK_FILE

KEY_VARIABLES = ("XUNJI_MASTER_KEY", "XUNJI_INDEX_KEY", "XUNJI_SIGNING_KEY", "XUNJI_LINK_KEY")
REPLACEABLE = ("XUNJI_LINK_KEY", "XUNJI_SERVICE_PASSWORD")
"""What is lost with these is only what they have signed or opened; a state directory that lacks them gets new ones."""
# Not made by the stack: a signing key that was handed over signs along until it is taken out.
OPTIONAL_KEY_VARIABLES = ("XUNJI_PREVIOUS_SIGNING_KEY", "XUNJI_WITNESS_KEY")
PASSWORD_VARIABLE = "XUNJI_POSTGRES_PASSWORD"  # noqa: S105 - the name of a variable
SERVICE_PASSWORD_VARIABLE = "XUNJI_SERVICE_PASSWORD"  # noqa: S105 - the name of a variable
OWNER_VARIABLE = "XUNJI_MIGRATION_DATABASE_URL"
DISK_FREE_MINIMUM_MIB = 512
OLDEST_POSTGRES = 15
CONNECT_TIMEOUT_S = 10.0


class LocalStack:
    """The servers that xunji needs on `state_dir`, and the processes that run beside them.

    `say` is told, in one sentence each, what a person should know (a port that was taken, a leftover that
    was ended). Every failure is a StackError with a remedy. Use it in the main thread: a child dies with
    the thread that started it.
    """

    def __init__(
        self,
        state_dir: Path = DEFAULT_STATE_DIR,
        *,
        say: Callable[[str], None] = lambda _sentence: None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.state_dir = state_dir.absolute()
        self.supervisor = Supervisor(self.state_dir)
        self.memory = MemoryMeter()
        self.ready_seconds = 0.0
        self._say = say
        self._environ = dict(os.environ if environ is None else environ)
        self._secrets: dict[str, str] = {}
        self._lock: int | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._temporal: EmbeddedTemporal | None = None
        self._database_url = ""
        self._application_url = ""
        self._temporal_address = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- where everything is
    # -------------------------------------------------------------------------------------

    @property
    def database_url(self) -> str:
        """Where the owner of the ledger connects, with the password; over a socket if the server is ours."""
        return self._database_url

    @property
    def application_url(self) -> str:
        """Where the processes connect: the same database, as a login that owns nothing if the server is ours."""
        return self._application_url

    @property
    def database_tcp_url(self) -> str:
        """The same for tools that need TCP."""
        return self._postgres.tcp_url() if self._postgres is not None else self._database_url

    @property
    def temporal_address(self) -> str:
        return self._temporal_address

    @property
    def temporal_namespace(self) -> str:
        return self._environ.get("TEMPORAL_NAMESPACE", embedded_temporal.NAMESPACE)

    @property
    def temporal_ui_url(self) -> str | None:
        """The Web UI of our own server; None if `TEMPORAL_ADDRESS` names another."""
        return self._temporal.ui_url if self._temporal is not None else None

    @property
    def peak_rss_mib(self) -> float:
        """The most memory that this process and all its descendants have used together so far, in MiB."""
        return self.memory.peak_mib

    def environment(self) -> dict[str, str]:
        """What a child needs to find everything: the settings as environment variables, keys included."""
        found = {
            "DATABASE_URL": self.application_url,
            # Nobody's business but the operator's, who finds it in stack.env; set, it wins over what stands there.
            OWNER_VARIABLE: "",
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": self.temporal_namespace,
            "XUNJI_STATE_DIR": str(self.state_dir),
        }
        if self.temporal_ui_url is not None:
            found["XUNJI_TEMPORAL_UI_URL"] = self.temporal_ui_url
        optional = {name: self._secrets[name] for name in OPTIONAL_KEY_VARIABLES if name in self._secrets}
        return {**optional, **self._environ, **{name: self._secrets[name] for name in KEY_VARIABLES}, **found}

    # --- start and stop
    # ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start both servers at once and wait until they answer. What was started is stopped if anything fails."""
        began = time.monotonic()
        try:
            self._prepare_directory()
            self._take_lock()
            for name in self.supervisor.end_leftovers():
                self._say(f"An interrupted run had left {name} running; it was ended.")
            self._secrets = self._load_secrets()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._start_database())
                    group.create_task(self.start_temporal())
            except BaseExceptionGroup as errors:
                raise _first(errors) from None
            write_private(self.state_dir / STACK_FILE, self._addresses())
        except BaseException:
            await self.stop()
            raise
        await self.memory.sample()
        self.memory.start()
        self.ready_seconds = time.monotonic() - began

    async def stop(self) -> None:
        """Stop every child in reverse order, the servers last. Safe to repeat."""
        await self.memory.stop()
        servers = {child for server in (self._temporal, self._postgres) if server and (child := server.child)}
        for child in reversed(self.supervisor.children):
            if child not in servers:
                await self.supervisor.stop(child)
        if self._temporal is not None:
            await self._temporal.stop()
        if self._postgres is not None:
            await self._postgres.stop()
        await self.supervisor.stop_all()
        self._release_lock()

    async def run_child(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        ready: Callable[[], Awaitable[bool]] | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
        cwd: Path | None = None,
    ) -> Child:
        """Start a process with `environment()` and `env` on top; its output goes to STATE/logs/NAME.log.

        Returns when `ready()` is true. Raises StackError with the end of its log if it dies first or takes
        longer.
        """
        program = Program(name, argv, {**self.environment(), **(env or {})}, cwd=cwd)
        return await self.supervisor.start(program, ready, ready_timeout_s)

    async def stop_child(self, child: Child, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """SIGTERM, and SIGKILL after `timeout_s` seconds."""
        await self.supervisor.stop(child, timeout_s)

    async def start_temporal(self) -> None:
        """Start the Temporal server (again on the same ports), or check the one that TEMPORAL_ADDRESS names."""
        if address := self._environ.get("TEMPORAL_ADDRESS"):
            client = await embedded_temporal.connect(address, self.temporal_namespace)
            await embedded_temporal.prepare_namespace(client)
            self._temporal_address = address
            return
        if self._temporal is None:
            binary = await asyncio.to_thread(embedded_temporal.find_binary)
            if binary is None:
                self._say("There is no temporal here; the SDK downloads one.")
                binary = await embedded_temporal.download_binary(self.state_dir / "bin")
            self._temporal = EmbeddedTemporal(self.state_dir / "temporal.db", self.supervisor, binary)
        temporal = self._temporal
        first = temporal.port == 0
        await temporal.start()
        self._temporal_address = temporal.address
        if first:
            self._say_port("Temporal", temporal.preferred_port, temporal.port)
            self._say_port("its Web UI", temporal.preferred_ui_port, temporal.ui_port)

    async def lose_temporal(self) -> None:
        """Kill our Temporal server and delete its state, as a lost cluster would be. `start_temporal()` follows."""
        if self._temporal is None:
            raise StackError(
                "The Temporal at TEMPORAL_ADDRESS is not ours to delete.",
                "Unset TEMPORAL_ADDRESS to use the embedded server.",
            )
        await self._temporal.lose()

    # --- parts
    # ---------------------------------------------------------------------------------------------------

    async def _start_database(self) -> None:
        if url := self._environ.get("DATABASE_URL"):
            owner_url = self._environ.get(OWNER_VARIABLE) or url
            # The owner's, because the processes' login is perhaps made only by the migration that follows.
            await check_database(owner_url)
            self._database_url, self._application_url = owner_url, url
            return
        self._postgres = EmbeddedPostgres(
            self.state_dir / "postgresql", self._secrets[PASSWORD_VARIABLE], self.supervisor
        )
        await self._postgres.start()
        self._database_url = self._postgres.url()
        service_password = self._secrets[SERVICE_PASSWORD_VARIABLE]
        self._application_url = self._postgres.url(login=SERVICE_LOGIN, password=service_password)
        connection = await asyncpg.connect(self._database_url, timeout=CONNECT_TIMEOUT_S)
        try:
            await prepare_login(connection, self._application_url)
        finally:
            await connection.close()

    def _prepare_directory(self) -> None:
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            probe = self.state_dir / "lock"
            probe.touch()
        except OSError as error:
            raise StackError(
                f"The state directory {self.state_dir} cannot be written: {error.strerror}.",
                "Choose another one (--state DIR), or correct its owner and permissions.",
            ) from error
        free_mib = shutil.disk_usage(self.state_dir).free // (1024 * 1024)
        if free_mib < DISK_FREE_MINIMUM_MIB:
            raise StackError(
                f"Only {free_mib} MiB are free where {self.state_dir} is, of {DISK_FREE_MINIMUM_MIB} needed.",
                "Free some space, or choose a directory on another disk (--state DIR).",
            )

    def _take_lock(self) -> None:
        descriptor = os.open(self.state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StackError(
                f"xunji already runs on {self.state_dir} (process {owner}).",
                "Stop it first, or give this one a directory of its own (--state DIR).",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def _release_lock(self) -> None:
        if self._lock is not None:
            (self.state_dir / STACK_FILE).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _load_secrets(self) -> dict[str, str]:
        """The keys: from the environment, else from secrets.env, else new ones if there is nothing yet to lose."""
        path = self.state_dir / SECRETS_FILE
        stored = {name: value for name, value in dotenv_values(path).items() if value}
        wanted = (*KEY_VARIABLES, PASSWORD_VARIABLE, SERVICE_PASSWORD_VARIABLE)
        found = {**stored, **{name: self._environ[name] for name in wanted if self._environ.get(name)}}
        missing = [name for name in wanted if name not in found]
        if not missing:
            return found
        lost = [name for name in missing if name not in REPLACEABLE]
        if lost and postgres.data_is_initialised(self.state_dir / "postgresql"):
            raise StackError(
                f"{path} lacks {', '.join(lost)}, but a database made with it exists.",
                "Put the first secrets.env back; without its keys nobody can read the names in the ledger. "
                "To begin anew, remove the state directory or choose another (--state DIR).",
            )
        made = {name: _new_secret(name) for name in missing}
        write_private(path, {**stored, **made})
        return {**found, **made}

    def _addresses(self) -> dict[str, str]:
        environment = self.environment()
        names = ("DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "XUNJI_TEMPORAL_UI_URL")
        addresses = {name: environment[name] for name in names if name in environment}
        return addresses | {OWNER_VARIABLE: self.database_url}

    def _say_port(self, what: str, preferred: int | None, chosen: int) -> None:
        if preferred is not None and chosen != preferred:
            self._say(f"Port {preferred} is taken; {what} listens on {chosen}.")


def write_private(path: Path, values: Mapping[str, str]) -> None:
    """Replace `path` in one step by lines NAME='value' that only its owner may read."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.writelines(f"{name}='{value}'\n" for name, value in values.items())
        output.flush()
        os.fsync(output.fileno())
    draft.replace(path)


async def check_database(url: str) -> None:
    """Raise StackError unless a PostgreSQL 15 or later answers at `url`."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StackError(
            f"No PostgreSQL can be used at DATABASE_URL ({str(error) or 'no reply in time'}).",
            "Start it, correct DATABASE_URL, or unset it to use the embedded PostgreSQL.",
        ) from error
    try:
        version = connection.get_server_version()
    finally:
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await connection.close()
    if version.major < OLDEST_POSTGRES:
        raise StackError(
            f"The PostgreSQL at DATABASE_URL is version {version.major}.",
            f"Use version {OLDEST_POSTGRES} or later, or unset DATABASE_URL to use the embedded one.",
        )


def _new_secret(variable: str) -> str:
    if variable in (PASSWORD_VARIABLE, SERVICE_PASSWORD_VARIABLE):
        return secrets.token_urlsafe(KEY_BYTES)
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person should see: one that has a remedy, if there is one."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [errors]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, StackError)), flat[0])
