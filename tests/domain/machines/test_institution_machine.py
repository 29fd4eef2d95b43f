"""Random lives of organisations: keys come and go, hosts are suspended and reinstated, schools close.

What the endpoints, the mailbox and its operators leave in the stream (`activities/mailbox_orders.py`) is no decision
of the domain; it happens here as it is recorded.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from hypothesis.stateful import invariant

from docgen.lifecycles.institution import BY, INSTITUTION, phase_of, registered
from domain import institution_standing
from domain.calendar import local_date
from domain.decision import Block, Decision, Event, Refusal, Unblock
from domain.institution import (
    EVENTS,
    InstitutionRegistered,
    KeyIssued,
    KeyRevoked,
    MailboxPaused,
    MailboxResumed,
    NoticeSkipped,
    NoticesRedelivered,
    WebhookEndpointDisabled,
    WebhookEndpointRegistered,
    WebhookSecretRotated,
)
from domain.institution_standing import OWNER, Institution, fold
from domain.numbers import INSTITUTIONS, stream_name, suspension_key
from projections.institution_view import INSTITUTIONS as VIEW
from projections.rows import Row
from tests.domain.machines.walking import WalkOfOne, assert_well_refused, recorded, steps_drawn, walks

DRAWN = steps_drawn(INSTITUTION)
NEIGHBOUR, ABROAD = registered("410181-s02", "school", "410181"), registered("410182-s01", "school", "410182")
ORGANISATIONS = (
    registered("h001", "host"),
    registered("h001", "host"),
    registered("410181-s01", "school", "410181"),
    registered("410181-s01", "school", "410181"),
    registered("410181", "county", "zzedu"),
    registered("zzedu", "bureau"),
    registered("audit-city", "auditor", "zzedu"),
)
FIRST_DAY = datetime(2022, 8, 25, 1, tzinfo=UTC)


def closing(school: InstitutionRegistered) -> Iterable[Event]:
    """What ends a school of which nobody waits for anything."""
    standing, other = fold((school,)), fold((registered(f"{school.parent}-s09", "school", school.parent),))
    assert standing is not None
    outcome = institution_standing.close(standing, other, 0, by=BY, document="letter 4")
    assert isinstance(outcome, Decision)
    return outcome.events


class InstitutionMachine(WalkOfOne[Institution]):
    """One organisation from its registration on, of a kind that the walk draws."""

    catalogue = EVENTS
    happenings = MappingProxyType(
        {
            "a_key_is_issued": 3,
            "a_key_is_revoked": 2,
            "an_administrator_moves": 1,
            "the_bureau_suspends": 3,
            "the_bureau_reinstates": 2,
            "the_county_closes_it": 1,
            "its_endpoints_change": 2,
            "an_operator_has_a_hand_on_its_mailbox": 2,
            "time_passes": 2,
            "the_system_crashes": 1,
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = FIRST_DAY
        self.first: InstitutionRegistered = ORGANISATIONS[0]
        self.revoked: set[str] = set()
        self.blocks: dict[str, tuple[date, date]] = {}
        self.row: Row | None = None

    def begins(self) -> None:
        self.first = self.dice.choice(ORGANISATIONS)
        self.happened(self.first)

    @property
    def today(self) -> date:
        return local_date(self.now)

    def time_passes(self) -> None:
        self.now += self.some_pause()

    def a_key_is_issued(self) -> None:
        issued = KeyIssued(key=f"{self.steps:016x}", scopes=("trainees:read",), issued_by=BY)
        outcome = institution_standing.issue_key(self.known, issued)
        assert isinstance(outcome, Refusal) == bool(self.known.successor), "whoever takes part can get a key"
        self.taken_in("issue-key", outcome)

    def a_key_is_revoked(self) -> None:
        if self.known.keys:
            key = self.dice.choice(sorted(self.known.keys))
            self.revoked.add(key)
            self.happened(KeyRevoked(key=key, revoked_by=BY))

    def an_administrator_moves(self) -> None:
        email = f"office-{self.steps}@example.invalid"
        self.taken_in("change-contact", institution_standing.change_contact(email, by=BY))
        assert self.known.email == email

    def the_bureau_suspends(self) -> None:
        until = self.dice.choice((None, self.today + timedelta(days=self.dice.randint(-2, 400))))
        outcome = institution_standing.suspend(
            self.known, until, self.today, by=BY, decided_by="b7", reasons="no lists", document="letter 3"
        )
        if isinstance(outcome, Decision):
            assert self.first.kind == "host" and (until is None or until > self.today)
        self.taken_in("suspend", outcome)

    def the_bureau_reinstates(self) -> None:
        outcome = institution_standing.reinstate(self.known, by=BY, decided_by="b7", reasons="put right")
        assert isinstance(outcome, Decision) == (self.known.suspended is not None), "who is not suspended is not freed"
        self.taken_in("reinstate", outcome)

    def the_county_closes_it(self) -> None:
        closed = fold((NEIGHBOUR, *closing(NEIGHBOUR)))
        others = (fold((NEIGHBOUR,)), fold((NEIGHBOUR,)), closed, fold((ABROAD,)), self.known, None)
        successor, open_cases = self.dice.choice(others), self.dice.choice((0, 0, 3))
        outcome = institution_standing.close(self.known, successor, open_cases, by=BY, document="letter 4")
        if isinstance(outcome, Decision) and outcome.events:
            assert self.first.kind == "school" and successor is not None
            assert successor.id == NEIGHBOUR.id and not successor.successor, "somebody takes over who can"
            assert not open_cases, "a case that waits for something would belong to nobody"
        self.taken_in("close", outcome)

    def its_endpoints_change(self) -> None:
        endpoint = f"we_{self.steps:016x}"
        changes: list[Event] = [
            WebhookEndpointRegistered(endpoint=endpoint, url="https://hook.example.invalid/", registered_by=BY)
        ]
        for used in sorted(self.known.endpoints)[:1]:
            changes += [
                WebhookSecretRotated(endpoint=used, overlap_hours=24, rotated_by=BY),
                WebhookEndpointDisabled(endpoint=used, because="gone", disabled_by="system:xunji"),
            ]
        self.happened(self.dice.choice(changes))

    def an_operator_has_a_hand_on_its_mailbox(self) -> None:
        orders: tuple[Event, ...] = (
            MailboxPaused(reason="moving", paused_by=BY),
            MailboxResumed(reason="moved", resumed_by=BY),
            NoticeSkipped(notice="n1", reason="sent by hand", skipped_by=BY),
            NoticesRedelivered(endpoint="we_1", notice="n2", asked_by=BY),
        )
        self.happened(self.dice.choice(orders))

    def folded(self, events: Iterable[Event]) -> Institution | None:
        return fold(events)

    # ------------------------------------------------------------------------------------------ what is decided

    def taken_in(self, act: str, outcome: Decision | Refusal) -> None:
        if isinstance(outcome, Refusal):
            assert_well_refused(outcome)
            return
        for claim in outcome.claims:
            assert isinstance(claim, Block | Unblock) and claim.key == suspension_key(self.first.id)
            if isinstance(claim, Unblock):
                self.blocks.pop(claim.owner, None)
            else:
                assert claim.owner not in self.blocks, "the ledger would refuse a second block"
                self.blocks[claim.owner] = (claim.start, claim.until)
        assert {each.recipient for each in outcome.notices} <= {self.first.id}, "others have no part in it"
        before = phase_of(self.known)
        self.happened(*outcome.events)
        if outcome.events:
            step = (act, before, phase_of(self.known))
            assert step in DRAWN, f"{step} is not in docs/state-machines.md"

    def happened(self, *events: Event) -> None:
        stream = stream_name("institution", self.first.id)
        for each in recorded(events, stream, INSTITUTIONS, self.now, first=len(self.events) + 1):
            self.row = VIEW.apply(self.row, each)
        self.events += events
        for event in events:
            self.state = institution_standing.evolve(self.state, event)

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def a_host_is_barred_from_planning_on_exactly_the_days_of_the_last_word(self) -> None:
        if self.state is not None:
            assert self.blocks == ({OWNER: self.state.suspended} if self.state.suspended else {})

    @invariant()
    def only_a_host_is_suspended_and_only_a_school_closes(self) -> None:
        if self.state is not None:
            assert self.state.suspended is None or self.state.kind == "host"
            assert not self.state.successor or self.state.kind == "school"

    @invariant()
    def a_school_that_has_closed_stays_closed_and_has_no_key(self) -> None:
        if self.state is None or not self.state.successor:
            return
        assert not self.state.keys
        issued = KeyIssued(key="f" * 16, scopes=("trainees:read",), issued_by=BY)
        other = fold((registered("410181-s03", "school", "410181"),))
        for outcome in (
            institution_standing.issue_key(self.state, issued),
            institution_standing.close(self.state, other, 0, by=BY, document="letter 5"),
        ):
            assert isinstance(outcome, Refusal) and outcome.code == "school_closed"
        again = institution_standing.close(self.state, fold((NEIGHBOUR,)), 0, by=BY, document="letter 4")
        assert again == Decision(()), "again changes nothing"

    @invariant()
    def a_key_that_was_revoked_is_never_accepted_again(self) -> None:
        if self.state is not None:
            assert not self.revoked & self.state.keys

    @invariant()
    def the_last_order_says_whether_its_notices_are_sent(self) -> None:
        orders = [each for each in self.events if isinstance(each, MailboxPaused | MailboxResumed)]
        if self.state is not None:
            assert self.state.mailbox_paused == any(isinstance(each, MailboxPaused) for each in orders[-1:])

    @invariant()
    def what_is_read_in_the_list_is_how_it_stands(self) -> None:
        if self.state is None:
            return
        row: Any = self.row
        until = self.state.suspended[1] if self.state.suspended else None
        assert (row["email"], row["successor"], row["suspended_until"]) == (
            self.state.email,
            self.state.successor,
            until,
        )
        assert row["version"] == self.state.version == len(self.events)


TestInstitutionMachine = InstitutionMachine.TestCase
TestInstitutionMachine.settings = walks(examples=60, steps=25)
