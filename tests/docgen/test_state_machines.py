"""docs/state-machines.md is what the code does, and every line of a lifecycle's table is drawn."""

import pytest

from docgen.lifecycles.all import LIFECYCLES
from docgen.lifecycles.exploring import Lifecycle, Transition, cells, transitions
from docgen.state_machines import COMMITTED, as_text, diagram, drawn
from domain import campaign, quota, restriction, trainee, training_class
from domain.decision import Command, Step

TABLES: dict[str, dict[type[Command], Step]] = {
    "trainee": trainee.LIFECYCLE,
    "class": training_class.LIFECYCLE,
    "restriction": restriction.PROCEDURE,
    "quota": quota.QUOTA_STEPS,
    "campaign": campaign.CAMPAIGN_STEPS,
}
ALL = pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda each: each.kind)


def test_the_committed_drawings_are_those_of_this_code() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == as_text() + "\n", "run `python -m docgen.state_machines`"


@ALL
def test_every_step_between_two_phases_is_drawn_once_with_its_words(lifecycle: Lifecycle) -> None:
    steps = [each for _, of_view in drawn(lifecycle) for each in of_view]
    assert sorted(map(str, steps)) == sorted(str(each) for each in transitions(lifecycle) if each.before != each.after)
    text = as_text((lifecycle,))
    for each in transitions(lifecycle):
        label = lifecycle.commands[each.command]
        assert label.zh in text and (each.command in text or label.en in text)


@ALL
def test_every_phase_and_every_command_has_a_name_in_both_languages(lifecycle: Lifecycle) -> None:
    assert {cell.phase for cell in cells(lifecycle)} - {""} == set(lifecycle.phases)
    assert set(lifecycle.attempts) == set(lifecycle.commands)
    for label in (*lifecycle.phases.values(), *lifecycle.commands.values(), lifecycle.title):
        assert label.zh and label.en and not label.zh.isascii() and label.en.isascii()


@pytest.mark.parametrize("kind", TABLES)
def test_every_line_of_the_table_happens_in_every_phase_that_it_names(kind: str) -> None:
    """What a table allows and no situation reaches would be a promise that nobody has tried."""
    (lifecycle,) = (each for each in LIFECYCLES if each.kind == kind)
    happens = {(cell.command, cell.phase) for cell in cells(lifecycle) if cell.allowed}
    promised = {(command.name, phase) for command, step in TABLES[kind].items() for phase in step.phases}
    assert promised - happens == set()
    assert {each for each in happens if each[1]} - promised == set()


def test_arrows_between_the_same_two_phases_are_one() -> None:
    (lifecycle,) = (each for each in LIFECYCLES if each.kind == "restriction")
    steps = (Transition("object", "served", "objected"), Transition("object-by-link", "served", "objected"))
    text = diagram(lifecycle, steps)
    assert text.count("-->") == 1 and "提出异议 object<br/>本人提出异议" in text


def test_what_ends_a_process_leads_out_of_the_drawing() -> None:
    (lifecycle,) = (each for each in LIFECYCLES if each.kind == "person")
    text = diagram(lifecycle, transitions(lifecycle))
    assert "[*] --> registered" in text and "erased --> [*]" in text and "registered --> [*]" not in text
