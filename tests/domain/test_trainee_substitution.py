"""替换: the seat moves with all checks made again and counts once; who was replaced, or is somebody else, is absent."""

from datetime import timedelta
from uuid import UUID

from docgen.lifecycles.plan import NUMBER, on
from docgen.lifecycles.trainee_events import CLASS, CONFIRMED, ENDS, ENROLLED, PERSON, SELECTED, STARTS
from domain import calendar, trainee
from domain.bulletin import AssignedSeats, case_record, county_rows
from domain.decision import SYSTEM, Actor, Clear, Count, Event, Release, Start, Take
from domain.numbers import active_key, class_seat_key, restriction_key, seat_key
from domain.person import PersonRegistered
from domain.trainee_context import Facts
from domain.trainee_messages import (
    Approve,
    Confirm,
    NominationApproved,
    NominationRejected,
    NominationReturned,
    NominationWithdrawn,
    PassDeadline,
    Register,
    Return,
    TraineeNominated,
    TraineeRegistered,
)
from domain.trainee_seat_messages import (
    HostReassigned,
    ImpersonationReported,
    ReassignHost,
    ReportImpersonation,
    Substitute,
    SubstituteNamed,
    SubstitutePerson,
)
from domain.trainee_state import Trainee, case_of, fold
from domain.trainee_substitution import substitute_cut_off
from tests.domain.nominations import BUREAU, COUNTY, HOST, SCHOOL
from tests.specification import Specification, specification, the_plan

PLAN = the_plan()
B, C = "zz22-410181-00002", "zz22-410181-00003"
CUT_OFF = calendar.end_of_day(STARTS)
OTHER_HOST = Actor(organisation="h002", role="host")


def command(number: str = B, who: int = 2, **changes: object) -> Substitute:
    return Substitute.model_validate(
        {
            "number": number,
            "reason": "ill",
            "school": "410181-s01",
            "person": SubstitutePerson(id=UUID(int=who), sealed="sealed"),
            "stage": "primary",
            "subject": "chinese",
            "years_of_service": 5,
            **changes,
        }
    )


def confirmed(number: str = NUMBER, first: Event = SELECTED[0]) -> Specification:
    return specification(trainee, number, fold).given(first, *SELECTED[1:], ENROLLED, CONFIRMED)


def state_of(*events: Event) -> Trainee:
    state = fold(events)
    assert state is not None
    return state


def substituted(given: Specification, by: Substitute) -> tuple[Specification, TraineeNominated]:
    """The old nomination after the substitution, and the first event of the new one."""
    decision = given.when(by, COUNTY, on(10, 8), Facts(PLAN)).then(SubstituteNamed, NominationWithdrawn)
    first = decision.others[0].events[0]
    assert isinstance(first, TraineeNominated)
    return given.given(*decision.events), first


def test_case_16_a_substitute_is_of_the_same_recipient_and_meets_every_check_again() -> None:
    given = confirmed()
    decision = given.when(command(), COUNTY, on(10, 8), Facts(PLAN)).then(SubstituteNamed, NominationWithdrawn)
    own, person = decision.others
    assert (own.stream, own.expected_version) == (f"trainee/{B}", 0)
    assert isinstance(person.events[0], PersonRegistered)
    assert decision.claims == (
        Release(active_key(PERSON, PLAN.id, "gp5"), NUMBER),
        Count(class_seat_key(CLASS), -1),
        Take(active_key(UUID(int=2), PLAN.id, "gp5"), B),
        Clear(restriction_key(UUID(int=2)), calendar.local_date(on(10, 8))),
    )
    assert decision.starts == (Start("trainee", B, PLAN.id),)
    unfit = command(stage="senior", position="principal", school="410181-s02")
    given.when(unfit, COUNTY, on(10, 8), Facts(PLAN)).refused("stage_not_eligible", "position_not_eligible")
    given.when(command(who=1).model_copy(update={"person": SubstitutePerson(id=PERSON, sealed="s")}),
               COUNTY, on(10, 8), Facts(PLAN)).refused("substitute_is_the_same")  # fmt: skip
    given.when(command(), SCHOOL, on(10, 8), Facts(PLAN)).refused("not_your_part")


def test_case_16_there_is_one_substitute_per_vacancy_and_both_levels_decide_on_him() -> None:
    old, first = substituted(confirmed(), command())
    old.when(command(C, 3), COUNTY, on(10, 8), Facts(PLAN)).refused("not_allowed_in_phase")
    new = specification(trainee, B, fold).given(first)
    case = case_of(B, state_of(first))
    assert (case.phase, case.deadline, case.timer) == ("nominated", CUT_OFF, True)
    by_county = new.when(Approve(), COUNTY, on(10, 8), Facts(PLAN)).then(NominationApproved)
    by_city = new.given(*by_county.events).when(Approve(host="h001"), BUREAU, on(10, 9), Facts(PLAN))
    selected = state_of(first, *by_county.events, *by_city.then(NominationApproved).events)
    assert (selected.phase, selected.timer) == ("selected", False)
    late = new.when(PassDeadline(), SYSTEM, CUT_OFF, Facts(PLAN)).then(NominationRejected)
    assert Count(seat_key(PLAN.id, "gp5:410181"), -1) in late.claims


