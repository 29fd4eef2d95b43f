"""The demo's own judgement: figures that do not add up are found, each by its name."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from demo.report import Line, Notices, Outcome, faults
from domain.plan_loader import load_plan
from ledger.verify import BookReport
from simulator.population import generate
from simulator.programme import Programme, compose

PLAN = Path(__file__).resolve().parents[2] / "plans" / "2022-zhengzhou.yaml"
BOOK = BookReport("2022-zhengzhou", 10, "00", True, None, None, "", 10)


@cache
def programme() -> Programme:
    plan = load_plan(PLAN.read_text(encoding="utf-8"))
    return compose(plan, generate(plan, 60, 2022))


def good() -> Outcome:
    """The outcome that the script has."""
    expected = programme().population.figures()
    kinds = [each.fate.kind for each in programme().population.nominations]
    phases = {
        "closed": expected.completed,
        "absent": kinds.count("no_show"),
        "dismissed": kinds.count("dismissed"),
        "not-completed": kinds.count("not_completed"),
        "excused": kinds.count("excused_absent"),
        "withdrawn": kinds.count("withdrawn") + kinds.count("declines"),
    }
    phases["rejected"] = expected.nominated - sum(phases.values())
    ever = {
        "proposed": expected.restrictions_imposed + expected.restrictions_dropped,
        "imposed": expected.restrictions_imposed,
        "dropped": expected.restrictions_dropped,
        "recorded": len(programme().population.earlier_restrictions),
    }
    figures = {"nominated": 60, "phases": phases, "restrictions_ever": ever, "classes": {"reported": 5}}
    return Outcome(figures, {"sha256": "ab"}, [], Notices(400, 400), Line(10, 20, 0, 0), [BOOK], [])


def changed(**figures: Any) -> Outcome:
    return replace(good(), figures={**good().figures, **figures})


def test_what_adds_up_has_no_fault() -> None:
    assert list(faults(good(), programme())) == []


def phases(**counts: int) -> dict[str, int]:
    return {**good().figures["phases"], **counts}


def ever(**counts: int) -> dict[str, int]:
    return {**good().figures["restrictions_ever"], **counts}


WRONG: dict[str, tuple[Callable[[], Outcome], str]] = {
    "a case is lost": (lambda: changed(phases=phases(rejected=0)), "phases sum up"),
    "a case too many": (lambda: changed(nominated=61), "were nominated"),
    "a restriction is missing": (lambda: changed(restrictions_ever=ever(proposed=0)), "restrictions were proposed"),
    "another decision": (lambda: changed(restrictions_ever=ever(imposed=9)), "restrictions imposed: 9"),
    "no earlier restriction": (lambda: changed(restrictions_ever=ever(recorded=0)), "earlier restrictions"),
    "somebody completed": (lambda: changed(phases=phases(closed=1)), "completed: 1"),
    "a letter lies about": (lambda: replace(good(), notices=Notices(400, 399)), "1 notices were not delivered"),
    "a letter came twice": (lambda: replace(good(), line=Line(10, 20, 1, 0)), "1 notices came twice"),
    "a forged webhook": (lambda: replace(good(), line=Line(10, 20, 0, 1)), "not signed"),
    "drift": (lambda: replace(good(), drift=["trainee/zz22-410181-00001: behind"]), "drift: trainee/"),
    "a class that was put off": (lambda: replace(good(), story={"classes_postponed": 1}), "classes postponed: 1"),
    "a seat that moved": (lambda: replace(good(), story={"seats_reallocated": 2}), "seats reallocated: 2"),
    "a changed book": (
        lambda: replace(good(), books=[replace(BOOK, verified=False, problem="changed", detail="event 3")]),
        "2022-zhengzhou is not as it was recorded: changed",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_add_up_is_named(name: str) -> None:
    make, words = WRONG[name]
    assert any(words in fault for fault in faults(make(), programme())), list(faults(make(), programme()))


def test_the_figures_have_the_form_that_a_script_reads() -> None:
    written = good().as_json()
    assert written["notices"] == {"sent": 400, "delivered": 400, "undelivered": 0}
    assert written["books"] == {"2022-zhengzhou": {"size": 10, "root": "00", "verified": True}}
    assert (written["drift"], written["bulletins_sha256"]) == (0, "ab")
