"""How each kind of process is decided: its catalogues, its rules, and where its facts come from.

The table `PROCESSES` is the only place that knows all four. `activities/ledger.py` drives them without knowing any.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from domain import (
    campaign,
    quota,
    quota_messages,
    restriction,
    restriction_messages,
    trainee,
    trainee_context,
    trainee_messages,
    trainee_seat_messages,
    trainee_state,
    training_class,
)
from domain.bulletin import BulletinRow
from domain.campaign_amendments import HostCases, RemoveHost
from domain.decision import (
    Case,
    Command,
    CommandCatalogue,
    Context,
    Decision,
    Event,
    EventCatalogue,
    Refusal,
)
from domain.numbers import PEOPLE, stream_name
from domain.plan import Plan
from workflows.messages import ProcessKind

AMENDMENTS_MAX_AGE_S = 1.0
"""How old the campaign's own state may be where a removed host is looked up."""


class FactReader(Protocol):
    """What facts are read from: streams as they stand, and projections that have caught up with them."""

    async def plan(self, campaign: str) -> Plan: ...
    async def plan_by_sha256(self, sha256: str) -> Plan: ...
    async def stream_version(self, book: str, stream: str) -> int: ...
    async def training_class(self, campaign: str, number: str) -> training_class.TrainingClass | None: ...
    async def without_outcome(self, campaign: str, number: str) -> int: ...
    async def waiting_counties(self, campaign: str) -> tuple[str, ...]: ...
    async def open_cases(self, campaign: str) -> int: ...
    async def registered_institutions(self) -> frozenset[str]: ...
    async def bulletins(self, campaign: str) -> tuple[tuple[BulletinRow, ...], tuple[BulletinRow, ...]]: ...
    async def campaign(self, campaign: str, *, max_age_s: float = 0.0) -> campaign.Campaign | None: ...
    async def quota(self, campaign: str, line: str) -> tuple[quota.Quota | None, int]: ...
    async def parent_of(self, organisation: str) -> str: ...
    async def schools(self, campaign: str) -> tuple[str, ...]: ...
    async def host_cases(self, campaign: str, host: str) -> HostCases: ...


@dataclass(frozen=True, slots=True)
class Process:
    """One kind of process. Its state is the domain's own frozen class; None before the first event.

    `opening` are the commands that begin a stream. `reconsider` gives the facts that only a refusal needs to know, None
    when they would change nothing.
    """

    kind: ProcessKind
    opening: frozenset[str]
    events: EventCatalogue
    commands: CommandCatalogue
    fold: Callable[[Iterable[Event]], Any]
    evolve: Callable[[Any, Event], Any]
    decide: Callable[[Any, Any, Context[Any]], Decision | Refusal]
    case_of: Callable[[str, Any], Case]
    facts: Callable[[FactReader, str, str, Any, Command], Awaitable[Any]]
    reconsider: Callable[[FactReader, str, Any, Command, Any, Refusal], Awaitable[Any]] | None = None


async def _trainee_facts(
    read: FactReader, campaign_id: str, number: str, state: trainee_state.Trainee | None, command: Command
) -> trainee_context.Facts:
    plan = await read.plan(campaign_id)
    if isinstance(command, trainee_messages.Nominate):
        return trainee_context.Facts(plan, person_version=await _person_version(read, command.person.id))
    if isinstance(command, trainee_seat_messages.Substitute):
        return trainee_context.Facts(plan, person_version=await _person_version(read, command.person.id))
    if isinstance(command, trainee_messages.Approve) and command.host:
        # Hosts are hardly ever removed: what is known of the campaign may be a moment old.
        known = await read.campaign(campaign_id, max_age_s=AMENDMENTS_MAX_AGE_S)
        return trainee_context.Facts(plan, removed_hosts=known.removed_hosts if known else {})
    if isinstance(command, trainee_messages.Lapse | trainee_seat_messages.ReassignHost) and state is not None:
        return await _with_amendments(read, campaign_id, state.county, trainee_context.Facts(plan))
    if isinstance(command, trainee_messages.Enroll):
        return trainee_context.Facts(
            plan, training_class=await read.training_class(campaign_id, command.training_class)
        )
    if isinstance(command, trainee_messages.RecordNoShow) and state is not None and state.training_class:
        return trainee_context.Facts(plan, training_class=await read.training_class(campaign_id, state.training_class))
    return trainee_context.Facts(plan)


async def _reconsider_trainee(
    read: FactReader,
    campaign_id: str,
    state: trainee_state.Trainee | None,
    command: Command,
    facts: trainee_context.Facts,
    refusal: Refusal,
) -> trainee_context.Facts | None:
    """A cut-off that has passed may have been reopened for the county (edge case 44)."""
    if all(each.code != "deadline_passed" for each in refusal.reasons):
        return None
    if isinstance(command, trainee_messages.Nominate):
        return await _with_amendments(read, campaign_id, command.county, facts)
    return await _with_amendments(read, campaign_id, state.county, facts) if state is not None else None


