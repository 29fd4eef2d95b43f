"""Random years of a campaign: dates that come one by one or all at once, reopened counties, removed hosts."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from types import MappingProxyType

from hypothesis.stateful import invariant

from docgen.lifecycles.campaign import CAMPAIGN_LIFECYCLE, EXAMPLES, KNOWN
from docgen.lifecycles.plan import ACTORS, CAMPAIGN, THE_PLAN
from domain import calendar, campaign
from domain.campaign import (
    EVENTS,
    BulletinIssued,
    Campaign,
    CampaignClosed,
    OpenCampaign,
    PassCampaignDeadline,
    SelectionClosed,
    SelectionReminderSent,
    SettleSelection,
    case_of,
    evolve,
    fold,
)
from domain.campaign_amendments import RemoveHost, Reopen, SelectionReopened
from domain.decision import Actor, Case, Command, Context, Decision, Event, Refusal, Step
from tests.domain.machines.walking import EDGES, WalkOfOne, assert_well_refused, steps_drawn, walks

DRAWN = steps_drawn(CAMPAIGN_LIFECYCLE)
STRANGERS = (ACTORS["county"], ACTORS["school"], ACTORS["host"])
ROLES: dict[type[Command], Step] = {**campaign.CAMPAIGN_STEPS, OpenCampaign: Step((), ("bureau",))}
HOSTS = [each.id for each in THE_PLAN.hosts if each.levels == THE_PLAN.host("h001").levels][:4]


class CampaignMachine(WalkOfOne[Campaign]):
    """One campaign from its opening, which may be late, to whatever becomes of it."""

    catalogue = EVENTS
    happenings = MappingProxyType(
        {
            "something_possible_happens": 2,
            "somebody_sends_a_command": 2,
            "the_bureau_reopens_a_county": 2,
            "the_bureau_removes_a_host": 3,
            "time_passes": 2,
            "the_deadline_comes": 6,
            "everybody_is_reached": 4,
            "the_system_is_down_until_the_end": 1,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = calendar.start_of_day(THE_PLAN.dates.opens)

    def begins(self) -> None:
        self.now += self.some_pause()
        assert isinstance(self.sent(EXAMPLES[0], ACTORS["bureau"]), Decision)

    def time_passes(self) -> None:
        self.now += self.some_pause()

    def the_system_is_down_until_the_end(self) -> None:
        self.now = max(self.now, calendar.end_of_day(THE_PLAN.dates.closes))

    def the_deadline_comes(self) -> None:
        if self.case.deadline is not None:
            self.now = max(self.now, self.case.deadline + self.dice.choice(EDGES))
            self.sent(PassCampaignDeadline(), ACTORS["system"])

    def somebody_sends_a_command(self) -> None:
        self.sent(self.dice.choice(EXAMPLES), self.dice.choice([ACTORS["bureau"], ACTORS["system"], *STRANGERS]))

    def something_possible_happens(self) -> None:
        for command in self.in_some_order(EXAMPLES):
            if isinstance(self.sent(command, ACTORS[ROLES[type(command)].roles[0]]), Decision):
                return

    def the_bureau_reopens_a_county(self) -> None:
        until = self.now + timedelta(hours=self.dice.randint(-5, 24 * 60))
        county = self.dice.choice(["410181", "410182"])
        self.sent(Reopen(county=county, until=until, reason="a flood"), ACTORS["bureau"])

    def the_bureau_removes_a_host(self) -> None:
        before = self.known
        host, takes_over = self.dice.choice(HOSTS), self.dice.choice(["", *HOSTS])
        outcome = self.sent(RemoveHost(host=host, replacement=takes_over, reason="withdrew"), ACTORS["bureau"])
        if isinstance(outcome, Decision):
            owed = [f"host-{each}" for each, other in before.removed_hosts.items() if other == host]
            assert takes_over or not set(owed) & set(before.unsettled), "those who still come over would be lost"

    def everybody_is_reached(self) -> None:
        if self.case.reach is None:
            return
        outcome = self.sent(SettleSelection(), ACTORS["system"])
        assert isinstance(outcome, Decision), f"what is owed can never be settled: {outcome}"

    def folded(self, events: Iterable[Event]) -> Campaign | None:
        return fold(events)

    # -------------------------------------------------------------------------------------------- how it is decided

    @property
    def case(self) -> Case:
        return case_of(CAMPAIGN, self.known)

    def sent(self, command: Command, by: Actor) -> Decision | Refusal:
        context = Context(CAMPAIGN, by, KNOWN, self.now)
        outcome = campaign.decide(self.state, command, context)
        assert outcome == campaign.decide(self.state, command, context), "a repetition is answered as before"
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return outcome
        assert by not in STRANGERS, f"{by} may do nothing here"
        before = self.state
        self.events += outcome.events
        for event in outcome.events:
            self.state = evolve(self.state, event)
        self.what_follows(before, command, outcome)
        return outcome

    def what_follows(self, before: Campaign | None, command: Command, outcome: Decision) -> None:
        phase = before.phase if before is not None else ""
        assert (command.name, phase, self.known.phase) in DRAWN, (command.name, phase, self.known.phase)
        if phase == "closed":
            assert self.known.phase == "closed", "a closed campaign stays closed"
        for event in outcome.events:
            if isinstance(event, SelectionReopened):
                assert event.until > self.now, "a county's own date is armed in the past"
            if isinstance(event, SelectionReminderSent) and not event.stale:
                about = next(item.about for item in self.known.agenda if item.key == event.key)
                assert about is not None and about > self.now, "somebody is reminded of what has passed"

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def every_date_comes_once(self) -> None:
        kept = [each.key for each in self.events if isinstance(each, SelectionReminderSent)]
        kept += [each.level for each in self.events if isinstance(each, SelectionClosed)]
        assert len(kept) == len(set(kept))

    @invariant()
    def the_bulletins_are_issued_once_when_it_closes(self) -> None:
        kinds = [each.kind for each in self.events if isinstance(each, BulletinIssued)]
        closed = sum(isinstance(each, CampaignClosed) for each in self.events)
        assert closed <= 1 and kinds == ["counties", "hosts"] * closed

    @invariant()
    def it_is_over_only_when_it_owes_nothing_to_anybody(self) -> None:
        if self.state is not None:
            case = self.case
            assert case.closed == (self.state.phase == "closed" and not self.state.unsettled)
            assert bool(case.waiting_for) != case.closed
            assert (case.reach is None) == (not self.state.unsettled)

    @invariant()
    def a_timer_that_rings_is_answered_and_does_not_ring_again(self) -> None:
        if self.state is None or self.case.deadline is None:
            return
        due: datetime = max(self.case.deadline, self.now)
        context = Context(CAMPAIGN, ACTORS["system"], KNOWN, due)
        outcome = campaign.decide(self.state, PassCampaignDeadline(), context)
        assert isinstance(outcome, Decision), outcome
        after = fold((*self.events, *outcome.events))
        assert after is not None
        deadline = case_of(CAMPAIGN, after).deadline
        assert deadline is None or deadline > due

    @invariant()
    def nobody_takes_over_who_was_removed_before(self) -> None:
        if self.state is not None:
            removed: list[str] = []
            for host, takes_over in self.state.removed_hosts.items():
                assert takes_over not in removed
                removed.append(host)


TestCampaignMachine = CampaignMachine.TestCase
TestCampaignMachine.settings = walks(examples=40, steps=25)


def test_the_walk_sends_every_command() -> None:
    assert set(ROLES) == {type(each) for each in EXAMPLES}
