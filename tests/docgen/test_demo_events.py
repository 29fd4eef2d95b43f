"""docs/demo-events.md has every event once. That runs record what it says: tests/demo."""

from pathlib import Path

from docgen.demo_events import COMMITTED, as_text, types
from simulator.shown import IN_AN_EVENTFUL_YEAR, NOWHERE, nowhere

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_list_is_the_one_of_this_code() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == as_text(), "run `python -m docgen.demo_events`"


def test_every_event_is_shown_or_has_a_reason() -> None:
    assert not IN_AN_EVENTFUL_YEAR & nowhere()
    assert sum(len(of_it) for _, of_it in NOWHERE.values()) == len(nowhere()), "one reason is enough"
    assert IN_AN_EVENTFUL_YEAR | nowhere() <= set(types()), "an event that does not exist"


def test_every_reason_names_a_test_that_exists() -> None:
    for why, _ in NOWHERE.values():
        named = [word.rstrip(",;.") for word in why.split() if word.startswith("tests/")]
        assert named and all((ROOT / f"{each.removesuffix('.py')}.py").exists() for each in named), why
