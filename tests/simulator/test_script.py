"""How far each fate goes, and that each step needs the one before."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.script import (
    WITHDRAWAL_PHASES,
    Fate,
    FateKind,
    Objection,
    Wish,
    WithdrawalPhase,
    draw_excess_wish,
    draw_seated_wish,
)

STEPS = ("takes_seat", "selected", "enrolled", "confirmed", "registered")


def steps(fate: Fate) -> list[str]:
    return [step for step in STEPS if getattr(fate, step)]


@pytest.mark.parametrize(
    ("kind", "reached"),
    [
        ("county_rejects", 0),
        ("county_ignores", 0),
        ("over_quota", 0),
        ("city_rejects", 1),
        ("declines", 3),
        ("excused_absent", 4),
        ("no_show", 4),
        ("dismissed", 5),
        ("not_completed", 5),
        ("completed", 5),
    ],
)
def test_how_far_a_fate_goes(kind: FateKind, reached: int) -> None:
    assert steps(Fate(kind)) == list(STEPS[:reached])


@pytest.mark.parametrize(("phase", "reached"), list(zip(WITHDRAWAL_PHASES, range(5), strict=True)))
def test_a_withdrawal_ends_in_its_phase(phase: WithdrawalPhase, reached: int) -> None:
    assert steps(Fate("withdrawn", withdrawn_at=phase)) == list(STEPS[:reached])


@pytest.mark.parametrize(
    ("kind", "objection", "restriction"),
    [
        ("no_show", "none", "imposed"),
        ("dismissed", "rejected", "imposed"),
        ("not_completed", "upheld", "dropped"),
        ("excused_absent", "none", "none"),
        ("completed", "none", "none"),
        ("declines", "none", "none"),
    ],
)
def test_three_fates_lead_to_a_restriction(kind: FateKind, objection: Objection, restriction: str) -> None:
    assert Fate(kind, objection=objection).restriction == restriction


@given(st.integers())
@settings(deadline=None)
def test_on_a_full_line_the_county_approves_whoever_has_a_seat(seed: int) -> None:
    rng = Random(seed)
    assert not draw_seated_wish(rng, line_is_full=True).spares_the_seat
    assert draw_excess_wish(rng).spares_the_seat


def test_only_some_wishes_spare_the_seat() -> None:
    assert Wish("county_ignores").spares_the_seat
    assert not Wish("completed").spares_the_seat
