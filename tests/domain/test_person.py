"""A teacher's record: corrected, transferred, joined, forgotten. Given events, when somebody decides, then events."""

from collections.abc import Callable
from datetime import date
from uuid import UUID

import pytest

from domain import person
from domain.decision import Decision, Refusal
from domain.person import (
    EVENTS,
    MAX_ABSORBED,
    ErasureHeld,
    Person,
    PersonAbsorbed,
    PersonCorrected,
    PersonErased,
    PersonJoined,
    PersonRegistered,
    PersonTransferred,
    Ties,
    fold,
)

ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))
REGISTERED = PersonRegistered(person=ONE, sealed="v1.first")
FREE = Ties(0, 0)


def known(id_: UUID = ONE, **changes: object) -> Person:
    values: dict[str, object] = {"id": id_, "sealed": "v1.first"}
    return Person(**(values | changes))  # type: ignore[arg-type]


def events(outcome: Decision | Refusal) -> tuple[str, ...]:
    assert isinstance(outcome, Decision), outcome
    return tuple(each.type for each in outcome.events)


def code(outcome: Decision | Refusal) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def correct(state: Person) -> Decision | Refusal:
    return person.correct(state, "v1.second", ("name",), by="bureau:zzedu", decided_by="b7", document="d")


def transfer(state: Person) -> Decision | Refusal:
    return person.transfer(state, "410182", date(2022, 9, 1), by="bureau:zzedu", document="d")


def join(kept: Person, double: Person) -> Decision | Refusal:
    return person.join(kept, double, by="bureau:zzedu", decided_by="b7", reasons="r")


def erase(state: Person, ties: Ties = FREE) -> Decision | Refusal:
    return person.erase(state, ties, by="bureau:zzedu", reason="requested")


def test_every_event_reads_back_and_moves_the_version() -> None:
    life = (
        REGISTERED,
        PersonCorrected(by="b", decided_by="b7", fields=("name",), document="d", sealed="v1.second"),
        PersonTransferred(by="b", county="410182", on=date(2022, 9, 1), document="d"),
        PersonAbsorbed(other=TWO, by="b", decided_by="b7", reasons="r"),
        ErasureHeld(by="b", reason="requested"),
        PersonErased(by="b", reason="requested"),
    )
    for event in (*life, PersonJoined(into=TWO, by="b", decided_by="b7", reasons="r")):
        assert EVENTS.parse(event.type, event.model_dump(mode="json")) == event
    state = fold(life)
    assert state == Person(
        ONE,
        "v1.second",
        version=6,
        county="410182",
        absorbed=(TWO,),
        erasure="done",
        erasure_reason="requested",
    )
    assert fold(()) is None


def test_case_12_a_correction_changes_the_fields_and_never_the_id() -> None:
    assert events(correct(known())) == ("person.corrected",)
    after = person.evolve(known(), PersonCorrected(by="b", decided_by="b7", fields=("name",), document="d", sealed="s"))
    assert (after.id, after.sealed) == (ONE, "s")
    assert code(person.correct(known(), "s", (), by="b", decided_by="b7", document="d")) == "nothing_to_correct"


def test_case_13_a_transfer_moves_no_case() -> None:
    decision = transfer(known())
    assert events(decision) == ("person.transferred",)
    assert isinstance(decision, Decision)
    assert (decision.others, decision.claims, decision.starts) == ((), (), ())


def test_case_74_two_records_of_one_teacher_end_in_one_in_a_single_append() -> None:
    decision = join(known(ONE), known(TWO, version=4))
    assert events(decision) == ("person.absorbed",)
    assert isinstance(decision, Decision)
    (other,) = decision.others
    assert (other.stream, other.expected_version) == (f"person/{TWO}", 4)
    assert other.events == (PersonJoined(into=ONE, by="bureau:zzedu", decided_by="b7", reasons="r"),)


@pytest.mark.parametrize(
    ("kept", "double", "refusal"),
    [
        (known(ONE), known(ONE), "same_person"),
        (known(ONE, joined_into=THREE), known(TWO), "record_joined"),
        (known(ONE), known(TWO, joined_into=ONE), "record_joined"),
        (known(ONE), known(TWO, absorbed=(THREE,)), "has_doubles"),
        (known(ONE, absorbed=(THREE,) * MAX_ABSORBED), known(TWO), "too_many_doubles"),
        (known(ONE, erasure="done"), known(TWO), "person_erased"),
        (known(ONE), known(TWO, erasure="held"), "erasure_held"),
    ],
)
def test_case_74_what_is_no_double_is_not_joined(kept: Person, double: Person, refusal: str) -> None:
    assert code(join(kept, double)) == refusal


def test_case_66_erasure_during_a_restriction_is_held_and_done_when_it_ends() -> None:
    assert events(erase(known(), Ties(0, 1))) == ("person.erasure_held",)
    held = known(erasure="held", erasure_reason="requested")
    assert code(erase(held, Ties(0, 1))) == "erasure_held"
    assert events(erase(held, FREE)) == ("person.erased",)
    assert events(erase(known(), FREE)) == ("person.erased",)


def test_case_66_an_open_case_is_ended_first_and_nobody_is_forgotten_twice() -> None:
    assert code(erase(known(), Ties(1, 0))) == "case_still_open"
    assert code(erase(known(erasure="done"), FREE)) == "person_erased"
    assert code(erase(known(joined_into=TWO), FREE)) == "record_joined"


@pytest.mark.parametrize("change", [correct, transfer])
@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        (known(joined_into=TWO), "record_joined"),
        (known(erasure="held"), "erasure_held"),
        (known(erasure="done"), "person_erased"),
    ],
)
def test_case_66_what_is_only_stored_is_not_changed(
    change: Callable[[Person], Decision | Refusal], state: Person, refusal: str
) -> None:
    assert code(change(state)) == refusal
