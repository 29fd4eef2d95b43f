"""Child processes of one parent: started, watched, stopped in order, and never left behind.

Every child runs under `child_guard.py`, so that it ends when its parent does, even by `kill -9`. Children
stand in a session of their own: a Ctrl-C in the terminal reaches the parent only, and the parent stops them
in the right order. A note of each running child (`STATE/run/NAME.pid`) lets the next start end what an
interrupted one may have left.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
READY_TIMEOUT_S = 60.0
READY_INTERVAL_S = 0.02
STOP_TIMEOUT_S = 15.0
KILL_TIMEOUT_S = 10.0
LEFTOVER_TIMEOUT_S = 30.0
LOG_LINES_SHOWN = 12
LOG_BYTES_READ = 16_384
LOG_BYTES_MAXIMUM = 32 * 1024 * 1024
# Looking costs the kernel a twentieth of a second where a dozen processes run.
MEMORY_INTERVAL_S = 3.0
DEATH_INTERVAL_S = 0.5
FREE_PORT_ATTEMPTS = 20

_GUARD = Path(__file__).resolve().with_name("child_guard.py")


class StackError(Exception):
    """Something around us is not as it must be. `remedy` tells the reader what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}\n  → {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(slots=True, eq=False)
class Child:
    """A running (or ended) child. `stop_asked` tells a wanted end from a death."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    stop_signal: signal.Signals
    note: Path
    stop_asked: bool = False

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    @property
    def died(self) -> bool:
        """True if it ended although nobody asked it to."""
        return not self.running and not self.stop_asked

    def last_words(self) -> str:
        """The last lines of its log, for a message to a person."""
        return last_lines(self.log)


@dataclass(slots=True)
class Program:
    """What to start: `argv` with exactly `env`; `user` and `capability` as `child_guard.py` describes them."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    capability: int | None = None


class Supervisor:
    """Starts programs as children, logs each to `state_dir/logs/NAME.log`, and stops them in reverse order."""

    def __init__(self, state_dir: Path) -> None:
        self._logs = state_dir / "logs"
        self._notes = state_dir / "run"
        self._children: list[Child] = []

    @property
    def children(self) -> tuple[Child, ...]:
        return tuple(self._children)

    def dead(self) -> list[Child]:
        """The children that ended although nobody asked them to."""
        return [child for child in self._children if child.died]

    async def wait_for_death(self) -> Child:
        """Return the first child that dies unasked; waits for ever while all of them run."""
        while True:
            if dead := self.dead():
                return dead[0]
            await asyncio.sleep(DEATH_INTERVAL_S)

    async def start(
        self,
        program: Program,
        ready: Callable[[], Awaitable[bool]] | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> Child:
        """Start `program` and wait until `ready()` is true.

        Raises StackError with the end of its log when it dies first or is not ready within `ready_timeout_s`
        seconds; it is stopped then.
        """
        child = await self._spawn(program)
        if ready is None:
            return child
        deadline = time.monotonic() + ready_timeout_s
        try:
            while True:
                is_ready = await ready()
                # Asked afterwards, because somebody else may have answered at the same address.
                if child.died:
                    raise StackError(
                        f"{child.name} ended with code {child.process.returncode} while starting:\n"
                        f"{child.last_words()}",
                        f"The whole log is in {child.log}.",
                    )
                if is_ready:
                    return child
                if time.monotonic() > deadline:
                    raise StackError(
                        f"{child.name} was not ready after {ready_timeout_s:.0f} s:\n{child.last_words()}",
                        f"The whole log is in {child.log}.",
                    )
                await asyncio.sleep(READY_INTERVAL_S)
        except BaseException:
            await self.stop(child)
            raise

    async def stop(self, child: Child, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask `child` to end, and kill it after `timeout_s` seconds. Nothing happens if it has ended."""
        child.stop_asked = child.stop_asked or child.running
        if child.running:
            await self._signal_and_wait(child, child.stop_signal, timeout_s)
        if child.running:
            await self._signal_and_wait(child, signal.SIGKILL, KILL_TIMEOUT_S)
        # What the child has started itself and left behind is still in its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        self._forget(child)

    async def kill(self, child: Child) -> None:
        """End `child` as a power cut would: no chance to tidy up."""
        child.stop_asked = child.stop_asked or child.running
        if child.running:
            await self._signal_and_wait(child, signal.SIGKILL, KILL_TIMEOUT_S)
        self._forget(child)

    async def stop_all(self) -> None:
        """Stop every child, the last started first."""
        for child in reversed(self.children):
            await self.stop(child)

    def end_leftovers(self) -> list[str]:
        """End what an earlier run of the same state left running; return the names. Call it while holding
        the lock.

        A note counts only if a process with that number AND that start time exists: numbers are used again.
        """
        ended = []
        for note in sorted(self._notes.glob("*.pid")):
            name = note.stem
            if (process := _process_of(note)) is not None:
                _end(process, signal.Signals(json.loads(note.read_text())["stop_signal"]))
                ended.append(name)
            note.unlink(missing_ok=True)
        return ended

    async def _spawn(self, program: Program) -> Child:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._notes.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{program.name}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAXIMUM:
            log.replace(log.with_suffix(".log.1"))
        guarded = (
            sys.executable,
            "-I",
            "-S",
            str(_GUARD),
            str(os.getpid()),
            str(int(program.stop_signal)),
            program.user or "-",
            "-" if program.capability is None else str(program.capability),
            *program.argv,
        )
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *guarded,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=dict(program.env),
                cwd=program.cwd,
                start_new_session=True,
            )
        note = self._notes / f"{program.name}.pid"
        child = Child(program.name, process, log, program.stop_signal, note)
        self._children.append(child)
        _write_note(note, process.pid, program.stop_signal)
        return child

    async def _signal_and_wait(self, child: Child, number: signal.Signals, timeout_s: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                # The whole session, because elsewhere than on Linux the guard stands between us and the
                # program.
                os.killpg(child.process.pid, number)
            else:
                child.process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await child.process.wait()

    def _forget(self, child: Child) -> None:
        child.note.unlink(missing_ok=True)
        if child in self._children:
            self._children.remove(child)


def _write_note(note: Path, pid: int, stop_signal: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        created = psutil.Process(pid).create_time()
        note.write_text(json.dumps({"pid": pid, "created": created, "stop_signal": int(stop_signal)}))


def _process_of(note: Path) -> psutil.Process | None:
    try:
        record = json.loads(note.read_text())
        process = psutil.Process(record["pid"])
        return process if process.create_time() == record["created"] else None
    except (ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _end(process: psutil.Process, stop_signal: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(stop_signal)
        try:
            process.wait(LEFTOVER_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(KILL_TIMEOUT_S)


def last_lines(log: Path, count: int = LOG_LINES_SHOWN) -> str:
    """The last `count` lines of a log file, indented; a note if there is none."""
    if not log.exists():
        return "    (no log)"
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - LOG_BYTES_READ))
        lines = source.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (the log is empty)"


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """True if a server could listen on `host:port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(preferred: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """`preferred` if it is free, else a port that the system chose; never one of `taken`."""
    if preferred is not None and preferred not in taken and port_is_free(preferred):
        return preferred
    for _ in range(FREE_PORT_ATTEMPTS):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise StackError("No free port was found on 127.0.0.1.", "Close programs that listen on many ports.")


@contextlib.contextmanager
def cancelled_by(*signals: signal.Signals) -> Iterator[None]:
    """While this block runs, each of `signals` (default SIGTERM and SIGHUP) cancels the current task.

    asyncio.run() does the same for SIGINT. With it, `async with LocalStack(…)` stops everything in order on
    any of them.
    """
    task = asyncio.current_task()
    assert task is not None, "cancelled_by() belongs in a coroutine"
    loop = asyncio.get_running_loop()
    chosen = signals or (signal.SIGTERM, signal.SIGHUP)
    for number in chosen:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in chosen:
            loop.remove_signal_handler(number)


@dataclass(slots=True)
class MemoryMeter:
    """Watches how much memory this process and all its descendants use; `peak_mib` is the most seen so far.

    It adds up proportional set sizes where the system tells them (Linux), so that memory shared by several
    processes, as PostgreSQL's buffers are, counts once; elsewhere resident set sizes, which is too much
    rather than too little.
    """

    peak_mib: float = 0.0
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="memory-meter")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_INTERVAL_S)
            await self.sample()

    async def sample(self) -> float:
        """Measure once, now, in MiB. In a thread: the kernel takes milliseconds per large process."""
        now_mib = await asyncio.to_thread(tree_memory_mib, os.getpid())
        self.peak_mib = max(self.peak_mib, now_mib)
        return now_mib


def tree_memory_mib(pid: int) -> float:
    """Memory of process `pid` and all its descendants in MiB. Processes that end meanwhile do not count."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += _own_memory_bytes(process)
    return total / 1024 / 1024


def _own_memory_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.AccessDenied, AttributeError):
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)
