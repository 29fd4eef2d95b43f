"""What the bureau changes in a running campaign: the selection is reopened for one county, a host is removed.

Both are written down with who, why and until when; nothing changes silently under somebody's hands (edge cases 4, 44).
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AwareDatetime, Field

from domain import calendar
from domain.decision import Command, Decision, Event, Message, Notice, Refusal
from domain.refusals import in_words, refuse

if TYPE_CHECKING:
    from domain.campaign import Campaign, Context
    from domain.plan import Plan

MAX_REOPENINGS = 200
Organisation = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]
Words = Annotated[str, Field(min_length=1, max_length=2_000)]


class SelectionReopened(Event):
    """补报: nomination and approval are open again for one county, until its own cut-off."""

    type: ClassVar[str] = "campaign.selection_reopened"
    key: str
    county: str
    until: datetime
    by: str
    reason: str


class ReopeningClosed(Event):
    """The county's own cut-off has passed."""

    type: ClassVar[str] = "campaign.reopening_closed"
    key: str


class OffersEnded(Event):
    """The last useful day of some project types has passed: whoever still waits for a seat waits no longer."""

    type: ClassVar[str] = "campaign.offers_ended"
    key: str


class HostRemoved(Event):
    """取消承训资格: the host gets nobody any more; `replacement` takes whoever was assigned to it, if anybody was."""

    type: ClassVar[str] = "campaign.host_removed"
    host: str
    replacement: str
    assigned: int
    by: str
    reason: str


class Settled(Event):
    """Every case that one of the above concerns was reached."""

    type: ClassVar[str] = "campaign.settled"
    key: str


class Reopen(Command):
    """Reopen the selection for one county, until an instant of its own."""

    name: ClassVar[str] = "reopen"
    county: Organisation
    until: AwareDatetime
    reason: Words


class RemoveHost(Command):
    """Remove a host. With trainees assigned to it, another host must be named that takes them over."""

    name: ClassVar[str] = "remove-host"
    host: Organisation
    replacement: str = Field(default="", max_length=64)
    reason: Words


class HostCases(Message):
    """Whom a host still has: assigned and not yet in a class, and in a class that has not ended."""

    assigned: int = 0
    in_class: int = 0


NO_CASES = HostCases()
EVENT_CLASSES: tuple[type[Event], ...] = (SelectionReopened, ReopeningClosed, OffersEnded, HostRemoved, Settled)
COMMAND_CLASSES: tuple[type[Command], ...] = (Reopen, RemoveHost)


def host_key(host: str) -> str:
    """`h012` → `host-h012`: what is still owed to a removed host's trainees."""
    return f"host-{host}"


def reopen(state: "Campaign", command: Reopen, context: "Context") -> Decision | Refusal:
    plan = context.facts.plan
    if plan.find_recipient(command.county) is None:
        return refuse("no_such_recipient", field="/county", county=command.county)
    last = calendar.end_of_day(plan.dates.closes)
    if not context.now < command.until <= last:
        return refuse("reopening_dates", field="/until", now=in_words(context.now), last=in_words(last))
    if len(state.reopened) >= MAX_REOPENINGS:
        return refuse("too_many_reopenings", limit=MAX_REOPENINGS)
    reopened = SelectionReopened(
        key=f"reopened-{len(state.reopened) + 1}",
        county=command.county,
        until=command.until,
        by=str(context.actor),
        reason=command.reason,
    )
    data = {"campaign": state.id, "county": command.county, "until": command.until.isoformat()}
    return Decision((reopened,), notices=(Notice(command.county, reopened.type, data),))


def asks_for_cases(state: "Campaign | None", command: RemoveHost, plan: "Plan") -> bool:
    """Whether anything depends on whom the host still has: not for one that the plan does not know, or that is gone."""
    is_open = state is not None and state.phase != "closed" and command.host not in state.removed_hosts
    return is_open and plan.find_host(command.host) is not None


def remove_host(state: "Campaign", command: RemoveHost, context: "Context") -> Decision | Refusal:
    plan, cases = context.facts.plan, context.facts.host_cases
    host = plan.find_host(command.host)
    if host is None:
        return refuse("host_unknown", field="/host", host=command.host)
    if command.host in state.removed_hosts:
        return refuse("host_removed", field="/host", host=command.host)
    # Whoever is still to come over from another removed host counts as well.
    expected = any(
        host_key(each) in state.unsettled for each, takes_over in state.removed_hosts.items() if takes_over == host.id
    )
    if cases.in_class or ((cases.assigned or expected) and not command.replacement):
        return refuse("host_in_use", field="/host", host=command.host, assigned=cases.assigned, in_class=cases.in_class)
    if command.replacement:
        other = plan.find_host(command.replacement)
        if other is None or other.id == host.id or other.id in state.removed_hosts:
            return refuse("host_unknown", field="/replacement", host=command.replacement)
        if not set(host.levels) <= set(other.levels):
            level = ", ".join(host.levels)
            return refuse("host_of_another_level", field="/replacement", host=other.id, level=level)
    removed = HostRemoved(
        host=host.id,
        replacement=command.replacement,
        assigned=cases.assigned,
        by=str(context.actor),
        reason=command.reason,
    )
    data = {"campaign": state.id, "host": host.id, "replacement": command.replacement, "reason": command.reason}
    recipients = [host.id, *([command.replacement] if command.replacement else [])]
    return Decision((removed,), notices=tuple(Notice(each, removed.type, data) for each in recipients))
