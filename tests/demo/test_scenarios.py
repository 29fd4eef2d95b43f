"""Each named story from end to end, small: what it is named for has happened, and its figures add up."""

from pathlib import Path
from typing import Any

import pytest

from tests.demo.test_run import finish, left_behind

STORIES = {
    "quiet-year": lambda figures: figures["restrictions"]["proposed"] == 0,
    "epidemic-autumn": lambda figures: (
        min(figures["scenario"][each] for each in ("classes_postponed", "classes_online")) > 0
    ),
    "underfilled-county": lambda figures: (
        figures["scenario"]["shortfall_reported"] == figures["scenario"]["seats_reallocated"] > 0
    ),
    "reversed-restriction": lambda figures: (
        figures["scenario"]["restrictions_reversed"] == figures["scenario"]["selected_after_the_selection"] == 1
    ),
}


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_ends_with_its_figures_adding_up_and_shows_what_it_is_named_for(
    session_dir: Path, name: str
) -> None:
    state = session_dir / name
    figures, output = await finish(state, "--scenario", name)
    adds_up(figures)
    assert figures["scenario"]["name"] == name
    assert STORIES[name](figures), figures["scenario"]
    assert "DOES NOT ADD UP" not in output
    assert left_behind(state) == []


def adds_up(figures: dict[str, Any]) -> None:
    """Sums, drift, notices and books; `finish` has seen the exit code, which stands for the rest."""
    assert figures["nominated"] == sum(figures["phases"].values()) >= 60
    assert figures["drift"] == figures["notices"]["undelivered"] == figures["received"]["repeated"] == 0
    assert figures["notices"]["sent"] == figures["notices"]["delivered"] > 0
    assert all(book["verified"] for book in figures["books"].values())
    assert len(figures["bulletins_sha256"]) == 64
    ever = figures["restrictions"]
    assert ever["proposed"] == ever["imposed"] + ever["dropped"]
