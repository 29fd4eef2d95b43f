"""The mainland identity number (居民身份证号码, GB 11643): reading it as people really type it, and masking.

No error and no `repr` here holds the number that was given: it may end in a log.
"""

import re
from dataclasses import dataclass
from datetime import date

MAX_TEXT = 64
"""A longer cell is not a number with blanks around it."""

EARLIEST_BIRTH_YEAR = 1900

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"
_FULL_WIDTH = str.maketrans("０１２３４５６７８９Ｘｘ．＋－", "0123456789Xx.+-")
_BLANKS = re.compile(r"[\s\u200b-\u200d\u2060\ufeff]+")
_PROVINCES = frozenset(
    str(code)
    for codes in (
        range(11, 16),
        range(21, 24),
        range(31, 38),
        range(41, 47),
        range(50, 55),
        range(61, 66),
        (71,),
    )
    for code in codes
)
_RESIDENCE_PERMITS = ("810000", "820000", "830000")

_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?[Ee][+]?[0-9]+")
_NUMBER = re.compile(r"[0-9]{17}[0-9X]")
_OLD_NUMBER = re.compile(r"[0-9]{15}")
_HONG_KONG_MACAO = re.compile(r"[HM][0-9]{8}([0-9]{2})?")
_TAIWAN = re.compile(r"[0-9]{8}|[0-9]{10}\([A-Z]\)|[0-9]{10}[A-Z]")
_FOREIGN = re.compile(r"[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X]")


@dataclass(frozen=True, slots=True, repr=False)
class IdentityNumber:
    """A valid number: 17 digits and a check digit, X in upper case. `division` is where it was first issued,
    which says nothing about where its holder works."""

    text: str
    division: str
    birth_date: date

    def __repr__(self) -> str:
        return f"IdentityNumber({self.masked})"

    __str__ = __repr__

    @property
    def masked(self) -> str:
        """`4101**********1234`."""
        return mask_identity_number(self.text)


