"""docs/cases.md says which edge cases have tests, and which have none."""

import pytest

from docgen.edge_cases import CASES, COMMITTED, as_text, carried_by_tests, numbers_of


def test_the_committed_list_is_the_one_of_these_tests() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == as_text(carried_by_tests()), "run `python -m docgen.edge_cases`"


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_case_21_everybody_is_told", {21}),
        ("test_cases_51_to_55_a_certificate_resolves", {51, 52, 53, 54, 55}),
        ("test_case_48_72_a_correction", {48, 72}),
        ("test_cases_36_37_38_frozen", {36, 37, 38}),
        ("test_the_formulas_counted_by_hand_edge_case_47", {47}),
        ("test_a_case_is_where_it_was_nominated", set()),
        ("test_in_case_of_30_rows", set()),
    ],
)
def test_the_numbers_that_a_name_carries(name: str, numbers: set[int]) -> None:
    assert numbers_of(name) == numbers


def test_every_number_that_a_test_carries_is_a_case() -> None:
    assert set(carried_by_tests()) <= set(CASES)
    assert list(CASES) == list(range(1, 75))


def test_what_has_no_test_is_said() -> None:
    text = as_text({1: ["tests/test_x.py::test_case_1_x"]})
    assert "\n1 of 74 " in text
    assert "\n- 2. " in text and "\n- 1. " not in text
