"""Children: started, ready, stopped in time, killed when stubborn, noticed when dead, and never orphans."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from embedded.child_processes import (
    LOG_BYTES_MAXIMUM,
    LOOPBACK,
    MemoryMeter,
    Program,
    StackError,
    Supervisor,
    cancelled_by,
    free_port,
    last_lines,
    port_is_free,
    tree_memory_mib,
)

ROOT = Path(__file__).resolve().parents[2]
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(1000)"


def python(name: str, code: str, *arguments: str) -> Program:
    return Program(name, [sys.executable, "-c", code, *arguments], dict(os.environ))


async def never() -> bool:
    return False


async def test_a_child_is_ready_when_it_says_so(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    mark = tmp_path / "mark"

    async def ready() -> bool:
        return mark.exists()

    program = python("p", "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(1000)", str(mark))
    child = await supervisor.start(program, ready)
    assert child.running
    assert (tmp_path / "run" / "p.pid").exists()
    await supervisor.stop(child)
    assert (child.running, child.died, child.process.returncode) == (False, False, -signal.SIGTERM)
    assert supervisor.children == ()
    assert not (tmp_path / "run" / "p.pid").exists()


async def test_a_child_that_dies_while_starting_is_told_with_its_last_words(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    with pytest.raises(StackError, match="ended with code 3") as refused:
        await supervisor.start(python("p", "print('no such table'); raise SystemExit(3)"), never)
    assert "no such table" in refused.value.message
    assert str(tmp_path / "logs" / "p.log") in refused.value.remedy


async def test_a_child_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    with pytest.raises(StackError, match="not ready after"):
        await supervisor.start(python("p", "import time; time.sleep(1000)"), never, ready_timeout_s=0.2)
    assert supervisor.children == ()


async def test_a_program_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="cannot execute /no/such/program"):
        await Supervisor(tmp_path).start(Program("p", ["/no/such/program"], {}), never)


async def test_a_stubborn_child_is_killed_after_the_bound(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)

    async def ready() -> bool:
        return "up" in last_lines(tmp_path / "logs" / "p.log")

    child = await supervisor.start(python("p", STUBBORN), ready)
    await supervisor.stop(child, timeout_s=0.2)
    assert child.process.returncode == -signal.SIGKILL


async def test_what_a_stopped_child_leaves_behind_ends_too(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    note = tmp_path / "pid"

    async def ready() -> bool:
        return note.exists() and note.read_text() != ""

    script = f"trap 'exit 0' TERM; sleep 1000 & echo $! > {note}; wait"
    child = await supervisor.start(Program("p", ["sh", "-c", script], dict(os.environ)), ready)
    left = psutil.Process(int(note.read_text()))
    await supervisor.stop(child)
    while left.is_running() and left.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.02)


async def test_a_death_is_noticed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    stays = await supervisor.start(python("stays", "import time; time.sleep(1000)"))
    await supervisor.start(python("goes", "pass"))
    assert (await supervisor.wait_for_death()).name == "goes"
    assert stays.running
    await supervisor.stop_all()
    assert supervisor.children == ()


async def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    order = tmp_path / "order"
    order.touch()
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2]); sys.exit(0)\n"
        "signal.signal(15, end); print('up', flush=True); time.sleep(1000)"
    )
    for name in "abc":

        async def ready(name: str = name) -> bool:
            return "up" in last_lines(tmp_path / "logs" / f"{name}.log")

        await supervisor.start(python(name, code, str(order), name), ready)
    await supervisor.stop_all()
    assert order.read_text() == "cba"


async def test_a_leftover_of_an_interrupted_run_is_ended(tmp_path: Path) -> None:
    before = Supervisor(tmp_path)
    child = await before.start(python("p", "import time; time.sleep(1000)"))
    assert Supervisor(tmp_path).end_leftovers() == ["p"]
    await child.process.wait()
    assert Supervisor(tmp_path).end_leftovers() == []


async def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    before = Supervisor(tmp_path)
    child = await before.start(python("p", "import time; time.sleep(1000)"))
    note = tmp_path / "run" / "p.pid"
    note.write_text(note.read_text().replace('"created": ', '"created": 1'))
    assert Supervisor(tmp_path).end_leftovers() == []
    assert not note.exists()
    assert child.running
    await before.stop_all()


async def test_a_child_dies_with_a_killed_parent_also_where_the_kernel_does_not_help(tmp_path: Path) -> None:
    """The supervision that macOS needs, run here: guard and program end when the parent is killed."""
    note = tmp_path / "pid"
    program = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(1000)"
    guard = (
        f"import sys, embedded.child_guard as g; g.supervise([sys.executable, '-c', {program!r}], int(sys.argv[1]), 15)"
    )
    parent_code = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {guard!r}, str(os.getpid())]); time.sleep(1000)"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent_code, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while not note.exists() or not note.read_text():
        await asyncio.sleep(0.02)
    family = [psutil.Process(int(note.read_text())), *psutil.Process(parent.pid).children(recursive=True)]
    assert len(family) == 3
    parent.kill()
    await parent.wait()
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family):
        await asyncio.sleep(0.02)


async def test_supervision_passes_signals_on_and_answers_with_the_programs_code(tmp_path: Path) -> None:
    code = "import os, embedded.child_guard as g; g.supervise(['sh', '-c', 'exit 7'], os.getppid(), 15)"
    guard = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert await guard.wait() == 7
    mark = tmp_path / "mark"
    script = f"trap 'exit 9' TERM; touch {mark}; while :; do sleep 0.05; done"
    code = f"import os, embedded.child_guard as g; g.supervise(['sh', '-c', {script!r}], os.getppid(), 15)"
    guard = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while not mark.exists():
        await asyncio.sleep(0.02)
    guard.send_signal(signal.SIGTERM)
    assert await guard.wait() == 9


async def test_signals_cancel_the_task_that_asked_for_it() -> None:
    async def wait() -> None:
        with cancelled_by(signal.SIGUSR1):
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.sleep(1000)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(wait())


async def test_a_huge_log_is_put_aside(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    log = tmp_path / "logs" / "p.log"
    log.parent.mkdir()
    with log.open("wb") as output:
        output.truncate(LOG_BYTES_MAXIMUM + 1)
    child = await supervisor.start(python("p", "print('new')"))
    await child.process.wait()
    await supervisor.stop_all()
    assert log.read_text() == "new\n"
    assert log.with_suffix(".log.1").stat().st_size == LOG_BYTES_MAXIMUM + 1


def test_a_taken_port_is_not_chosen() -> None:
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert not port_is_free(taken)
        assert free_port(taken) != taken
    assert free_port(taken) == taken
    assert free_port(taken, frozenset({taken})) != taken


async def test_the_memory_of_the_whole_tree_counts(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    meter = MemoryMeter()
    before_mib = await meter.sample()

    async def ready() -> bool:
        return "up" in last_lines(tmp_path / "logs" / "p.log")

    code = "import time; kept = bytearray(b'x') * (200 * 1024 * 1024); print('up', flush=True); time.sleep(1000)"
    child = await supervisor.start(python("p", code), ready)
    meter.start()
    while meter.peak_mib < before_mib + 190:
        await asyncio.sleep(0.05)
    await meter.stop()
    assert tree_memory_mib(child.process.pid) > 190
    await supervisor.stop_all()
    peak = meter.peak_mib
    assert await meter.sample() < peak
    assert meter.peak_mib == peak


def test_a_process_that_is_gone_uses_no_memory() -> None:
    gone = psutil.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    assert tree_memory_mib(gone.pid) == 0
