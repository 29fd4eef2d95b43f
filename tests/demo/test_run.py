"""The demo from end to end, small: an undisturbed run, and one that goes through everything that can go wrong.

The second run is stopped by Ctrl-C, started again, and loses its Temporal server half-way. It must come to the same
figures and bulletins as the first, and nobody may be told anything twice.
"""

import signal
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.demo.plans import written
from tests.demo.runs import adds_up, finish, interrupt, left_behind, shows, start

TRAINEES = 45
STOPPED_IN, LOST_ON = "2022-09-22", "2022-10-13"
SAME = ("nominated", "phases", "restrictions", "bulletins_sha256", "classes", "refused", "drift")
PACED = ("seat.offered", "seat.offer_lapsed")
"""An offer holds for two days, a moment here: how many follow one another before it is too late for another depends on
how long the machine takes to make one. Each is a notice, too.
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def options(session_dir: Path) -> tuple[str, ...]:
    """What both runs are asked for."""
    return ("--plan", str(written(session_dir)), "--trainees", str(TRAINEES))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(session_dir: Path, options: tuple[str, ...]) -> dict[str, Any]:
    """A run that nobody disturbs."""
    figures, _ = await finish(session_dir / "undisturbed", *options)
    return figures


async def test_the_figures_add_up(undisturbed: dict[str, Any]) -> None:
    adds_up(undisturbed)
    assert undisturbed["nominated"] == TRAINEES
    assert undisturbed["restrictions"]["proposed"] > 0


async def test_it_shows_what_a_usual_year_is_said_to_show(undisturbed: dict[str, Any]) -> None:
    shows(undisturbed)


async def test_what_must_be_refused_was_refused(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["refused"]["quota_exhausted"] > 0
    assert undisturbed["refused"]["duplicate_nomination"] > 0
    assert undisturbed["refused"]["restricted_until"] > 0


async def test_an_interruption_and_a_lost_temporal_change_nothing(
    session_dir: Path, undisturbed: dict[str, Any], options: tuple[str, ...]
) -> None:
    state = session_dir / "disturbed"
    stopped = await start(state, *options)
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
