"""A restriction's due process: given its events, when a command, then events or a refusal."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from domain import restriction
from domain.decision import SYSTEM, Actor, Block
from domain.restriction import Facts, case_of, fold
from domain.restriction_messages import (
    COMMANDS,
    EVENTS,
    Drop,
    EarlierRestrictionRecorded,
    Impose,
    Object,
    ObjectionFiled,
    ObjectionWindowClosed,
    PassRestrictionDeadline,
    Record,
    RestrictionDropped,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionProposed,
    RestrictionServed,
    Serve,
    ServiceOverdue,
)
from tests.specification import Specification, specification, the_plan

NUMBER = "zz22-410181-00001-r1"
PERSON = UUID("00000000-0000-7000-8000-000000000001")
BUREAU = Actor(organisation="zzedu", role="bureau")
COUNTY = Actor(organisation="410181", role="county")
OTHER_COUNTY = Actor(organisation="410182", role="county")
SCHOOL = Actor(organisation="410181-s01", role="school")
FACTS = Facts(the_plan())


def on(month: int, day: int, hour: int = 2) -> datetime:
    """An instant of 2022; 2 o'clock UTC is 10 in Zhengzhou."""
    return datetime(2022, month, day, hour, tzinfo=UTC)


PROPOSED = RestrictionProposed(
    campaign="2022-zhengzhou",
    trainee="zz22-410181-00001",
    person=PERSON,
    county="410181",
    school="410181-s01",
    host="h001",
    ground="dismissed",
    incident_on=date(2022, 10, 12),
    proposed_at=on(10, 12),
    serve_by=on(10, 19, 16),
)
SERVED = RestrictionServed(by="bureau:zzedu", via="mail", served_at=on(10, 14), objection_until=on(10, 28, 16))
OBJECTED = ObjectionFiled(by="school:410181-s01", statement="letter 5")
WINDOW_CLOSED = ObjectionWindowClosed()
IMPOSE = Impose(decided_by="staff-07", reasons="no good reason was shown")


def a_restriction() -> Specification:
    return specification(restriction, NUMBER, fold)


def test_the_notice_is_served_and_opens_ten_working_days_for_an_objection() -> None:
    decision = (
        a_restriction().given(PROPOSED).when(Serve(via="mail"), BUREAU, on(10, 14), FACTS).then(RestrictionServed)
    )
    served = decision.events[0]
    assert isinstance(served, RestrictionServed) and served.objection_until == on(10, 28, 16)
    assert decision.notices[0].person == PERSON and decision.notices[0].recipient == "410181-s01"


def test_service_that_is_late_is_told_to_the_bureau_once() -> None:
    given = a_restriction().given(PROPOSED)
    given.when(PassRestrictionDeadline(), SYSTEM, on(10, 18), FACTS).refused("too_early")
    overdue = given.when(PassRestrictionDeadline(), SYSTEM, on(10, 19, 16), FACTS).then(ServiceOverdue)
    assert [each.recipient for each in overdue.notices] == ["zzedu"]
    late = given.given(*overdue.events)
    late.when(PassRestrictionDeadline(), SYSTEM, on(10, 25), FACTS).refused("too_early")
    late.when(Serve(via="school"), BUREAU, on(10, 25), FACTS).then(RestrictionServed)


@pytest.mark.parametrize("command", [IMPOSE, Drop(decided_by="staff-07", reasons="r")])
def test_nobody_is_restricted_without_service(command: Impose | Drop) -> None:
    a_restriction().given(PROPOSED).when(command, BUREAU, on(12, 1), FACTS).refused("not_yet_served")


def test_nothing_is_decided_while_the_teacher_may_object() -> None:
    given = a_restriction().given(PROPOSED, SERVED)
    given.when(IMPOSE, BUREAU, on(10, 28, 15), FACTS).refused("objection_window_open")
    given.given(OBJECTED).when(IMPOSE, BUREAU, on(10, 28, 15), FACTS).refused("objection_window_open")
    given.when(IMPOSE, BUREAU, on(10, 28, 16), FACTS).then(RestrictionImposed)


