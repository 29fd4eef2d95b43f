"""The bulletins' formulas, counted by hand and in general."""

import hashlib
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.bulletin import (
    COLUMNS,
    FORMULAS_VERSION,
    SUPPRESSED,
    AssignedSeats,
    BulletinRow,
    CaseRecord,
    Rate,
    bulletins_sha256,
    canonical,
    case_record,
    county_rows,
    host_rows,
    published,
)
from domain.decision import Event
from domain.trainee_messages import EVENTS
from tests.projections import trainee_lives
from tests.projections.trainee_lives import LIVES

SEATS = (AssignedSeats("410181", 20, 22), AssignedSeats("410181", 10, 8), AssignedSeats("zznu", 4, 4))


def cases(*lives: str, county: str = "410181") -> list[CaseRecord]:
    found = [case_record(trainee_lives.trainee(number, life, county).events) for number, life in enumerate(lives)]
    return [each for each in found if each is not None]


def cells(row: BulletinRow) -> dict[str, str]:
    keys = [column.key for column in COLUMNS["counties"]]
    return dict(zip(keys, published("counties", row), strict=True))


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [
        (0, 0, "—"), (3, 0, "—"), (0, 7, "0.0%"), (27, 30, "90.0%"), (1, 3, "33.3%"), (2, 3, "66.7%"),
        (30, 30, "100.0%"), (1, 2000, "0.1%"), (1, 2001, "0.0%"), (1, 16, "6.3%"), (31, 30, "103.3%"),
    ],
)  # fmt: skip
def test_a_rate_is_rounded_half_up_to_one_decimal_and_of_nothing_it_is_a_dash(
    numerator: int, denominator: int, text: str
) -> None:
    assert str(Rate(numerator, denominator)) == text
    assert Rate(numerator, denominator).fraction == f"{numerator}/{denominator}"


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_rate_is_never_off_by_more_than_half_of_its_last_digit(numerator: int, denominator: int) -> None:
    tenths = int(str(Rate(numerator, denominator)).replace(".", "").removesuffix("%"))
    assert abs(tenths * denominator - 1_000 * numerator) * 2 <= denominator


def test_the_formulas_counted_by_hand_edge_case_47() -> None:
    counted = cases(
        "selected", "withdrawn", "declined", "rejected", "nominated", "confirmed", "unconfirmed", "in-training",
        "excused", "absent", "unexcused", "dismissed", "not-completed", "completed", "closed", "lapsed",
    )  # fmt: skip
    (row, university) = county_rows(SEATS, counted)
    assert row == BulletinRow(
        organisation="410181",
        formulas=2,
        assigned=30,
        adjusted=30,
        nominated=16,
        selected=12,
        withdrawn=2,
        enrolled=13,
        confirmed=11,
        registered=7,
        excused=1,
        absent=2,
        completed=3,
        dismissed=1,
        not_completed=1,
    )
    assert row.selection_rate == Rate(12, 30)
    assert row.registration_rate == Rate(7, 11)
    assert row.completion_rate == Rate(3, 7)
    assert university == BulletinRow(organisation="zznu", formulas=2, assigned=4, adjusted=4)
    assert str(university.registration_rate) == "—"
    assert row.formulas == FORMULAS_VERSION == 2


def test_both_bulletins_keep_original_and_adjusted_seats_edge_case_2() -> None:
    (row,) = county_rows([AssignedSeats("410181", 10, 8)], cases("selected", "selected"))
    assert (row.selection_rate, row.adjusted_selection_rate) == (Rate(2, 10), Rate(2, 8))


def test_a_seat_counts_once_edge_case_20() -> None:
    # Two who gave up and the two who came for them: two seats, not four.
    (row,) = county_rows([AssignedSeats("410181", 2, 2)], cases("withdrawn", "declined", "selected", "closed"))
    assert row.selection_rate == Rate(2, 2)
    assert row.withdrawn == 2


