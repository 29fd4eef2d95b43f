"""How each kind of process is decided: its catalogues, its rules, and where its facts come from.

The table `PROCESSES` is the only place that knows all four. `activities/ledger.py` drives them without knowing any.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol
from uuid import UUID

from activities.class_facts import class_facts, trainee_class_facts
from domain import (
    campaign,
    host_standing,
    quota,
    quota_messages,
    restriction,
    restriction_messages,
    restriction_state,
    trainee,
    trainee_context,
    trainee_correction_messages,
    trainee_messages,
    trainee_outcome_messages,
    trainee_review_messages,
    trainee_seat_messages,
    trainee_state,
    training_class,
)
from domain.bulletin import BulletinRow
from domain.campaign_amendments import HostCases, RemoveHost, asks_for_cases
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
from domain.history import History
from domain.numbers import PEOPLE, days_number, stream_name
from domain.plan import Plan
from workflows.messages import ProcessKind

AMENDMENTS_MAX_AGE_S = 1.0
"""How old the campaign's own state may be where a removed host is looked up."""


class FactReader(Protocol):
    """What facts are read from: streams as they stand, and projections that have caught up with them."""

    async def plan(self, campaign: str) -> Plan: ...
    async def plan_by_sha256(self, sha256: str) -> Plan: ...
    async def history(self, campaign: str, number: str, person: UUID) -> tuple[History, tuple[UUID, ...]]: ...
    async def given_fields(self, campaign: str, number: str) -> str: ...
    async def stream_version(self, book: str, stream: str) -> int: ...
    async def training_class(self, campaign: str, number: str) -> training_class.TrainingClass | None: ...
    async def without_outcome(self, campaign: str, number: str) -> int: ...
    async def class_schools(self, campaign: str, number: str) -> tuple[str, ...]: ...
    async def class_members(self, campaign: str, number: str) -> frozenset[str]: ...
    async def class_count(self, campaign: str, number: str, phase: str) -> int: ...
    async def left_behind(self, campaign: str, number: str, revision: int, numbers: Sequence[str] | None) -> int: ...
    async def places_taken(self, number: str) -> int: ...
    async def overlaps(self, person: UUID, number: str, starts: date, ends: date) -> tuple[str, ...]: ...
    async def attendance(self, campaign: str, training_class: str, trainee: str) -> dict[tuple[date, str], int]: ...
    async def waiting_counties(self, campaign: str) -> tuple[str, ...]: ...
    async def open_cases(self, campaign: str) -> int: ...
    async def registered_institutions(self) -> frozenset[str]: ...
    async def restriction(self, number: str) -> tuple[restriction_state.Restriction | None, int]: ...
    async def barred_until(self, person: UUID, aside_from: str) -> date | None: ...
    async def in_flight(self, person: UUID, *, frozen: bool) -> tuple[restriction_state.InFlight, ...]: ...
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

    async def decided(
        self, read: FactReader, campaign_id: str, state: Any, command: Command, context: Context[Any]
    ) -> tuple[Decision | Refusal, Any]:
        """What is decided, and the facts that it rests on."""
        outcome = self.decide(state, command, context)
        if isinstance(outcome, Refusal) and self.reconsider is not None:
            # Some refusals rest on what only they need to look up; the main road is spared the reading.
            amended = await self.reconsider(read, campaign_id, state, command, context.facts, outcome)
            if amended is not None:
                return self.decide(state, command, replace(context, facts=amended)), amended
        return outcome, context.facts


