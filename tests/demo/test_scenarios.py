"""Named stories from end to end: what each is named for has happened, and its figures add up.

The eventful year is the epidemic autumn, the under-filled county and the reversed restriction in one, with everything
else that happens seldom. It is played under the notice's own plan, with all its organisations.
"""

from pathlib import Path

from simulator.shown import IN_AN_EVENTFUL_YEAR
from tests.demo.plans import written
from tests.demo.runs import adds_up, finish, left_behind, shows


async def test_an_eventful_year_shows_nearly_everything_that_there_is(session_dir: Path) -> None:
    state = session_dir / "eventful-year"
    figures, output = await finish(state, "--scenario", "eventful-year")
    adds_up(figures)
    story = figures["scenario"]
    assert story["name"] == "eventful-year"
    assert min(story["classes_postponed"], story["classes_online"]) > 0, "as in an epidemic autumn"
    assert story["shortfall_reported"] == story["seats_reallocated"] > 0, "as where a county cannot fill its seats"
    assert story["restrictions_reversed"] == story["selected_after_the_selection"] == 1, "as after a restriction"
    assert figures["nominated"] >= 60 and figures["restrictions"]["proposed"] > 0
    shows(figures, IN_AN_EVENTFUL_YEAR)
    assert "DOES NOT ADD UP" not in output
    assert left_behind(state) == []


async def test_in_a_quiet_year_nobody_is_restricted(session_dir: Path) -> None:
    state = session_dir / "quiet-year"
    figures, _ = await finish(
        state, "--scenario", "quiet-year", "--plan", str(written(session_dir)), "--trainees", "20"
    )
    adds_up(figures)
    assert figures["scenario"]["name"] == "quiet-year"
    assert figures["restrictions"]["proposed"] == 0
    assert left_behind(state) == []
