"""Training days by mode, person and cycle, and the certificates of the same completions."""

from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docgen.lifecycles.plan import on
from domain import training_days
from domain.certificate import certificates
from domain.decision import Event
from domain.numbers import (
    certificate_number,
    days_number,
    parse_days_number,
    trainee_of_certificate,
)
from domain.plan_eligibility import Cycle, Eligibility
from domain.trainee_correction_messages import CertificateReissued, CertificateRevoked
from domain.trainee_messages import TraineeEnrolled
from domain.trainee_outcome_messages import TrainingCompleted
from domain.training_days import DaysCredited, DaysReversed, TrainingDays, fold
from tests.specification import the_plan

PERSON = UUID("00000000-0000-7000-8000-000000000001")
NUMBER = "zz22-410181-00001"
ENROLLED = TraineeEnrolled(
    training_class="zz22-c-h001-01",
    host="h001",
    starts=date(2022, 10, 10),
    ends=date(2022, 10, 16),
    confirm_by=on(10, 6, 16),
)


def credited(centralised: int, online: int = 0, hours: int = 0) -> DaysCredited:
    return DaysCredited(
        person=PERSON,
        cycle="2021-2025",
        campaign="2022-zhengzhou",
        trainee=NUMBER,
        project_type="gp5",
        starts=date(2022, 10, 10),
        centralised_days=centralised,
        online_days=online,
        hours=hours,
        certificate=f"{NUMBER}-c1",
    )


def reversed_(entry: DaysCredited) -> DaysReversed:
    return DaysReversed(
        person=PERSON,
        cycle=entry.cycle,
        campaign=entry.campaign,
        trainee=entry.trainee,
        centralised_days=-entry.centralised_days,
        online_days=-entry.online_days,
        hours=-entry.hours,
        certificate=entry.certificate,
        reason="r",
        document="d",
    )


def completed(certificate: str) -> TrainingCompleted:
    return TrainingCompleted(
        by="host:h001",
        centralised_days=7,
        online_days=0,
        hours=56,
        grade="good",
        certificate=certificate,
        cycle="2021-2025",
    )


@pytest.mark.parametrize(
    ("first_day", "cycle"),
    [
        (date(2020, 12, 31), "2016-2020"),
        (date(2021, 1, 1), "2021-2025"),
        (date(2025, 12, 31), "2021-2025"),
        (date(2026, 1, 1), "2026-2030"),
        (date(2011, 5, 1), "2011-2015"),
    ],
)
def test_case_56_the_first_day_of_a_training_decides_its_cycle(first_day: date, cycle: str) -> None:
    assert the_plan().cycle_of(first_day) == cycle


def test_case_56_a_plan_may_count_other_cycles() -> None:
    cycle = Cycle(first_year=2020, years=3, source="ours", paragraph_zh="三年")
    plan = the_plan().model_copy(update={"eligibility": Eligibility(cycle=cycle)})
    assert [plan.cycle_of(date(year, 6, 1)) for year in (2019, 2020, 2022, 2023)] == [
        "2017-2019", "2020-2022", "2020-2022", "2023-2025",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 300)), min_size=1, max_size=8))
def test_case_57_what_is_reversed_is_a_negative_entry_and_the_sum_is_what_stands(
    amounts: list[tuple[int, int, int]],
) -> None:
    entries: list[Event] = [credited(*each) for each in amounts]
    state = fold(entries)
    assert state is not None
    assert (state.centralised_days, state.online_days, state.hours) == tuple(map(sum, zip(*amounts, strict=True)))
    undone = fold([*entries, *(reversed_(each) for each in entries if isinstance(each, DaysCredited))])
    assert undone == TrainingDays(PERSON, "2021-2025", entries=2 * len(amounts))
    assert fold(()) is None


def test_numbers_and_their_inverse() -> None:
    assert parse_days_number(days_number(PERSON, "2021-2025")) == (PERSON, "2021-2025")
    assert trainee_of_certificate(certificate_number(NUMBER, 12)) == NUMBER
    for wrong in ("zz22-410181-00001", "x-c", "-c1", "zz22-410181-00001-cx"):
        with pytest.raises(ValueError, match="not the number"):
            trainee_of_certificate(wrong)
    with pytest.raises(TypeError):
        training_days.evolve(None, ENROLLED)


def test_case_51_55_a_corrected_name_supersedes_and_the_date_stays() -> None:
    reissued = CertificateReissued(certificate="c2", supersedes="c1", by="b", reason="name", document="d")
    found = certificates(
        [(ENROLLED, date(2022, 9, 1)), (completed("c1"), date(2022, 10, 16)), (reissued, date(2023, 3, 1))]
    )
    assert (found["c1"].status, found["c1"].successor) == ("superseded", "c2")
    assert (found["c2"].status, found["c2"].dated, found["c2"].hours) == ("valid", date(2022, 10, 16), 56)


def test_case_52_a_revoked_certificate_still_resolves_as_revoked() -> None:
    revoked = CertificateRevoked(certificate="c1", by="b", reason="outcome_corrected")
    found = certificates(
        [
            (ENROLLED, date(2022, 9, 1)),
            (completed("c1"), date(2022, 10, 16)),
            (revoked, date(2022, 12, 1)),
            (completed("c2"), date(2022, 12, 1)),
        ]
    )
    assert {number: each.status for number, each in found.items()} == {"c1": "revoked", "c2": "valid"}
    assert (found["c1"].starts, found["c1"].ends) == (ENROLLED.starts, ENROLLED.ends)