async def _trainee_facts(
    read: FactReader, campaign_id: str, number: str, state: trainee_state.Trainee | None, command: Command
) -> trainee_context.Facts:
    plan = await read.plan(campaign_id)
    if isinstance(command, trainee_messages.Nominate):
        history, records = await read.history(campaign_id, number, command.person.id)
        version = await _person_version(read, command.person.id)
        known = trainee_context.Facts(plan, person_version=version, history=history, records=records)
        if command.waiver:
            cited = await _cited(read, plan, command.waiver, command.person.id)
            return replace(cited, person_version=version, history=history, records=records)
        return known
    if isinstance(command, trainee_seat_messages.Substitute):
        history, records = await read.history(campaign_id, command.number, command.person.id)
        version = await _person_version(read, command.person.id)
        return trainee_context.Facts(plan, person_version=version, history=history, records=records)
    if isinstance(command, trainee_messages.Approve) and command.host:
        # Hosts are hardly ever removed: what is known of the campaign may be a moment old.
        amended = await read.campaign(campaign_id, max_age_s=AMENDMENTS_MAX_AGE_S)
        return trainee_context.Facts(plan, removed_hosts=amended.removed_hosts if amended else {})
    if isinstance(command, trainee_messages.Lapse | trainee_seat_messages.ReassignHost) and state is not None:
        return await _facts_of_what_is_owed(read, plan, state, command)
    if isinstance(command, trainee_review_messages.ReviewIdentity) and state is not None:
        given = await read.given_fields(campaign_id, number)
        return trainee_context.Facts(plan, person_version=await _person_version(read, state.person), given=given)
    if isinstance(command, trainee_correction_messages.Resume) and state is not None:
        _, records = await read.history(campaign_id, number, state.person)
        return replace(await _cited(read, plan, command.waiver, state.person), records=records)
    about_classes = await trainee_class_facts(read, plan, number, state, command)
    if isinstance(command, trainee_correction_messages.Correct) and state is not None:
        restriction_, version = await read.restriction(state.restriction) if state.restriction else (None, 0)
        return replace(
            about_classes or trainee_context.Facts(plan),
            days_version=await _days_version(read, plan, state),
            restriction=restriction_,
            restriction_version=version,
        )
    if isinstance(command, trainee_outcome_messages.Complete) and state is not None:
        return replace(
            about_classes or trainee_context.Facts(plan), days_version=await _days_version(read, plan, state)
        )
    if about_classes is not None:
        return about_classes
    if isinstance(command, trainee_messages.RecordNoShow) and state is not None and state.training_class:
        return trainee_context.Facts(plan, training_class=await read.training_class(campaign_id, state.training_class))
    return trainee_context.Facts(plan)


async def _facts_of_what_is_owed(
    read: FactReader, plan: Plan, state: trainee_state.Trainee, command: Command
) -> trainee_context.Facts:
    """What a campaign or a class has sent: as it has been changed, and whether the list of his class is confirmed."""
    known = await _with_amendments(read, plan.id, state.county, trainee_context.Facts(plan))
    if isinstance(command, trainee_messages.Lapse) and state.training_class:
        return replace(known, training_class=await read.training_class(plan.id, state.training_class))
    return known


async def _cited(read: FactReader, plan: Plan, number: str, person: UUID) -> trainee_context.Facts:
    """The restriction whose waiver is cited, and whether another one bars the person as well."""
    cited, version = await read.restriction(number)
    barred = await read.barred_until(cited.person if cited is not None else person, number)
    return trainee_context.Facts(plan, restriction=cited, restriction_version=version, barred_otherwise=barred)


async def _days_version(read: FactReader, plan: Plan, state: trainee_state.Trainee) -> int:
    """The version of the person's training days in the cycle that the case counts in."""
    if state.starts is None:
        return 0
    cycle = state.credit.cycle if state.credit is not None else plan.cycle_of(state.starts)
    return await read.stream_version(PEOPLE, stream_name("training-days", days_number(state.person, cycle)))


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
    if isinstance(command, restriction_messages.Impose) and state is not None:
        barred = await read.barred_until(state.person, number)
        in_flight = await read.in_flight(state.person, frozen=False)
        return restriction.Facts(plan, barred_until=barred, in_flight=in_flight)
    if isinstance(command, restriction_messages.Reverse) and state is not None:
        barred = await read.barred_until(state.person, number)
        in_flight = await read.in_flight(state.person, frozen=True)
        return restriction.Facts(plan, barred_until=barred, in_flight=in_flight)
    return restriction.Facts(plan)


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
    if isinstance(command, RemoveHost) and asks_for_cases(state, command, plan):
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
        decide=host_standing.decide,
        case_of=training_class.case_of,
        facts=class_facts,
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
