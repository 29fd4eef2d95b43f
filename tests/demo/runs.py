"""Runs of the demo as somebody starts it from a shell, and what all of them must come to."""

import json
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process, create_subprocess_exec
from pathlib import Path
from typing import Any

import psutil

from docgen.demo_events import usual
from embedded.child_processes import free_port
from simulator.shown import nowhere

ROOT = Path(__file__).resolve().parents[2]
SPEED = 40
"""Campaign days per second while nobody has anything to do."""

PORTS: dict[Path, int] = {}
"""Where the API of each state directory listens, at every start."""


async def start(state: Path, *options: str) -> Process:
    """A demo on `state` that ends by itself; its output is read by whoever started it."""
    return await launch(state, "--exit", *options)


async def launch(state: Path, *options: str) -> Process:
    """A demo on `state`, at an address of its own: several that begin together must not take each other's."""
    argv = (sys.executable, str(ROOT / "cli.py"), "demo", "--state", str(state), "--speed", str(SPEED))
    own = ("--port", str(PORTS.setdefault(state, free_port())))
    return await create_subprocess_exec(*argv, *own, *options, stdout=PIPE, stderr=STDOUT, cwd=ROOT)


async def finish(state: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Run a demo to its end, which must be a good one: its figures and its output."""
    figures = state / "figures.json"
    process = await start(state, "--json", str(figures), *options)
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return json.loads(figures.read_text(encoding="utf-8")), output


async def interrupt(process: Process, at: str) -> str:
    """Press Ctrl-C as soon as the demo has come to the day; what it wrote."""
    assert process.stdout is not None
    written = ""
    while line := (await process.stdout.readline()).decode():
        written += line
        # A line begins with its day; a busy machine may skip one.
        if line.startswith("2022-") and line[: len(at)] >= at:
            process.send_signal(signal.SIGINT)
            break
    return written + (await process.communicate())[0].decode()


def left_behind(state: Path) -> list[str]:
    """The processes that still have to do with a state directory."""
    running = [each.info["cmdline"] for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"]]
    return [" ".join(words) for words in running if str(state) in " ".join(words)]


def adds_up(figures: dict[str, Any]) -> None:
    """Sums, drift, notices and books; `finish` has seen the exit code, which stands for the rest."""
    assert figures["nominated"] == sum(figures["phases"].values()) > 0
    barring = sum(figures["phases"].get(phase, 0) for phase in ("absent", "dismissed", "not-completed"))
    ever = figures["restrictions"]
    assert ever["proposed"] == ever["imposed"] + ever["dropped"] == barring
    assert figures["notices"]["sent"] == figures["notices"]["delivered"] > figures["nominated"]
    assert figures["drift"] == figures["notices"]["undelivered"] == 0
    received = figures["received"]
    assert received["webhooks"] > 0 and received["mails"] > 0
    assert received["repeated"] == received["unsigned"] == 0, "each arrived once, and signed"
    barred = {"restrictions"} if ever["proposed"] or ever["recorded"] else set()
    assert set(figures["books"]) == {"2022-zhengzhou", "people", "institutions"} | barred
    assert all(book["verified"] for book in figures["books"].values())
    assert len(figures["bulletins_sha256"]) == 64


def shows(figures: dict[str, Any], *more: frozenset[str], but: frozenset[str] = frozenset()) -> None:
    """The run has recorded what docs/demo-events.md says of it."""
    recorded = set(figures["event_types"])
    expected = usual().union(*more) - but
    assert expected - recorded == set(), "said to be shown, and is not"
    assert recorded & nowhere() == set(), "shown, and said to be shown nowhere"
