"""A quota line: given its events, when a command, then events with the claims that keep the tree true, or a refusal."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import quota
from domain.decision import SYSTEM, Actor, Command, Context, Count, Decision, Event, Limit, Refusal
from domain.numbers import parse_quota_number, process_stream, quota_number, seat_key
from domain.quota import Facts, Quota, case_of, fold, lines_touched
from domain.quota_messages import (
    COMMANDS,
    QUOTA_EVENTS,
    AcceptSeats,
    DeclineSeats,
    Delegate,
    OfferSeats,
    Override,
    PassQuotaDeadline,
    QuotaDelegated,
    QuotaIssued,
    QuotaOverridden,
    QuotaReceived,
    QuotaReturned,
    QuotaTakenBack,
    ReallocationAccepted,
    ReallocationEnded,
    ReallocationOffered,
    ReallocationPassedOn,
    RecallOffer,
    ReportShortfall,
    ReturnSeats,
    ShortfallReported,
)
from domain.quota_opening import city_lines, recipient_lines
from tests.specification import Specification, specification, the_plan

PLAN = the_plan()
BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
NEXT = Actor(organisation="410182", role="county")
THIRD = Actor(organisation="410183", role="county")
NOW = datetime(2022, 9, 5, 2, tzinfo=UTC)
WINDOW = timedelta(hours=PLAN.seat_rules.reallocation_hours)
CITY, LINE, OTHER, LAST = "gp5:zzedu", "gp5:410181", "gp5:410182", "gp5:410183"
ISSUED = {each.line: each for each in (*city_lines(PLAN), *recipient_lines(PLAN))}


def number(line: str) -> str:
    return quota_number(PLAN.id, line)


def key(line: str) -> str:
    return seat_key(PLAN.id, line)


def a_line(line: str = LINE, *events: Event) -> Specification:
    return specification(quota, number(line), fold).given(ISSUED[line], *events)


def state_of(*events: Event) -> Quota:
    state = fold(events)
    assert state is not None
    return state


def facts(*lines: str, parent_of_target: str = "", **changed: Quota) -> Facts:
    """The other lines as they were issued, or as `changed` has them."""
    known: dict[str, tuple[Quota | None, int]] = {
        line: (fold([ISSUED[line]]), 1) if line in ISSUED else (None, 0) for line in lines
    }
    return Facts(PLAN, known, parent_of_target)


def test_the_number_of_a_line_is_read_back_and_leads_to_its_stream() -> None:
    assert parse_quota_number(number(LINE)) == (PLAN.id, LINE)
    assert process_stream("quota", number(LINE)) == f"quota/{LINE}"
    assert process_stream("trainee", "zz22-410181-00001") == "trainee/zz22-410181-00001"
    for wrong in ("gp5", "2022-zhengzhou:gp5", ":gp5:410181"):
        with pytest.raises(ValueError, match="not the number"):
            parse_quota_number(wrong)


def test_the_citys_line_holds_what_it_has_handed_out() -> None:
    state = state_of(ISSUED[CITY])
    assert state.level == "city" and state.seats == PLAN.quotas.city_totals["gp5"]
    assert state.delegated == sum(line.seats for line in PLAN.lines() if line.project_type == "gp5")
    assert ISSUED[LINE].parent == CITY
    assert ISSUED[LINE].kind in ("project-county", "other-county")


def test_case_1_what_is_delegated_is_taken_from_the_line_above_and_given_to_the_one_below() -> None:
    size = ISSUED[LINE].seats
    decision = a_line(CITY).when(Delegate(to="410181", seats=5), BUREAU, NOW, facts(LINE)).then(QuotaDelegated)
    assert decision.claims == (Count(key(CITY), 5), Limit(key(LINE), size + 5))
    (part,) = decision.others
    assert (part.stream, part.expected_version) == (f"quota/{LINE}", 1)
    assert isinstance(part.events[0], QuotaReceived) and part.events[0].why == "delegation"
    assert [each.recipient for each in decision.notices] == ["410181"]
    # The line that has got seats may have somebody waiting for them.
    assert [each.number for each in decision.starts] == [number(LINE)]


def test_case_1_a_county_delegates_to_its_own_schools_only() -> None:
    command = Delegate(to="410181-s01", seats=3)
    target = "gp5:410181-s01"
    decision = a_line().when(command, COUNTY, NOW, facts(target, parent_of_target="410181")).then(QuotaDelegated)
    (part,) = decision.others
    (issued,) = part.events
    assert isinstance(issued, QuotaIssued)
    assert (issued.level, issued.parent, issued.seats, part.expected_version) == ("school", LINE, 3, 0)
    assert decision.claims == (Count(key(LINE), 3), Limit(key(target), 3))
    a_line().when(command, COUNTY, NOW, facts(target, parent_of_target="410182")).refused("not_below")
    a_line(CITY).when(Delegate(to="nobody", seats=1), BUREAU, NOW, facts("gp5:nobody")).refused("not_below")
    a_line().when(command, NEXT, NOW, facts(target, parent_of_target="410181")).refused("not_your_part")


def test_case_1_seats_go_back_to_the_line_above_and_only_the_recipient_gives_them() -> None:
    size = ISSUED[LINE].seats
    command = ReturnSeats(seats=4, reason="too few teachers")
    decision = a_line().when(command, COUNTY, NOW, facts(CITY)).then(QuotaReturned)
    # The limit is claimed: whatever is used or held on the line keeps its seats (never below used + held).
    assert decision.claims == (Limit(key(LINE), size - 4), Count(key(CITY), -4))
    assert isinstance(decision.others[0].events[0], QuotaTakenBack)
    assert [each.recipient for each in decision.notices] == ["zzedu"]
    a_line().when(command, BUREAU, NOW, facts(CITY)).refused("not_your_part")
    a_line().when(ReturnSeats(seats=size + 1, reason="r"), COUNTY, NOW, facts(CITY)).refused("capacity_below_used")
    a_line(CITY).when(command, BUREAU, NOW, facts()).refused("no_line_above")


def offer(*candidates: str, seats: int = 3) -> OfferSeats:
    return OfferSeats(seats=seats, candidates=candidates, reason="too few eligible teachers")


def offered(until: datetime = NOW + WINDOW) -> ReallocationOffered:
    return ReallocationOffered(
        offer=1, seats=3, candidates=(OTHER, LAST), until=until, by="county:410181", reason="too few"
    )


def test_case_2_seats_left_over_are_held_for_the_next_with_a_window() -> None:
    decision = a_line().when(offer("410182", "410183"), COUNTY, NOW, facts(OTHER, LAST)).then(ReallocationOffered)
    assert decision.claims == (Count(key(LINE), 3),)
    (told,) = decision.notices
    assert told.recipient == "410182"
    assert told.data["until"] == (NOW + WINDOW).isoformat() and told.data["quota"] == number(LINE)
    case = case_of(number(LINE), state_of(ISSUED[LINE], *decision.events))
    assert case.phase == "offering" and case.timer and case.deadline == NOW + WINDOW and not case.closed


def test_case_2_both_numbers_stay_after_a_reallocation() -> None:
    command = AcceptSeats(offer=1)
    later = NOW + timedelta(hours=2)
    given_ = a_line(LINE, offered())
    decision = given_.when(command, NEXT, later, facts(OTHER)).then(ReallocationAccepted)
    assert decision.claims == (
        Count(key(LINE), -3),
        Limit(key(LINE), ISSUED[LINE].seats - 3),
        Limit(key(OTHER), ISSUED[OTHER].seats + 3),
    )
    giver = state_of(*given_.events, *decision.events)
    taker = state_of(ISSUED[OTHER], *decision.others[0].events)
    assert (giver.issued, giver.seats, giver.held) == (ISSUED[LINE].seats, ISSUED[LINE].seats - 3, 0)
    assert (taker.issued, taker.seats) == (ISSUED[OTHER].seats, ISSUED[OTHER].seats + 3)
    assert {each.recipient for each in decision.notices} == {"410181", "zzedu"}


def test_case_2_an_offer_goes_to_the_next_and_never_comes_back() -> None:
    given_ = a_line(LINE, offered())
    given_.when(AcceptSeats(offer=1), THIRD, NOW, facts(LAST)).refused("not_your_part")
    given_.when(PassQuotaDeadline(), SYSTEM, NOW, facts()).refused("too_early")
    passed = given_.when(PassQuotaDeadline(), SYSTEM, NOW + WINDOW, facts()).then(ReallocationPassedOn)
    assert [each.recipient for each in passed.notices] == ["410183"]
    assert not passed.claims, "the seats stay held for the next candidate"
    second = given_.given(*passed.events)
    second.when(AcceptSeats(offer=1), NEXT, NOW + WINDOW, facts(OTHER)).refused("not_your_part")
    given_.when(AcceptSeats(offer=1), NEXT, NOW + WINDOW, facts(OTHER)).refused("offer_not_open")
    ended = second.when(DeclineSeats(offer=1), THIRD, NOW + WINDOW, facts()).then(ReallocationEnded)
    assert ended.claims == (Count(key(LINE), -3),)
    second.given(*ended.events).when(AcceptSeats(offer=1), THIRD, NOW + WINDOW, facts()).refused("offer_not_open")


def test_an_open_offer_is_recalled() -> None:
    decision = a_line(LINE, offered()).when(RecallOffer(offer=1), COUNTY, NOW, facts()).then(ReallocationEnded)
    assert decision.claims == (Count(key(LINE), -3),)
    assert [each.recipient for each in decision.notices] == ["410182"]


@pytest.mark.parametrize("candidates", [("410181",), ("410182", "410182"), ("nobody",), ("zzedu",)])
def test_seats_are_offered_to_others_on_the_same_level_once_each(candidates: tuple[str, ...]) -> None:
    lines = [f"gp5:{each}" for each in candidates]
    a_line().when(offer(*candidates), COUNTY, NOW, facts(*lines)).refused("not_a_sibling")


def test_case_3_an_override_is_the_bureaus_with_role_reason_and_document() -> None:
    command = Override(seats=ISSUED[LINE].seats + 10, reason="new campus", document="doc 12")
    a_line().when(command, COUNTY, NOW, facts(CITY)).refused("not_your_part")
    decision = a_line().when(command, BUREAU, NOW, facts(CITY)).then(QuotaOverridden)
    (event,) = decision.events
    assert isinstance(event, QuotaOverridden)
    assert (event.role, event.reason, event.document, event.by) == ("bureau", "new campus", "doc 12", str(BUREAU))
    assert event.before == ISSUED[LINE].seats
    # Even an override stays within the line above, and above what is used and held.
    assert decision.claims == (Limit(key(LINE), event.seats), Count(key(CITY), 10))
    top = a_line(CITY).when(command, BUREAU, NOW, facts()).then(QuotaOverridden)
    assert top.claims == (Limit(key(CITY), command.seats),)


def test_case_6_a_shortfall_is_reported_with_its_reason() -> None:
    command = ReportShortfall(seats=2, reason="too_few_eligible", details="no rural teacher with three years")
    decision = a_line().when(command, COUNTY, NOW, facts()).then(ShortfallReported)
    assert [each.recipient for each in decision.notices] == ["zzedu"]
    state = state_of(ISSUED[LINE], *decision.events)
    assert (state.shortfall, state.shortfall_reason, state.seats) == (2, "too_few_eligible", ISSUED[LINE].seats)
    too_many = command.model_copy(update={"seats": ISSUED[LINE].seats + 1})
    a_line().when(too_many, COUNTY, NOW, facts()).refused("shortfall_too_large")


def test_a_line_of_an_older_book_has_its_parent_by_the_plan() -> None:
    old = QuotaIssued.model_validate(
        {"line": LINE, "project_type": "gp5", "recipient": "410181", "seats": 9, "invented": True}
    )
    state = state_of(old)
    assert lines_touched(state, ReturnSeats(seats=1, reason="r"), PLAN) == (CITY,)
    # Its city line may never have been issued; then nothing can go back to it.
    given_ = specification(quota, number(LINE), fold).given(old)
    given_.when(ReturnSeats(seats=1, reason="r"), COUNTY, NOW, Facts(PLAN, {CITY: (None, 0)})).refused("no_line_above")


EXAMPLES: tuple[Command, ...] = (
    Delegate(to="410181-s01", seats=1),
    ReturnSeats(seats=1, reason="r"),
    offer("410182"),
    AcceptSeats(offer=1),
    DeclineSeats(offer=1),
    RecallOffer(offer=1),
    ReportShortfall(seats=1, reason="other", details="d"),
    Override(seats=40, reason="r", document="d"),
    PassQuotaDeadline(),
)


def test_every_command_has_an_example_and_a_line_in_the_table() -> None:
    assert {each.name for each in EXAMPLES} == set(COMMANDS.names()) == {each.name for each in quota.QUOTA_STEPS}
    assert len(set(QUOTA_EVENTS.types())) == 12


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(EXAMPLES),
            st.sampled_from([BUREAU, COUNTY, NEXT, THIRD, SYSTEM]),
            st.integers(min_value=0, max_value=60),
        ),
        max_size=15,
    )
)
def test_whatever_happens_the_claims_add_up_to_what_the_line_says(steps: list[tuple[Command, Actor, int]]) -> None:
    """Folding never fails, and the limit and the use that were claimed are the line's own seats, delegated and held."""
    state = replace(state_of(ISSUED[LINE]), seats=5, issued=5)
    limit, used, at = 5, 0, NOW
    for command, actor, hours in steps:
        at += timedelta(hours=hours)
        lines = lines_touched(state, command, PLAN)
        known = facts(*lines, parent_of_target="410181")
        outcome = quota.decide(state, command, Context(number(LINE), actor, known, at))
        if isinstance(outcome, Refusal):
            continue
        assert isinstance(outcome, Decision)
        after_limit, after_used = limit, used
        held = True
        for claim in outcome.claims:
            if isinstance(claim, Limit) and claim.key == key(LINE):
                held, after_limit = held and claim.limit >= after_used, claim.limit
            if isinstance(claim, Count) and claim.key == key(LINE):
                after_used += claim.delta
                held = held and (claim.delta < 0 or after_used <= after_limit)
        if not held:
            continue  # The ledger refuses the append, so nothing has happened.
        limit, used = after_limit, after_used
        for event in outcome.events:
            state = quota.evolve(state, event)
        assert (state.seats, state.delegated + state.held) == (limit, used)
        armed = [each.until for each in outcome.events if isinstance(each, ReallocationOffered | ReallocationPassedOn)]
        assert all(until > at for until in armed), "no window is armed in the past"