def test_the_excused_are_shown_in_and_out_of_the_denominator_edge_case_50() -> None:
    (row,) = county_rows([], cases("excused", "absent", "closed", "closed"))
    assert row.registration_rate == Rate(2, 4)
    assert row.registration_rate_without_excused == Rate(2, 3)
    (row,) = county_rows([], cases("excused"))
    assert str(row.registration_rate_without_excused) == "—"


def test_small_cells_are_suppressed_in_the_published_form_only_edge_case_49() -> None:
    row = BulletinRow(
        organisation="410181", assigned=2, adjusted=30, nominated=40, selected=27, withdrawn=2, confirmed=27,
        registered=24, excused=1, absent=2, completed=20, dismissed=0, not_completed=4,
    )  # fmt: skip
    shown = cells(row)
    assert row.excused == 1
    assert (shown["withdrawn"], shown["excused"], shown["absent"]) == (SUPPRESSED,) * 3
    assert shown["registration_rate_without_excused"] == SUPPRESSED
    # Seats are not people, nothing is not a small cell, and three are enough.
    assert (shown["assigned"], shown["dismissed"], shown["not_completed"]) == ("2", "0", "4")
    assert shown["registration_rate"] == "88.9% (24/27)"
    assert shown["completion_rate"] == "83.3% (20/24)"


def test_a_hidden_cell_cannot_be_worked_out_from_its_neighbour() -> None:
    row = BulletinRow(organisation="410181", confirmed=30, registered=20, excused=1, absent=9, dismissed=5)
    shown = cells(row)
    assert (shown["excused"], shown["absent"]) == (SUPPRESSED, SUPPRESSED)
    assert (shown["dismissed"], shown["not_completed"]) == ("5", "0")


@pytest.mark.parametrize("people", [1, 2])
def test_a_rate_about_one_or_two_people_is_suppressed(people: int) -> None:
    row = BulletinRow(
        organisation="h001", assigned=30, adjusted=30, selected=people, confirmed=people, registered=people, completed=1
    )
    shown = cells(row)
    for rate in ("selection_rate", "registration_rate", "completion_rate"):
        assert shown[rate] == SUPPRESSED
    assert (shown["selected"], shown["registered"]) == (SUPPRESSED, SUPPRESSED)


def test_the_published_form_names_organisations_and_figures_only_edge_case_69() -> None:
    rows = (*county_rows(SEATS, cases(*LIVES)), *host_rows(cases(*LIVES)))
    assert {name for row in rows for name, value in row.model_dump().items() if not isinstance(value, int)} == {
        "organisation",
        "rating",
    }
    document = canonical(rows, ()).decode()
    assert "trainee" not in document
    assert "zz22-" not in document
    for kind in COLUMNS:
        assert COLUMNS[kind][0].key == "organisation"
        assert len(published(kind, rows[0])) == len(COLUMNS[kind])


def test_event_data_hold_no_floats() -> None:
    with pytest.raises(ValidationError):
        BulletinRow.model_validate({"organisation": "410181", "selected": 1.0})
    with pytest.raises(ValidationError):
        BulletinRow(organisation="410181", selected=-1)


def test_case_22_a_cancelled_class_is_out_of_all_denominators() -> None:
    (there,) = county_rows([AssignedSeats("410181", 30, 30)], cases("in-training", "in-training"))
    (row,) = county_rows([AssignedSeats("410181", 30, 30)], cases("in-training", "place-lost"))
    assert (there.selected, there.enrolled, there.confirmed, there.registered) == (2, 2, 2, 2)
    assert (row.selected, row.enrolled, row.confirmed, row.registered) == (2, 1, 1, 1)
    (elsewhere,) = county_rows([], cases("in-training", "placed-again"))
    assert (elsewhere.enrolled, elsewhere.confirmed, elsewhere.registered) == (2, 1, 1)


def test_a_row_that_does_not_say_its_formulas_was_counted_by_the_first() -> None:
    assert BulletinRow(organisation="410181").formulas == 1


