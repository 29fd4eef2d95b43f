"""A teacher's record, which is changed by acts of the bureau and not by a process's commands."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final
from uuid import UUID

from docgen.lifecycles.exploring import Attempt, Label, Lifecycle, Situation
from docgen.lifecycles.plan import on
from domain import person
from domain.decision import Decision, Refusal
from domain.person import (
    ErasureHeld,
    Person,
    PersonAbsorbed,
    PersonErased,
    PersonJoined,
    PersonRegistered,
    Ties,
    fold,
)

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)
BY: Final = "bureau:zzedu"
PHASES: Final = {
    "registered": Label("在册", "registered"),
    "erasure-held": Label("待删除", "to be erased"),
    "erased": Label("已删除", "erased"),
    "joined": Label("已并入他人档案", "joined into another record"),
}
COMMANDS: Final = {
    "correct": Label("更正", "correct"),
    "transfer": Label("调动", "transfer"),
    "absorb": Label("并入重复档案", "take in a double"),
    "join": Label("并入他人档案", "end in another record"),
    "erase": Label("删除", "erase"),
}
REGISTERED: Final = PersonRegistered(person=ONE, sealed="v1.first")
ANOTHER: Final = Person(TWO, "v1.second")
HELD: Final = (REGISTERED, ErasureHeld(by=BY, reason="asked for"))
BARRED, FREE, BUSY = Ties(0, 1), Ties(0, 0), Ties(1, 0)


def phase_of(state: Person) -> str:
    """What a record can still be used for."""
    if state.joined_into is not None:
        return "joined"
    return {"": "registered", "held": "erasure-held", "done": "erased"}[state.erasure]


def _by_bureau(act: Callable[[Person, Situation], Decision | Refusal]) -> tuple[Attempt, ...]:
    def decide(state: Any, situation: Situation) -> Decision | Refusal:
        return act(state, situation)

    return (Attempt("bureau", decide),)


def _correct(state: Person, _situation: Situation) -> Decision | Refusal:
    return person.correct(state, "v1.new", ("name",), by=BY, decided_by="b7", document="letter 1")


def _transfer(state: Person, _situation: Situation) -> Decision | Refusal:
    return person.transfer(state, "410182", date(2022, 9, 1), by=BY, document="letter 2")


def _absorb(state: Person, _situation: Situation) -> Decision | Refusal:
    return person.join(state, ANOTHER, by=BY, decided_by="b7", reasons="one teacher")


def _join(state: Person, _situation: Situation) -> Decision | Refusal:
    """The join as the double's own stream has it: the decision's part that is written there."""
    outcome = person.join(ANOTHER, state, by=BY, decided_by="b7", reasons="one teacher")
    return Decision(outcome.others[0].events) if isinstance(outcome, Decision) else outcome


def _erase(state: Person, situation: Situation) -> Decision | Refusal:
    return person.erase(state, situation.facts, by=BY, reason="asked for")


SITUATIONS: Final = (
    Situation((REGISTERED,), on(9, 1), FREE),
    Situation((REGISTERED,), on(9, 1), BARRED, Label("限制期内", "while he is barred")),
    Situation((REGISTERED,), on(9, 1), BUSY, Label("有未结提名", "with an open case")),
    Situation(
        (REGISTERED, PersonAbsorbed(other=THREE, by=BY, decided_by="b7", reasons="r")),
        on(9, 1),
        FREE,
        Label("已并入他档", "another record ended in it"),
    ),
    Situation(HELD, on(9, 2), BARRED, Label("限制期内", "while he is barred")),
    Situation(HELD, on(9, 2), FREE, Label("限制期满", "the restriction has ended")),
    Situation((REGISTERED, PersonErased(by=BY, reason="asked for")), on(9, 2), FREE),
    Situation((REGISTERED, PersonJoined(into=TWO, by=BY, decided_by="b7", reasons="r")), on(9, 2), FREE),
)
PERSON: Final = Lifecycle(
    kind="person",
    title=Label("教师档案", "A teacher's record"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts={
        "correct": _by_bureau(_correct),
        "transfer": _by_bureau(_transfer),
        "absorb": _by_bureau(_absorb),
        "join": _by_bureau(_join),
        "erase": _by_bureau(_erase),
    },
    situations=SITUATIONS,
    ended=frozenset({"erased", "joined"}),
    begins_in="registered",
)
