"""Waiting for a seat: one offer per seat, in order, never revived, none after the last useful day (edge case 7)."""

from datetime import timedelta

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import NOMINATED, PERSON
from domain import trainee
from domain.decision import SYSTEM, Count, Event, Release, Start
from domain.history import Grounds
from domain.numbers import active_key, quota_number, seat_key
from domain.seat_rules import SeatRules, offers_end, waiting_rank
from domain.trainee_context import Facts
from domain.trainee_messages import (
    Approve,
    Lapse,
    NominationApproved,
    NominationRejected,
    NominationResubmitted,
    NominationReturned,
    NominationWithdrawn,
    PassDeadline,
    Resubmit,
    Withdraw,
)
from domain.trainee_seat_messages import (
    AcceptSeat,
    DeclineSeat,
    OfferSeat,
    SeatOfferAccepted,
    SeatOfferDeclined,
    SeatOffered,
    SeatOfferLapsed,
    TraineeWaitlisted,
    Waitlist,
)
from domain.trainee_state import Trainee, case_of, fold
from tests.domain.nominations import BUREAU, COUNTY, SCHOOL
from tests.specification import Specification, specification, the_plan

PLAN = the_plan()
LINE = "gp5:410181"
SEAT = seat_key(PLAN.id, LINE)
END = offers_end(PLAN, "gp5")
WAITLISTED = TraineeWaitlisted(by="county:410181", rank=1, until=END)
OFFERED = SeatOffered(until=on(9, 11))
WAKE = Start("quota", quota_number(PLAN.id, LINE), PLAN.id)


def waiting(*more: Event) -> Specification:
    return specification(trainee, NUMBER, fold).given(NOMINATED, WAITLISTED, *more)


def state_of(*events: Event) -> Trainee:
    state = fold(events)
    assert state is not None
    return state


def test_a_fit_nomination_without_a_seat_goes_on_the_list_and_takes_none() -> None:
    given = specification(trainee, NUMBER, fold).given(NOMINATED)
    decision = given.when(Waitlist(), COUNTY, on(8, 27), Facts(PLAN)).then(TraineeWaitlisted)
    assert decision.claims == ()
    # Should a seat be free after all, the line's process offers it at once.
    assert decision.starts == (WAKE,)
    case = case_of(NUMBER, state_of(NOMINATED, *decision.events))
    assert (case.phase, case.deadline, case.timer) == ("waitlisted", END, False)
    given.when(Waitlist(), SCHOOL, on(8, 27), Facts(PLAN)).refused("not_your_part")
    given.when(Waitlist(), COUNTY, on(9, 1), Facts(PLAN)).refused("deadline_passed")


def test_case_20_a_substitute_who_has_a_seat_waits_for_none() -> None:
    substitute = NOMINATED.model_copy(update={"substitutes": "zz22-410181-00009"})
    given = specification(trainee, NUMBER, fold).given(substitute)
    given.when(Waitlist(), COUNTY, on(8, 27), Facts(PLAN)).refused("seat_held_already")


def test_who_keeps_a_place_in_the_declared_order_waits_by_it_and_by_nothing_before_it() -> None:
    """The plan may say that whoever lacks days goes first, and the rural front line only then."""
    placed = NOMINATED.model_copy(update={"grounds": Grounds(rule_version="1", priority=(1, 0, 0))})
    for nominated, rank in ((placed, 0), (NOMINATED, 1)):
        given = specification(trainee, NUMBER, fold).given(nominated)
        (waiting_,) = given.when(Waitlist(), COUNTY, on(8, 27), Facts(PLAN)).then(TraineeWaitlisted).events
        assert isinstance(waiting_, TraineeWaitlisted) and waiting_.rank == rank
    assert state_of(placed).priority == (1, 0, 0)


def test_without_a_declared_order_the_plans_preferences_give_the_rank() -> None:
    assert waiting_rank(PLAN, rural=True, county="410181") == 0
    assert waiting_rank(PLAN, rural=False, county="410181") == 1
    changed = PLAN.model_copy(update={"seat_rules": SeatRules(preferences=("project-county", "rural"))})
    project_county = next(each.id for each in PLAN.recipients if each.project_county)
    other = next(each.id for each in PLAN.recipients if not each.project_county)
    ranks = [
        waiting_rank(changed, rural=rural, county=county)
        for rural, county in ((True, project_county), (True, other), (False, other))
    ]
    assert ranks == [0, 1, 2]


def test_case_7_an_offer_holds_its_seat_and_has_a_window() -> None:
    decision = waiting().when(OfferSeat(), SYSTEM, on(9, 10), Facts(PLAN)).then(SeatOffered)
    assert decision.claims == (Count(SEAT, +1),)
    assert {each.recipient for each in decision.notices} == {"410181-s01", "410181"}
    case = case_of(NUMBER, state_of(*waiting().events, *decision.events))
    assert (case.phase, case.deadline, case.timer) == ("offered", on(9, 11), True)
    waiting(OFFERED).when(OfferSeat(), SYSTEM, on(9, 10), Facts(PLAN)).refused("not_allowed_in_phase")