async def _with_amendments(
    read: FactReader, campaign_id: str, county: str, facts: trainee_context.Facts
) -> trainee_context.Facts:
    known = await read.campaign(campaign_id)
    if known is None:
        return facts
    return replace(facts, reopened_until=known.reopened_until(county), removed_hosts=known.removed_hosts)


async def _quota_facts(
    read: FactReader, campaign_id: str, number: str, state: quota.Quota | None, command: Command
) -> quota.Facts:
    plan = await read.plan(campaign_id)
    lines = {line: await read.quota(campaign_id, line) for line in quota.lines_touched(state, command, plan)}
    parent = await read.parent_of(command.to) if isinstance(command, quota_messages.Delegate) else ""
    return quota.Facts(plan, lines, parent)


async def _person_version(read: FactReader, person: UUID) -> int:
    return await read.stream_version(PEOPLE, stream_name("person", str(person)))


async def _restriction_facts(
    read: FactReader, campaign_id: str, number: str, state: restriction.Restriction | None, command: Command
) -> restriction.Facts:
    plan = await read.plan(campaign_id)
    if isinstance(command, restriction_messages.Record):
        return restriction.Facts(plan, await _person_version(read, command.person))
    return restriction.Facts(plan)


async def _class_facts(
    read: FactReader,
    campaign_id: str,
    number: str,
    state: training_class.TrainingClass | None,
    command: Command,
) -> training_class.Facts:
    plan = await read.plan(campaign_id)
    if isinstance(command, training_class.Report):
        return training_class.Facts(plan, await read.without_outcome(campaign_id, number))
    return training_class.Facts(plan)


async def _campaign_facts(
    read: FactReader, campaign_id: str, number: str, state: campaign.Campaign | None, command: Command
) -> campaign.Facts:
    if isinstance(command, campaign.OpenCampaign):
        plan = await read.plan_by_sha256(command.plan_sha256)
        return campaign.Facts(plan, registered=await read.registered_institutions())
    plan = await read.plan(campaign_id)
    if isinstance(command, campaign.PassCampaignDeadline):
        county_rows, host_rows = await read.bulletins(campaign_id)
        schools = await read.schools(campaign_id)
        return campaign.Facts(
            plan,
            waiting_counties=await read.waiting_counties(campaign_id),
            open_cases=await read.open_cases(campaign_id),
            county_rows=county_rows,
            host_rows=host_rows,
            schools=schools,
        )
    if isinstance(command, RemoveHost):
        return campaign.Facts(plan, host_cases=await read.host_cases(campaign_id, command.host))
    return campaign.Facts(plan)


PROCESSES: Mapping[ProcessKind, Process] = {
    "trainee": Process(
        kind="trainee",
        opening=frozenset({"nominate"}),
        events=trainee_messages.EVENTS,
        commands=trainee_messages.COMMANDS,
        fold=trainee_state.fold,
        evolve=trainee_state.evolve,
        decide=trainee.decide,
        case_of=trainee_state.case_of,
        facts=_trainee_facts,
        reconsider=_reconsider_trainee,
    ),
    "class": Process(
        kind="class",
        opening=frozenset({"plan"}),
        events=training_class.EVENTS,
        commands=training_class.COMMANDS,
        fold=training_class.fold,
        evolve=training_class.evolve,
        decide=training_class.decide,
        case_of=training_class.case_of,
        facts=_class_facts,
    ),
    "campaign": Process(
        kind="campaign",
        opening=frozenset({"open"}),
        events=campaign.EVENTS,
        commands=campaign.COMMANDS,
        fold=campaign.fold,
        evolve=campaign.evolve,
        decide=campaign.decide,
        case_of=campaign.case_of,
        facts=_campaign_facts,
    ),
    "restriction": Process(
        kind="restriction",
        opening=frozenset({"record"}),
        events=restriction_messages.EVENTS,
        commands=restriction_messages.COMMANDS,
        fold=restriction.fold,
        evolve=restriction.evolve,
        decide=restriction.decide,
        case_of=restriction.case_of,
        facts=_restriction_facts,
    ),
    "quota": Process(
        kind="quota",
        opening=frozenset(),
        events=quota_messages.QUOTA_EVENTS,
        commands=quota_messages.COMMANDS,
        fold=quota.fold,
        evolve=quota.evolve,
        decide=quota.decide,
        case_of=quota.case_of,
        facts=_quota_facts,
    ),
}
