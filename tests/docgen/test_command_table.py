"""docs/commands-and-states.md: every command in every situation is decided, and every refusal says what to do."""

from itertools import product

import pytest

from docgen.command_table import COMMITTED, as_text
from docgen.lifecycles.all import LIFECYCLES
from docgen.lifecycles.exploring import Cell, Lifecycle, Situation, cells
from docgen.lifecycles.plan import CAMPAIGN, NUMBER
from docgen.lifecycles.trainee import EXAMPLES, TRAINEE
from domain import campaign, quota_messages, restriction_messages, trainee, trainee_messages, training_class
from domain.decision import Actor, CommandCatalogue, Context, Refusal

CATALOGUES: dict[str, CommandCatalogue] = {
    "trainee": trainee_messages.COMMANDS,
    "class": training_class.COMMANDS,
    "restriction": restriction_messages.COMMANDS,
    "quota": quota_messages.COMMANDS,
    "campaign": campaign.COMMANDS,
}
ALL = pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda each: each.kind)


def test_the_committed_table_is_the_one_of_this_code() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == as_text(), "run `python -m docgen.command_table`"


@ALL
def test_every_command_in_every_situation_is_allowed_or_refused_with_its_code(lifecycle: Lifecycle) -> None:
    decided = cells(lifecycle)
    assert len(decided) == len(lifecycle.situations) * len(lifecycle.commands)
    for cell in decided:
        assert cell.allowed or cell.codes, cell.command
        for refusal in cell.refusals:
            assert_says_what_to_do(refusal, cell)


def assert_says_what_to_do(refusal: Refusal, cell: Cell) -> None:
    for reason in refusal.reasons:
        words = (reason.zh, reason.en, reason.remedy_zh, reason.remedy_en)
        assert reason.code and all(words) and not any("{" in each for each in words), (cell.command, reason)
        assert reason.zh != reason.en and reason.remedy_zh != reason.remedy_en, (cell.command, reason)


@pytest.mark.parametrize("kind", CATALOGUES)
def test_no_command_is_missing(kind: str) -> None:
    (lifecycle,) = (each for each in LIFECYCLES if each.kind == kind)
    assert set(lifecycle.attempts) == set(CATALOGUES[kind].names())


@ALL
def test_situations_are_told_apart(lifecycle: Lifecycle) -> None:
    told = [(lifecycle.phase_in(each), each.label) for each in lifecycle.situations]
    assert len(set(told)) == len(told)


STRANGERS = (
    Actor(organisation="410182", role="county"),
    Actor(organisation="410182-s01", role="school"),
    Actor(organisation="h002", role="host"),
    Actor(organisation=f"{NUMBER}-r1", role="teacher"),
)


@pytest.mark.parametrize("situation", TRAINEE.situations, ids=lambda each: TRAINEE.phase_in(each) or "none")
def test_whose_case_it_is_not_is_refused_in_every_situation(situation: Situation) -> None:
    state = TRAINEE.fold(situation.events)
    for command, by in product(EXAMPLES, STRANGERS):
        outcome = trainee.decide(state, command, Context(NUMBER, by, situation.facts, situation.at))
        assert isinstance(outcome, Refusal), (command.name, by)
        assert outcome.code in ("not_your_part", "already_exists", "unknown_number"), (command.name, by)


def test_what_a_refusal_says_is_allowed_is_allowed_by_the_table() -> None:
    """`allowed_commands` is what a refusal and the API show: nothing that somebody can do is left out of it."""
    for cell in cells(TRAINEE):
        if cell.allowed and cell.phase and any(role != "system" for role, _ in cell.allowed):
            assert cell.command in trainee.allowed_commands(TRAINEE.fold(cell.situation.events))


def test_the_campaign_of_the_situations_is_the_one_of_the_notice() -> None:
    assert CAMPAIGN == "2022-zhengzhou"
