"""Given these events, when this command, then these events: the words in which the domain's tests are written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from domain.decision import Actor, Command, Context, Decision, Event, Refusal
from domain.plan import Plan
from domain.plan_loader import load_plan

PLAN_FILE = Path(__file__).parent.parent / "plans" / "2022-zhengzhou.yaml"


@cache
def the_plan() -> Plan:
    """The plan of the notice, as everybody else reads it."""
    return load_plan(PLAN_FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Specification:
    """One sentence of a test. `fold` and `decide` are the process's own."""

    number: str
    fold: Callable[[Iterable[Event]], Any]
    decide: Callable[[Any, Any, Context[Any]], Decision | Refusal]
    events: tuple[Event, ...] = ()
    outcome: Decision | Refusal | None = field(default=None, compare=False)

    def given(self, *events: Event) -> "Specification":
        """What has happened so far."""
        return Specification(self.number, self.fold, self.decide, (*self.events, *events))

    def when(self, command: Command, by: Actor, at: datetime, facts: Any) -> "Specification":
        """Somebody wants something, at a time, on some facts."""
        outcome = self.decide(self.fold(self.events), command, Context(self.number, by, facts, at))
        return Specification(self.number, self.fold, self.decide, self.events, outcome)

    def then(self, *types: type[Event]) -> Decision:
        """These events follow, in this order, and the state can take them in."""
        assert isinstance(self.outcome, Decision), self.outcome
        assert tuple(type(event) for event in self.outcome.events) == types
        self.fold((*self.events, *self.outcome.events))
        return self.outcome

    def refused(self, *codes: str) -> Refusal:
        """The command is refused for these reasons, each in both languages and with a remedy."""
        assert isinstance(self.outcome, Refusal), self.outcome
        assert tuple(reason.code for reason in self.outcome.reasons) == codes
        for reason in self.outcome.reasons:
            assert reason.zh and reason.en and reason.remedy_zh and reason.remedy_en
        return self.outcome


def specification(process: ModuleType, number: str, fold: Callable[[Iterable[Event]], Any]) -> Specification:
    """A specification of the process whose rules are in the module `process`."""
    return Specification(number, fold, process.decide)