def test_case_17_after_the_cut_off_a_substitute_could_not_reach_the_days() -> None:
    required = PLAN.project_type("gp5").centralised_days_required
    assert substitute_cut_off(PLAN, state_of(*confirmed().events)) == calendar.end_of_day(
        ENDS - timedelta(days=required - 1)
    )
    confirmed().when(command(), COUNTY, CUT_OFF - timedelta(seconds=1), Facts(PLAN)).then(
        SubstituteNamed, NominationWithdrawn
    )
    confirmed().when(command(), COUNTY, CUT_OFF, Facts(PLAN)).refused("substitute_too_late")


def test_case_18_a_chain_of_substitutes_leaves_only_the_last_one_present() -> None:
    a, first_b = substituted(confirmed(), command())
    b, first_c = substituted(confirmed(B, first_b), command(C, 3))
    assert first_c.substitutes == B and first_b.substitutes == NUMBER
    morning = on(10, 10)
    refusal = a.when(Register(), HOST, morning, Facts(PLAN)).refused("substituted")
    assert B in refusal.reasons[0].en
    b.when(Register(), HOST, morning, Facts(PLAN)).refused("substituted")
    a.when(Confirm(), SCHOOL, morning, Facts(PLAN)).refused("substituted")
    confirmed(C, first_c).when(Register(), HOST, morning, Facts(PLAN)).then(TraineeRegistered)


def test_case_19_who_turns_up_as_somebody_else_makes_neither_present() -> None:
    given = confirmed()
    decision = given.when(ReportImpersonation(evidence="photo 3"), HOST, on(10, 10), Facts(PLAN))
    reported = decision.then(ImpersonationReported)
    assert {each.recipient for each in reported.notices} == {"410181", "410181-s01", "zzedu"}
    after = given.given(*reported.events)
    after.when(Register(), HOST, on(10, 10), Facts(PLAN)).refused("impersonation_recorded")
    after.when(ReportImpersonation(evidence="again"), HOST, on(10, 10), Facts(PLAN)).refused("impersonation_recorded")
    given.when(ReportImpersonation(evidence="e"), OTHER_HOST, on(10, 10), Facts(PLAN)).refused("not_your_part")
    assert state_of(*after.events).phase == "confirmed"


def test_case_20_the_seat_counts_once_through_every_hand() -> None:
    seat = seat_key(PLAN.id, "gp5:410181")
    given = confirmed()
    decision = given.when(command(), COUNTY, on(10, 8), Facts(PLAN)).then(SubstituteNamed, NominationWithdrawn)
    assert not [each for each in decision.claims if isinstance(each, Count) and each.key == seat]
    (withdrawn,) = (each for each in decision.events if isinstance(each, NominationWithdrawn))
    assert withdrawn.seat_freed is False
    first = decision.others[0].events[0]
    new = specification(trainee, B, fold).given(first)
    assert state_of(first).seat_held and not state_of(*given.events, *decision.events).seat_held
    returned = new.when(Return(reason="photo"), COUNTY, on(10, 8), Facts(PLAN)).then(NominationReturned)
    assert returned.claims == (), "a substitute who is corrected keeps the seat"
    approved = new.when(Approve(), COUNTY, on(10, 8), Facts(PLAN)).then(NominationApproved)
    assert approved.claims == ()
    city = NominationApproved(level="city", by="bureau:zzedu", host="h001")
    records = [case_record((*given.events, *decision.events)), case_record((first, *approved.events, city))]
    (row,) = county_rows([AssignedSeats("410181", 1, 1)], [each for each in records if each is not None])
    assert (row.selected, row.assigned, row.nominated) == (1, 1, 2)


def test_case_4_a_removed_hosts_trainee_goes_to_the_one_that_takes_over() -> None:
    given = specification(trainee, NUMBER, fold).given(*SELECTED)
    given.when(ReassignHost(), SYSTEM, on(9, 5), Facts(PLAN)).refused("host_not_removed")
    facts = Facts(PLAN, removed_hosts={"h001": "h002"})
    decision = given.when(ReassignHost(), SYSTEM, on(9, 5), facts).then(HostReassigned, NominationApproved)
    assert {each.recipient for each in decision.notices} == {"h002", "410181", "410181-s01"}
    moved = given.given(*decision.events)
    assert state_of(*moved.events).host == "h002"
    moved.when(ReassignHost(), SYSTEM, on(9, 5), facts).refused("host_not_removed")
    in_turn = Facts(PLAN, removed_hosts={"h001": "h002", "h002": "h004"})
    for case in (given, moved):
        (reassigned, _) = (
            case.when(ReassignHost(), SYSTEM, on(9, 6), in_turn).then(HostReassigned, NominationApproved).events
        )
        assert isinstance(reassigned, HostReassigned) and reassigned.host == "h004"
    pending = specification(trainee, NUMBER, fold).given(*SELECTED[:2])
    pending.when(Approve(host="h001"), BUREAU, on(8, 30), facts).refused("host_removed")


def test_case_8_a_substitute_under_another_name_is_held_for_review() -> None:
    decision = (
        confirmed()
        .when(command(name_differs=True), COUNTY, on(9, 30), Facts(PLAN))
        .then(SubstituteNamed, NominationWithdrawn)
    )
    nominated = decision.others[0].events[0]
    assert isinstance(nominated, TraineeNominated)
    assert nominated.identity_review and nominated.sealed == "sealed"
    assert [each.recipient for each in decision.notices if each.type == "identity.review_needed"] == ["zzedu"]