class IdentityNumberError(ValueError):
    """The text is no acceptable identity number; `code` says why, the remedies say what to do."""

    def __init__(self, code: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> None:
        self.code = code
        self.zh = zh
        self.en = en
        self.remedy_zh = remedy_zh
        self.remedy_en = remedy_en
        super().__init__(f"{code}: {en}")


# code → what is wrong (zh, en) and what to do about it (zh, en)
_ERRORS = {
    "identity_empty": (
        "身份证号码为空。",
        "The identity number is empty.",
        "请填写18位居民身份证号码。",
        "Give the 18-digit identity number.",
    ),
    "identity_scientific_notation": (
        "身份证号码被电子表格改成了科学计数法，后几位已丢失。",
        "A spreadsheet turned the identity number into scientific notation; its last digits are lost.",
        "请把该列设为“文本”格式后重新填写完整号码。",
        "Format the column as text and type the whole number again.",
    ),
    "identity_rounded": (
        "身份证号码末三位为000且校验码不符，应是被电子表格按数字保存而丢失了末位。",
        "The number ends in 000 and its check digit is wrong: a spreadsheet has rounded it.",
        "请把该列设为“文本”格式后重新填写完整号码。",
        "Format the column as text and type the whole number again.",
    ),
    "identity_15_digits": (
        "这是15位的旧身份证号码。",
        "This is an old 15-digit identity number.",
        "请填写现行的18位居民身份证号码。",
        "Give the present 18-digit identity number.",
    ),
    "identity_permit_hong_kong_macao": (
        "这像是港澳居民来往内地通行证号码，暂不支持。",
        "This looks like the travel permit of a Hong Kong or Macao resident, which is not accepted here.",
        "请联系市教育局人工登记。",
        "Ask the bureau to register this teacher by hand.",
    ),
    "identity_permit_taiwan": (
        "这像是台湾居民来往大陆通行证号码，暂不支持。",
        "This looks like the travel permit of a Taiwan resident, which is not accepted here.",
        "请联系市教育局人工登记；如果是身份证号码，请补全18位。",
        "Ask the bureau to register this teacher by hand; if it is an identity number, give all 18 digits.",
    ),
    "identity_permit_residence": (
        "这是港澳台居民居住证号码，暂不支持。",
        "This is the residence permit of a Hong Kong, Macao or Taiwan resident, which is not accepted here.",
        "请联系市教育局人工登记。",
        "Ask the bureau to register this teacher by hand.",
    ),
    "identity_permit_foreign": (
        "这像是外国人永久居留身份证号码，暂不支持。",
        "This looks like a foreigner's permanent residence card, which is not accepted here.",
        "请联系市教育局人工登记。",
        "Ask the bureau to register this teacher by hand.",
    ),
    "identity_length": (
        "身份证号码应为18位。",
        "An identity number has 18 characters.",
        "请核对是否漏填或多填。",
        "Check for a missing or an extra digit.",
    ),
    "identity_characters": (
        "身份证号码只能由数字组成，末位可以是X。",
        "An identity number consists of digits; only the last may be X.",
        "请删除其他字符，注意字母O与数字0。",
        "Remove other characters; mind the letter O and the digit 0.",
    ),
    "identity_division": (
        "身份证号码的前两位不是省级行政区划代码。",
        "The first two digits are not the code of a province.",
        "请核对前六位。",
        "Check the first six digits.",
    ),
    "identity_birth_date": (
        "身份证号码中的出生日期无效。",
        "The birth date in the identity number is not a possible date.",
        "请核对第7至14位。",
        "Check the digits 7 to 14.",
    ),
    "identity_check_digit": (
        "身份证号码的校验码不符，至少有一位填错。",
        "The check digit is wrong, so at least one digit is.",
        "请对照证件逐位核对。",
        "Compare the number with the card digit by digit.",
    ),
}
IDENTITY_ERROR_CODES = frozenset(_ERRORS)

# Two-character surnames keep both characters: one alone would name another family.
_COMPOUND_SURNAMES = frozenset(
    {"欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐"}
    | {"长孙", "宇文", "司徒", "夏侯", "端木", "独孤", "南宫", "呼延", "轩辕", "申屠"}
)


def check_digit(first_17: str) -> str:
    """The 18th character for 17 digits, by ISO 7064 MOD 11-2 as GB 11643 uses it: a digit or X."""
    if not re.fullmatch(r"[0-9]{17}", first_17):
        raise ValueError("17 digits are expected")
    total = sum(int(digit) * weight for digit, weight in zip(first_17, _WEIGHTS, strict=True))
    return _CHECK_DIGITS[total % 11]


def parse_identity_number(text: str, latest_birth_date: date | None = None) -> IdentityNumber:
    """Reads an 18-digit number; blanks, a spreadsheet's apostrophe, full-width digits and x are put right.

    Raises IdentityNumberError with one of IDENTITY_ERROR_CODES: the first thing that is wrong. A birth date
    after `latest_birth_date` is impossible; without it any date will do, because nothing here reads a clock.
    """
    if len(text) > MAX_TEXT:
        raise _error("identity_length")
    number = _BLANKS.sub("", text.translate(_FULL_WIDTH)).lstrip("'\u2018\u2019").upper()
    if not number:
        raise _error("identity_empty")
    if _NUMBER.fullmatch(number) is None:
        raise _error(_what_else(number))
    if number.startswith(_RESIDENCE_PERMITS):
        raise _error("identity_permit_residence")
    if _FOREIGN.fullmatch(number):
        raise _error("identity_permit_foreign")
    if number[:2] not in _PROVINCES:
        raise _error("identity_division")
    birth_date = _birth_date(number[6:14])
    if birth_date is None or (latest_birth_date is not None and birth_date > latest_birth_date):
        raise _error("identity_birth_date")
    if check_digit(number[:17]) != number[17]:
        raise _error("identity_rounded" if number.endswith("000") else "identity_check_digit")
    return IdentityNumber(text=number, division=number[:6], birth_date=birth_date)


def mask_identity_number(number: str) -> str:
    """`4101**********1234`; anything that is not 18 characters long becomes stars."""
    return f"{number[:4]}**********{number[-4:]}" if len(number) == 18 else "*" * 18


def mask_name(name: str) -> str:
    """`王**`: the surname and always two stars, so that the length of the name stays unknown."""
    name = name.strip()
    if len(name) < 2:
        return "**"
    surname = name[:2] if name[:2] in _COMPOUND_SURNAMES and len(name) > 2 else name[0]
    return f"{surname}**"


def _what_else(number: str) -> str:
    """The code for something that is not 18 digits; the commonest mistakes first."""
    if _SCIENTIFIC.fullmatch(number):
        return "identity_scientific_notation"
    if _OLD_NUMBER.fullmatch(number):
        return "identity_15_digits"
    if _HONG_KONG_MACAO.fullmatch(number):
        return "identity_permit_hong_kong_macao"
    if _TAIWAN.fullmatch(number):
        return "identity_permit_taiwan"
    if _FOREIGN.fullmatch(number):
        return "identity_permit_foreign"
    if re.fullmatch(r"[0-9X]*", number):
        return "identity_characters" if len(number) == 18 else "identity_length"
    return "identity_characters"


def _birth_date(digits: str) -> date | None:
    try:
        birth_date = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    return birth_date if birth_date.year >= EARLIEST_BIRTH_YEAR else None


def _error(code: str) -> IdentityNumberError:
    return IdentityNumberError(code, *_ERRORS[code])
