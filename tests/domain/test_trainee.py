"""The whole table of a nomination: every command in every phase by everybody."""

import pytest

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import CLASS, IN_TRAINING, PERSON
from domain import trainee
from domain.decision import Decision, Refusal
from domain.trainee_messages import (
    COMMANDS,
    EVENTS,
    Approve,
)
from domain.trainee_state import case_of, fold
from tests.domain.nominations import ACTORS, COUNTY, EXAMPLES, HISTORIES, a_class, facts, nomination


def test_a_case_that_does_not_exist_takes_only_its_nomination() -> None:
    nomination().when(Approve(), COUNTY, on(8, 27), facts()).refused("unknown_number")


def test_every_command_is_a_line_of_the_lifecycle() -> None:
    assert {each.name for each in trainee.LIFECYCLE} == set(COMMANDS.names())


@pytest.mark.parametrize("phase", HISTORIES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_command_in_every_phase_by_everybody_is_decided_and_never_moves_a_foreign_case(
    name: str, phase: str
) -> None:
    state = fold(HISTORIES[phase])
    assert state is not None and state.phase == phase
    step = trainee.LIFECYCLE[type(EXAMPLES[name])]
    for actor in ACTORS:
        closed_list = a_class(check_in_confirmed_at=on(10, 10, 10), phase="running")
        given = nomination().given(*HISTORIES[phase])
        outcome = given.when(EXAMPLES[name], actor, on(12, 30), facts(training_class=closed_list)).outcome
        if isinstance(outcome, Decision):
            assert phase in step.phases and actor.role in step.roles and trainee.concerns(state, actor)
            assert fold((*given.events, *outcome.events)) is not None
        else:
            assert isinstance(outcome, Refusal)


def test_every_event_has_a_wire_type_and_reads_back() -> None:
    assert len(set(EVENTS.types())) == len(EVENTS.types()) == 42
    for history in HISTORIES.values():
        for event in history:
            assert EVENTS.parse(event.type, event.model_dump(mode="json")) == event


def test_the_case_shows_what_an_operator_filters_by() -> None:
    state = fold(IN_TRAINING)
    assert state is not None
    case = case_of(NUMBER, state)
    assert case.attributes == {
        "XunjiPhase": "in-training",
        "XunjiCampaign": "2022-zhengzhou",
        "XunjiProject": "gp5",
        "XunjiCounty": "410181",
        "XunjiHost": "h001",
        "XunjiClass": CLASS,
    }
    assert str(PERSON) not in str(case)
