"""承训单位动态管理: a suspended host plans no class.

The rating comes with the hosts' bulletin (`domain.bulletin.rating_of`); a suspension is never automatic: a named person
decides it, with reasons. It is a claim on days, so that it holds at the instant in which a class is planned.
"""

from dataclasses import replace

from domain import calendar, training_class
from domain.decision import Clear, Command, Decision, Refusal
from domain.numbers import suspension_key


def decide(
    state: training_class.TrainingClass | None, command: Command, context: training_class.Context
) -> Decision | Refusal:
    """Decide on a class as `training_class` does; planning one claims that the host is not suspended today."""
    outcome = training_class.decide(state, command, context)
    if isinstance(command, training_class.PlanClass) and isinstance(outcome, Decision):
        today = calendar.local_date(context.now)
        clear = Clear(suspension_key(command.host), today)
        return replace(outcome, claims=(*outcome.claims, clear))
    return outcome
