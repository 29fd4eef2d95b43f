"""Identity numbers as people type them. Edge cases 9 and 10 of the domain."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import (
    IDENTITY_ERROR_CODES,
    DocumentKind,
    IdentityNumber,
    IdentityNumberError,
    check_digit,
    mask_identity_number,
    mask_name,
    parse_any_document,
    parse_identity_document,
    parse_identity_number,
    same_name,
)

# The example that GB 11643 itself prints.
STANDARD = "11010519491231002X"
# 410199 is no division: no living person has such a number.
FIRST_17 = "41019919900307123"
NUMBER = FIRST_17 + check_digit(FIRST_17)


def code_of(text: str, latest: date | None = None) -> str:
    with pytest.raises(IdentityNumberError) as caught:
        parse_identity_number(text, latest)
    return caught.value.code


@st.composite
def numbers(draw: st.DrawFn) -> str:
    birth_date = draw(st.dates(date(1900, 1, 1), date(2010, 12, 31)))
    first_17 = f"4101{draw(st.integers(0, 99)):02d}{birth_date:%Y%m%d}{draw(st.integers(0, 999)):03d}"
    return first_17 + check_digit(first_17)


def test_the_example_of_the_standard() -> None:
    number = parse_identity_number(STANDARD)
    assert number == IdentityNumber(text=STANDARD, division="110105", birth_date=date(1949, 12, 31))


@pytest.mark.parametrize(
    "typed",
    [
        STANDARD.lower(),
        "１１０１０５１９４９１２３１００２Ｘ",
        "１１０１０５１９４９１２３１００２ｘ",
        f"'{STANDARD}",
        f"\u2018{STANDARD}",
        f"  {STANDARD}\u3000\n",
        "110105 19491231 002X",
        f"\ufeff{STANDARD}\u200b",
    ],
)
def test_what_people_type_is_put_right(typed: str) -> None:
    assert parse_identity_number(typed).text == STANDARD


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "identity_empty"),
        ("  '", "identity_empty"),
        ("110105491331002", "identity_15_digits"),
        ("990105491231002", "identity_15_digits"),
        ("1.10105E+17", "identity_scientific_notation"),
        ("1.1010519491231E+17", "identity_scientific_notation"),
        ("１.１Ｅ+17".replace("Ｅ", "e"), "identity_scientific_notation"),
        ("110105194912310000", "identity_rounded"),
        ("110105194912310021", "identity_check_digit"),
        ("11010519491231003X", "identity_check_digit"),
        ("11010519491331002X", "identity_birth_date"),
        ("110105194902290020", "identity_birth_date"),
        ("110105189912310021", "identity_birth_date"),
        ("99010519491231002X", "identity_permit_foreign"),
        ("10010519491231002X", "identity_division"),
        ("810000199003071239", "identity_check_digit"),
        ("840000199003071239", "identity_division"),
        ("H12345678", "identity_permit_hong_kong_macao"),
        ("m1234567800", "identity_permit_hong_kong_macao"),
        ("01234567", "identity_permit_taiwan"),
        ("1234567890(B)", "identity_permit_taiwan"),
        ("CHN110105490101", "identity_permit_foreign"),
        ("1101051949123100", "identity_length"),
        ("11010519491231002XX", "identity_length"),
        ("1101051949123100X2", "identity_characters"),
        ("11O10519491231002X", "identity_characters"),
        ("١١٠١٠٥١٩٤٩١٢٣١٠٠٢X", "identity_characters"),
        ("①1010519491231002X", "identity_characters"),
        ("=1+1", "identity_characters"),
        ("1" * 65, "identity_length"),
    ],
)
def test_every_mistake_has_its_code(typed: str, code: str) -> None:
    assert code_of(typed) == code


def with_check_digit(first_17: str) -> str:
    return first_17 + check_digit(first_17)


def test_case_9_a_right_15_digit_number_becomes_the_present_one() -> None:
    assert parse_identity_number("110105491231002").text == STANDARD
    assert parse_identity_number("１１０１０５ 491231 002").text == STANDARD
    assert code_of("410199900307123", date(1990, 3, 6)) == "identity_15_digits"


@pytest.mark.parametrize("region", ["810000", "820000", "830000"])
def test_case_9_residence_permits_are_read_like_identity_cards(region: str) -> None:
    number = with_check_digit(f"{region}19900307123")
    assert parse_identity_number(number.lower()).text == number


@pytest.mark.parametrize(
    ("kind", "typed", "text"),
    [
        ("hong-kong-macao-permit", " h12345678", "H12345678"),
        ("hong-kong-macao-permit", "Ｍ1234567802", "M12345678"),
        ("taiwan-permit", "01234567", "01234567"),
        ("taiwan-permit", "1234567890(b)", "1234567890B"),
        ("foreign-permanent-residence", "can410199031501", "CAN410199031501"),
        ("identity-card", STANDARD.lower(), STANDARD),
    ],
)
def test_case_9_a_permit_is_accepted_by_the_kind_that_was_named(kind: DocumentKind, typed: str, text: str) -> None:
    document = parse_identity_document(typed, kind)
    assert (document.kind, document.text) == (kind, text)
    assert text not in repr(document)
    assert parse_any_document(typed).text == text


def test_case_9_the_new_card_of_foreigners_has_a_check_digit() -> None:
    number = with_check_digit("91112419900307123")
    assert parse_identity_document(number, "foreign-permanent-residence").text == number
    assert code_of(number) == "identity_permit_foreign"
    wrong = number[:17] + ("0" if number[17] != "0" else "1")
    with pytest.raises(IdentityNumberError, match="identity_permit_form"):
        parse_identity_document(wrong, "foreign-permanent-residence")


@pytest.mark.parametrize("kind", ["hong-kong-macao-permit", "taiwan-permit", "foreign-permanent-residence"])
@pytest.mark.parametrize("typed", [STANDARD, "H1234567", "CAN410199139901", "1.1E+17"])
def test_case_9_a_number_that_is_not_of_its_kind_is_a_clear_error(kind: DocumentKind, typed: str) -> None:
    with pytest.raises(IdentityNumberError) as caught:
        parse_identity_document(typed, kind)
    assert caught.value.code == "identity_permit_form"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("王小明", " 王 小明 ", True),
        ("买买提·吐尔逊", "买买提•吐尔逊", True),
        ("Ｌｉ Wei", "LI WEI", True),
        ("王小明", "王晓明", False),
    ],
)
def test_case_8_two_spellings_of_one_name(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same


def test_a_birth_date_after_the_stated_day_is_impossible() -> None:
    assert parse_identity_number(NUMBER, date(1990, 3, 7)).birth_date == date(1990, 3, 7)
    assert code_of(NUMBER, date(1990, 3, 6)) == "identity_birth_date"


def test_every_error_is_said_in_both_languages_with_a_remedy() -> None:
    typed = [
        "",
        "110105491331002",
        "1.1E+17",
        "110105194912310021",
        "H12345678",
        "01234567",
        "CHN110105490101",
    ]
    for text in typed:
        with pytest.raises(IdentityNumberError) as caught:
            parse_identity_number(text)
        error = caught.value
        assert error.code in IDENTITY_ERROR_CODES
        assert all(len(words) > 5 for words in (error.zh, error.en, error.remedy_zh, error.remedy_en))
        assert error.zh != error.en


@given(numbers())
@settings(deadline=None)
def test_a_built_number_is_read_back(number: str) -> None:
    parsed = parse_identity_number(number)
    assert parsed.text == number
    # ISO 7064 MOD 11-2 in its own words: the weighted sum of all 18 characters, X being 10, is 1 modulo 11.
    values = [10 if character == "X" else int(character) for character in number]
    assert sum(value * 2 ** (17 - place) for place, value in enumerate(values)) % 11 == 1
    assert f"{parsed.birth_date:%Y%m%d}" == number[6:14]


@given(numbers(), st.integers(0, 16), st.integers(1, 9))
@settings(deadline=None)
def test_one_wrong_digit_is_always_noticed(number: str, position: int, by: int) -> None:
    wrong = number[:position] + str((int(number[position]) + by) % 10) + number[position + 1 :]
    assert code_of(wrong).startswith("identity_")


@given(numbers(), st.integers(0, 15))
@settings(deadline=None)
def test_two_swapped_neighbours_are_always_noticed(number: str, position: int) -> None:
    swapped = number[:position] + number[position + 1] + number[position] + number[position + 2 :]
    if swapped != number:
        assert code_of(swapped).startswith("identity_")


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_text_gives_a_number_or_a_coded_error(text: str) -> None:
    code = ""
    try:
        assert len(parse_identity_number(text).text) == 18
    except IdentityNumberError as error:
        code = error.code
    assert code in {"", *IDENTITY_ERROR_CODES}


def test_the_number_is_in_no_error_and_in_no_repr() -> None:
    wrong = NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1")
    with pytest.raises(IdentityNumberError) as caught:
        parse_identity_number(wrong)
    assert wrong[6:14] not in repr(caught.value) + str(caught.value)
    number = parse_identity_number(NUMBER)
    assert NUMBER[6:14] not in f"{number!r} {number} {[number]}"


@pytest.mark.parametrize("text", ["123", "1234567890123456X", "4101991990030712３"])
def test_a_check_digit_needs_17_digits(text: str) -> None:
    with pytest.raises(ValueError):
        check_digit(text)


def test_a_number_is_masked_but_for_its_province_city_and_last_four() -> None:
    assert mask_identity_number("410181199003071234") == "4101**********1234"
    assert parse_identity_number(NUMBER).masked == f"4101**********{NUMBER[-4:]}"
    assert mask_identity_number("H12345678") == "*" * 18
    assert mask_identity_number("") == "*" * 18


@given(numbers())
@settings(deadline=None)
def test_a_mask_hides_the_birth_date(number: str) -> None:
    masked = mask_identity_number(number)
    assert len(masked) == 18
    assert masked.count("*") == 10


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("王小明", "王**"),
        ("王明", "王**"),
        (" 王明 ", "王**"),
        ("欧阳修文", "欧阳**"),
        ("欧阳", "欧**"),
        ("王", "**"),
        ("", "**"),
        ("买买提·艾力", "买**"),
    ],
)
def test_a_name_keeps_its_surname_only(name: str, masked: str) -> None:
    assert mask_name(name) == masked


def test_birth_dates_up_to_today_are_read() -> None:
    # Nothing reads a clock: a date far ahead is accepted until the caller says otherwise.
    first_17 = f"410199{date(2999, 1, 1) + timedelta(days=1):%Y%m%d}001"
    assert parse_identity_number(first_17 + check_digit(first_17)).birth_date == date(2999, 1, 2)