def test_an_objection_is_filed_within_the_window_by_the_teachers_own_school_or_county() -> None:
    given = a_restriction().given(PROPOSED, SERVED)
    given.when(Object(statement="letter 5"), SCHOOL, on(10, 20), FACTS).then(ObjectionFiled)
    given.when(Object(statement="letter 5"), OTHER_COUNTY, on(10, 20), FACTS).refused("not_your_part")
    given.when(Object(statement="late"), COUNTY, on(10, 28, 16), FACTS).refused("objection_window_passed")


def test_the_windows_end_asks_the_bureau_to_decide() -> None:
    given = a_restriction().given(PROPOSED, SERVED)
    closed = given.when(PassRestrictionDeadline(), SYSTEM, on(10, 28, 16), FACTS).then(ObjectionWindowClosed)
    state = fold((PROPOSED, SERVED, *closed.events))
    assert state is not None and "decision" in case_of(NUMBER, state).waiting_for
    given.given(*closed.events).when(PassRestrictionDeadline(), SYSTEM, on(11, 5), FACTS).refused("too_early")


def test_a_restriction_bars_three_calendar_years_from_the_decision() -> None:
    given = a_restriction().given(PROPOSED, SERVED, WINDOW_CLOSED)
    decision = given.when(IMPOSE, BUREAU, on(11, 1), FACTS).then(RestrictionImposed)
    assert decision.claims == (Block(f"restriction:{PERSON}", NUMBER, date(2022, 11, 1), date(2025, 11, 1)),)
    imposed = decision.events[0]
    assert isinstance(imposed, RestrictionImposed) and imposed.policy == "3 years from decision"
    assert (imposed.decided_by, imposed.reasons) == ("staff-07", "no good reason was shown")


def test_case_33_the_stored_end_is_not_touched_by_a_changed_rule() -> None:
    imposed = RestrictionImposed(
        by="b", decided_by="s", reasons="r", starts=date(2024, 2, 29), until=date(2027, 2, 28), policy="old"
    )
    state = fold((PROPOSED, SERVED, WINDOW_CLOSED, imposed))
    assert state is not None and state.deadline == datetime(2027, 2, 27, 16, tzinfo=UTC)


def test_a_dropped_restriction_is_over() -> None:
    given = a_restriction().given(PROPOSED, SERVED, OBJECTED, WINDOW_CLOSED)
    decision = given.when(Drop(decided_by="staff-07", reasons="illness shown"), BUREAU, on(11, 1), FACTS)
    state = fold((*given.events, *decision.then(RestrictionDropped).events))
    assert state is not None and state.closed
    given.given(*decision.then(RestrictionDropped).events).when(IMPOSE, BUREAU, on(11, 2), FACTS).refused(
        "not_allowed_in_phase"
    )


def test_a_restriction_ends_by_itself() -> None:
    given = a_restriction().given(PROPOSED, SERVED, WINDOW_CLOSED)
    imposed = given.when(IMPOSE, BUREAU, on(11, 1), FACTS).then(RestrictionImposed)
    barred = given.given(*imposed.events)
    end = datetime(2025, 10, 31, 16, tzinfo=UTC)
    barred.when(PassRestrictionDeadline(), SYSTEM, end - timedelta(seconds=1), FACTS).refused("too_early")
    barred.when(PassRestrictionDeadline(), SYSTEM, end, FACTS).then(RestrictionExpired)


def test_an_earlier_restriction_is_recorded_from_its_document() -> None:
    command = Record(
        person=PERSON, sealed="s", starts=date(2021, 5, 1), until=date(2024, 5, 1), document="郑教〔2021〕88号"
    )
    decision = a_restriction().when(command, BUREAU, on(8, 25), FACTS).then(EarlierRestrictionRecorded)
    assert decision.claims == (Block(f"restriction:{PERSON}", NUMBER, date(2021, 5, 1), date(2024, 5, 1)),)
    assert [part.stream for part in decision.others] == [f"person/{PERSON}"]
    a_restriction().when(command, COUNTY, on(8, 25), FACTS).refused("not_your_part")
    backwards = command.model_copy(update={"until": date(2021, 5, 1)})
    a_restriction().when(backwards, BUREAU, on(8, 25), FACTS).refused("dates_out_of_order")


def test_the_procedure_covers_every_command_and_reads_back_every_event() -> None:
    assert {each.name for each in restriction.PROCEDURE} == set(COMMANDS.names())
    for event in (PROPOSED, SERVED, OBJECTED, WINDOW_CLOSED):
        assert EVENTS.parse(event.type, event.model_dump(mode="json")) == event
