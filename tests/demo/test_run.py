"""The demo from end to end: 60 nominations through the whole campaign, and through everything that can go wrong.

The second run is stopped by Ctrl-C, started again, and loses its Temporal server half-way. It must come to the same
figures and bulletins as the first, and nobody may be told anything twice.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Any

import psutil
import pytest_asyncio

ROOT = Path(__file__).resolve().parents[2]
TRAINEES, SPEED = 60, 12
STOPPED_IN, LOST_ON = "2022-10-06", "2022-10-26"
SAME = ("nominated", "phases", "restrictions", "bulletins_sha256", "classes", "refused", "drift")
PACED = ("seat.offered", "seat.offer_lapsed")
"""An offer holds for two days, a sixth of a second here: how many follow one another before it is too late for another
depends on how long the machine takes to make one. Each is a notice, too.
"""


def same(figures: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the pace: figures, notices, and the events of each book. Interim bulletins are left out,
    because those of days on which the system was down are.
    """
    paced = sum(figures["event_types"].get(each, 0) for each in PACED)
    counted = {name: book["size"] for name, book in figures["books"].items()}
    counted["2022-zhengzhou"] -= figures["interim_bulletins"] + paced
    notices = {name: count - (paced if name != "undelivered" else 0) for name, count in figures["notices"].items()}
    return {**{name: figures[name] for name in SAME}, "books": counted, "notices": notices}


async def start(state: Path, *options: str) -> Process:
    """A demo on `state`; its output is read by whoever started it."""
    argv = (
        sys.executable,
        str(ROOT / "cli.py"),
        "demo",
        "--state",
        str(state),
        "--speed",
        str(SPEED),
        "--exit",
        *options,
    )
    return await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=STDOUT, cwd=ROOT)


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
    return [" ".join(each.info["cmdline"]) for each in processes() if str(state) in " ".join(each.info["cmdline"])]


def processes() -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(session_dir: Path) -> dict[str, Any]:
    """A run that nobody disturbs."""
    figures, _ = await finish(session_dir / "undisturbed", "--trainees", str(TRAINEES))
    return figures


async def test_the_figures_add_up(undisturbed: dict[str, Any]) -> None:
    figures = undisturbed
    assert figures["nominated"] == TRAINEES == sum(figures["phases"].values())
    barring = sum(figures["phases"].get(phase, 0) for phase in ("absent", "dismissed", "not-completed"))
    restrictions = figures["restrictions"]
    assert restrictions["proposed"] == restrictions["imposed"] + restrictions["dropped"] == barring > 0
    assert figures["notices"]["sent"] == figures["notices"]["delivered"] > TRAINEES
    assert figures["notices"]["undelivered"] == figures["drift"] == 0
    assert all(book["verified"] for book in figures["books"].values())
    assert {"2022-zhengzhou", "people", "restrictions", "institutions"} == set(figures["books"])


async def test_what_must_be_refused_was_refused(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["refused"]["quota_exhausted"] > 0
    assert undisturbed["refused"]["duplicate_nomination"] > 0
    assert undisturbed["refused"]["restricted_until"] > 0


async def test_webhooks_and_mails_arrived_once_and_signed(undisturbed: dict[str, Any]) -> None:
    received = undisturbed["received"]
    assert received["webhooks"] > 0
    assert received["mails"] > 0
    assert received["repeated"] == received["unsigned"] == 0


async def test_an_interruption_and_a_lost_temporal_change_nothing(
    session_dir: Path, undisturbed: dict[str, Any]
) -> None:
    state = session_dir / "disturbed"
    stopped = await start(state, "--trainees", str(TRAINEES))
    output = await interrupt(stopped, STOPPED_IN)
    assert stopped.returncode == 128 + signal.SIGINT, output
    assert "The next start goes on from here." in output
    assert left_behind(state) == []

    figures, output = await finish(state, "--lose-temporal-at", LOST_ON)
    assert same(figures) == same(undisturbed)
    assert figures["received"]["repeated"] == 0
    assert figures["recovered"]["on"] == LOST_ON
    assert min(figures["recovered"]["running"][kind] for kind in ("campaign", "class", "trainee")) > 0
    assert left_behind(state) == []

    again, output = await finish(state)
    assert "this is what it came to" in output
    assert same(again) == same(undisturbed)