def test_the_digest_depends_on_the_figures_alone() -> None:
    counted = cases(*LIVES) + cases(*LIVES, county="410182")
    counties, hosts = county_rows(SEATS, counted), host_rows(counted)
    digest = bulletins_sha256(counties, hosts)
    random.Random(7).shuffle(counted)
    assert bulletins_sha256(reversed(county_rows(reversed(SEATS), counted)), host_rows(counted)) == digest
    changed = counties[0].model_copy(update={"absent": counties[0].absent + 1})
    assert bulletins_sha256((changed, *counties[1:]), hosts) != digest
    assert bulletins_sha256(counties, ()) != digest
    assert bulletins_sha256(hosts, counties) != digest


def test_the_form_of_the_digested_document_is_fixed_or_every_digest_ever_issued_would_change() -> None:
    row = BulletinRow(organisation="h001", selected=3, registered=2, formulas=1)
    assert canonical((), (row,)) == (
        b'{"counties":[],"hosts":[{"absent":0,"adjusted":0,"assigned":0,"completed":0,"confirmed":0,"dismissed":0,'
        b'"enrolled":0,"excused":0,"formulas":1,"nominated":0,"not_completed":0,"organisation":"h001","registered":2,'
        b'"selected":3,"withdrawn":0}]}'
    )
    assert bulletins_sha256((), (row,)) == hashlib.sha256(canonical((), (row,))).hexdigest()
    second = BulletinRow(organisation="h001", formulas=2, selected=3, registered=2, duties=3, duties_kept=2, rating="B")
    assert canonical((), (second,)) == (
        b'{"counties":[],"hosts":[{"absent":0,"adjusted":0,"assigned":0,"completed":0,"confirmed":0,"dismissed":0,'
        b'"duties":3,"duties_kept":2,"enrolled":0,"excused":0,"formulas":2,"nominated":0,"not_completed":0,'
        b'"organisation":"h001","rating":"B","registered":2,"selected":3,"withdrawn":0}]}'
    )


def test_a_case_is_where_it_was_nominated_and_where_the_city_sent_it() -> None:
    counted = cases("nominated", "county-approved", "selected", "closed")
    assert [row.nominated for row in county_rows([], counted)] == [4]
    assert [(row.organisation, row.nominated, row.selected) for row in host_rows(counted)] == [("h001", 2, 2)]


def test_every_event_of_a_case_can_be_counted() -> None:
    seen = {event.type for life in LIVES.values() for event in life}
    assert seen == set(EVENTS.types()) - {"trainee.nominated"}
    for life in LIVES:
        assert cases(life)
    assert case_record(()) is None


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(LIVES)), max_size=60), st.lists(st.sampled_from(["410181", "410182"]), max_size=60)
)
def test_sums_and_bounds_hold_for_any_lot_of_cases(lives: list[str], counties: list[str]) -> None:
    counted = [case for life, county in zip(lives, counties, strict=False) for case in cases(life, county=county)]
    by_county, by_host = county_rows(SEATS, counted), host_rows(counted)
    assert sum(row.nominated for row in by_county) == len(counted)
    for name in ("selected", "withdrawn", "enrolled", "confirmed", "registered", "excused", "absent", "completed"):
        # Whoever was selected has a host, so both bulletins speak of the same people.
        assert total(by_county, name) == total(by_host, name)
    for row in (*by_county, *by_host):
        assert row.selected + row.withdrawn <= row.nominated
        assert row.registered + row.excused + row.absent <= row.confirmed
        assert row.completed + row.dismissed + row.not_completed <= row.registered
        for rate in (row.registration_rate, row.registration_rate_without_excused, row.completion_rate):
            assert 0 <= rate.numerator <= rate.denominator


def total(rows: Iterable[BulletinRow], name: str) -> int:
    return sum(getattr(row, name) for row in rows)


def test_what_happens_after_the_end_of_a_case_does_not_count_it_twice() -> None:
    events: list[Event] = list(trainee_lives.trainee(1, "closed").events)
    once = case_record(events)
    assert once == case_record([*events, trainee_lives.COMPLETED])