def test_case_7_an_accepted_seat_goes_to_the_city_with_a_date_of_its_own() -> None:
    given = waiting(OFFERED)
    decision = given.when(AcceptSeat(), SCHOOL, on(9, 10), Facts(PLAN)).then(SeatOfferAccepted)
    assert decision.claims == (), "the offer's seat is the nomination's seat"
    accepted = given.given(*decision.events)
    approval = accepted.when(Approve(host="h001"), BUREAU, on(9, 15), Facts(PLAN)).then(NominationApproved)
    selected = state_of(*accepted.events, *approval.events)
    assert (selected.phase, selected.seat_held, selected.timer, selected.deadline) == ("selected", True, False, None)
    late = accepted.when(PassDeadline(), SYSTEM, END, Facts(PLAN)).then(NominationRejected)
    assert Count(SEAT, -1) in late.claims


def test_case_7_an_offer_that_lapsed_never_revives_and_its_seat_goes_on() -> None:
    given = waiting(OFFERED)
    given.when(AcceptSeat(), SCHOOL, on(9, 11), Facts(PLAN)).refused("seat_offer_ended")
    given.when(PassDeadline(), SYSTEM, on(9, 10), Facts(PLAN)).refused("too_early")
    decision = given.when(PassDeadline(), SYSTEM, on(9, 11), Facts(PLAN)).then(SeatOfferLapsed, NominationRejected)
    assert decision.claims == (Count(SEAT, -1), Release(active_key(PERSON, PLAN.id, "gp5"), NUMBER))
    assert decision.starts == (WAKE,)
    ended = given.given(*decision.events)
    for command, actor in ((AcceptSeat(), SCHOOL), (OfferSeat(), SYSTEM)):
        ended.when(command, actor, on(9, 11), Facts(PLAN)).refused("not_allowed_in_phase")


def test_case_7_a_declined_seat_goes_to_the_next() -> None:
    decision = waiting(OFFERED).when(DeclineSeat(), SCHOOL, on(9, 10), Facts(PLAN))
    declined = decision.then(SeatOfferDeclined, NominationWithdrawn)
    assert Count(SEAT, -1) in declined.claims
    assert declined.starts == (WAKE,)


def test_case_7_no_offer_after_the_last_useful_day_and_none_reaches_beyond_it() -> None:
    waiting().when(OfferSeat(), SYSTEM, END, Facts(PLAN)).refused("offers_ended")
    decision = waiting().when(OfferSeat(), SYSTEM, END - timedelta(hours=2), Facts(PLAN)).then(SeatOffered)
    (offered,) = decision.events
    assert isinstance(offered, SeatOffered) and offered.until == END
    waiting().when(Lapse(), SYSTEM, END - timedelta(seconds=1), Facts(PLAN)).refused("too_early")
    lapsed = waiting().when(Lapse(), SYSTEM, END, Facts(PLAN)).then(NominationRejected)
    assert isinstance(lapsed.events[0], NominationRejected) and lapsed.events[0].reasons == ("no_seat_left",)
    # A seat that is freed so late wakes nobody.
    seated = specification(trainee, NUMBER, fold).given(
        NOMINATED, NominationApproved(level="county", by="county:410181")
    )
    assert seated.when(Withdraw(reason="ill"), COUNTY, END, Facts(PLAN)).then(NominationWithdrawn).starts == ()


def test_every_way_of_giving_a_seat_back_wakes_its_line() -> None:
    seated = specification(trainee, NUMBER, fold).given(
        NOMINATED, NominationApproved(level="county", by="county:410181")
    )
    assert seated.when(Withdraw(reason="ill"), COUNTY, on(8, 28), Facts(PLAN)).then(NominationWithdrawn).starts == (
        WAKE,
    )
    without = specification(trainee, NUMBER, fold).given(NOMINATED)
    assert without.when(Withdraw(reason="ill"), COUNTY, on(8, 28), Facts(PLAN)).then(NominationWithdrawn).starts == ()


def test_a_seat_that_the_county_delegated_to_the_school_is_the_schools() -> None:
    given = specification(trainee, NUMBER, fold).given(NOMINATED)
    decision = given.when(Approve(quota="school"), COUNTY, on(8, 27), Facts(PLAN)).then(NominationApproved)
    school_line = "gp5:410181-s01"
    assert decision.claims == (Count(seat_key(PLAN.id, school_line), +1),)
    freed = given.given(*decision.events).when(Withdraw(reason="ill"), COUNTY, on(8, 28), Facts(PLAN))
    assert Count(seat_key(PLAN.id, school_line), -1) in freed.then(NominationWithdrawn).claims


def test_case_45_a_returned_nomination_keeps_its_first_submission_time_and_its_place_in_the_list() -> None:
    returned = NominationReturned(level="county", by="county:410181", reason="subject", seat_freed=False)
    late = on(8, 30)  # after the schools' cut-off, before the county's
    given = specification(trainee, NUMBER, fold).given(NOMINATED, returned)
    decision = given.when(Resubmit(), SCHOOL, late, Facts(PLAN)).then(NominationResubmitted)
    state = state_of(*given.events, *decision.events, WAITLISTED)
    assert state.submitted_at == NOMINATED.submitted_at < PLAN.selection_deadline("school") < late
