"""What becomes of every command in every situation: found by deciding it, never by reading the tables.

A lifecycle names situations (what has happened, when it is looked at, on which facts) and attempts (a command as the
organisation sends it whose step it is). Their full product is decided; the drawn state machines and the table of
commands and states are two ways to show the result.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import product
from typing import Any, Final

from domain.decision import Actor, Command, Context, Decision, Event, Refusal, Role, Step

NOT_YET: Final = ""
"""The phase before the first event."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Situation:
    """A state as its events leave it, looked at a moment later. `label` says what sets it apart within its phase."""

    events: tuple[Event, ...]
    at: datetime
    facts: Any
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command by somebody whose step it may be, with what makes it differ from other attempts of the same name."""

    by: Role
    decide: Callable[[Any, Situation], Decision | Refusal]


@dataclass(frozen=True, slots=True)
class View:
    """A part of a state machine that is drawn by itself: the steps of these commands, from these phases. None: all."""

    title: Label
    commands: frozenset[str] | None = None
    phases: frozenset[str] | None = None

    def holds(self, transition: "Transition") -> bool:
        """Whether the step is drawn here. A step belongs to the first view that holds it."""
        of_command = self.commands is None or transition.command in self.commands
        return of_command and (self.phases is None or transition.before in self.phases)


@dataclass(frozen=True, slots=True, eq=False)
class Lifecycle:
    """A kind of process. `phases` and `commands` are in the order in which they are shown.

    `begins_in` is the phase in which another process's append begins it. `views` are drawn one after the other.
    """

    kind: str
    title: Label
    fold: Callable[[Iterable[Event]], Any]
    phase_of: Callable[[Any], str]
    phases: Mapping[str, Label]
    commands: Mapping[str, Label]
    attempts: Mapping[str, tuple[Attempt, ...]]
    situations: tuple[Situation, ...]
    ended: frozenset[str]
    begins_in: str = ""
    views: tuple[View, ...] = (View(Label("全部步骤", "Every step")),)

    def phase_in(self, situation: Situation) -> str:
        """The phase of the situation, empty before the first event."""
        state = self.fold(situation.events)
        return NOT_YET if state is None else self.phase_of(state)


@dataclass(frozen=True, slots=True)
class Cell:
    """What becomes of a command in a situation. `allowed` has the phases that follow, by who may send it."""

    situation: Situation
    phase: str
    command: str
    allowed: tuple[tuple[Role, str], ...]
    refusals: tuple[Refusal, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """Why it is refused. That a step is another's is said only where nothing else stands against it."""
        codes = dict.fromkeys(reason.code for refusal in self.refusals for reason in refusal.reasons)
        others = tuple(code for code in codes if code != "not_your_part")
        return others or tuple(codes)


@dataclass(frozen=True, slots=True)
class Transition:
    """An arrow of a drawn state machine."""

    command: str
    before: str
    after: str


def phase_of(state: Any) -> str:
    """The phase of a state that has one of its own."""
    return str(state.phase)


def attempts_of(
    steps: Mapping[type[Command], Step],
    examples: Iterable[Command],
    actors: Mapping[Role, Actor],
    number: str,
    decide: Callable[[Any, Any, Any], Decision | Refusal],
) -> dict[str, tuple[Attempt, ...]]:
    """Each example by each role whose step it is; several examples of one command are several attempts."""

    def attempt(command: Command, role: Role) -> Attempt:
        def run(state: Any, situation: Situation) -> Decision | Refusal:
            return decide(state, command, Context(number, actors[role], situation.facts, situation.at))

        return Attempt(role, run)

    found: dict[str, tuple[Attempt, ...]] = {}
    for command in examples:
        roles = steps[type(command)].roles
        found[command.name] = (*found.get(command.name, ()), *(attempt(command, role) for role in roles))
    return found


@cache
def cells(lifecycle: Lifecycle) -> tuple[Cell, ...]:
    """The full product of situations and commands, each decided."""
    return tuple(
        _decided(lifecycle, situation, name, attempts)
        for situation, (name, attempts) in product(lifecycle.situations, lifecycle.attempts.items())
    )


def _decided(lifecycle: Lifecycle, situation: Situation, name: str, attempts: tuple[Attempt, ...]) -> Cell:
    state = lifecycle.fold(situation.events)
    allowed: dict[tuple[Role, str], None] = {}
    refusals: list[Refusal] = []
    for attempt in attempts:
        outcome = attempt.decide(state, situation)
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
            continue
        after = lifecycle.fold((*situation.events, *outcome.events))
        allowed[attempt.by, lifecycle.phase_of(after)] = None
    return Cell(situation, lifecycle.phase_in(situation), name, tuple(allowed), tuple(refusals))


def transitions(lifecycle: Lifecycle) -> tuple[Transition, ...]:
    """Every step from one phase to another or back into itself, in the order of phases and commands."""
    found = {
        Transition(cell.command, cell.phase, after): None for cell in cells(lifecycle) for _, after in cell.allowed
    }
    phases, commands = [NOT_YET, *lifecycle.phases], list(lifecycle.commands)
    return tuple(
        sorted(
            found,
            key=lambda each: (phases.index(each.before), phases.index(each.after), commands.index(each.command)),
        )
    )
