"""A nomination's account, from its stream and the plan of its rule version; for `xunji explain` and the API."""

from collections.abc import Sequence

from domain.explanation import Explanation, explain
from domain.trainee_messages import EVENTS, TraineeNominated
from ledger.types import RecordedEvent
from projections.plans import PlanStore


async def explanation_of(plans: PlanStore, number: str, events: Sequence[RecordedEvent]) -> Explanation:
    """The account of the nomination whose events these are. Raises UnknownPlan."""
    nominated = EVENTS.read(events[0])
    assert isinstance(nominated, TraineeNominated), "a nomination's stream begins with it"
    grounds = nominated.grounds
    plan = await (plans.by_sha256(grounds.rule_version) if grounds else plans.by_campaign(nominated.campaign))
    later = ((each.type, each.recorded_at, each.data) for each in events[1:])
    return explain(number, nominated, plan, later)
