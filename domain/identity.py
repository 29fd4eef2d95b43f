"""The mainland identity number (居民身份证号码, GB 11643) and the permits in its place: read as people type them.

No error and no `repr` here holds the number that was given: it may end in a log.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Literal

DocumentKind = Literal["identity-card", "hong-kong-macao-permit", "taiwan-permit", "foreign-permanent-residence"]
"""居民身份证 (and 港澳台居民居住证, which has the same form), 港澳居民来往内地通行证, 台湾居民来往大陆通行证,
外国人永久居留身份证."""

MAX_TEXT = 64
"""A longer cell is not a number with blanks around it."""

EARLIEST_BIRTH_YEAR = 1900

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"
_FULL_WIDTH = str.maketrans("０１２３４５６７８９ＸｘＨｈＭｍ．＋－", "0123456789XxHhMm.+-")
_NAME_DOTS = re.compile(r"[\s\u00b7\u2022\u2027\u30fb\u0387.]+")
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
_CENTURY_OF_OLD_NUMBERS = "19"

_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?[Ee][+]?[0-9]+")
_NUMBER = re.compile(r"[0-9]{17}[0-9X]")
_OLD_NUMBER = re.compile(r"[0-9]{15}")
_HONG_KONG_MACAO = re.compile(r"([HM][0-9]{8})([0-9]{2})?")
_TAIWAN = re.compile(r"[0-9]{8}|[0-9]{10}\([A-Z]\)|[0-9]{10}[A-Z]")
_FOREIGN = re.compile(r"[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X]")
_FOREIGN_BIRTH_DATE = slice(7, 13)


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


@dataclass(frozen=True, slots=True, repr=False)
class IdentityDocument:
    """A document that tells who somebody is, by its kind; `text` is the one spelling of its number."""

    kind: DocumentKind
    text: str

    def __repr__(self) -> str:
        return f"IdentityDocument({self.kind})"


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
        "这是15位的旧身份证号码，且其中有误。",
        "This is an old 15-digit identity number, and something in it is wrong.",
        "请填写现行的18位居民身份证号码。",
        "Give the present 18-digit identity number.",
    ),
    "identity_permit_hong_kong_macao": (
        "这像是港澳居民来往内地通行证号码，不是身份证号码。",
        "This looks like the travel permit of a Hong Kong or Macao resident, not like an identity number.",
        "请注明证件类型：hong-kong-macao-permit。",
        "Say so: identity_document is `hong-kong-macao-permit`.",
    ),
    "identity_permit_taiwan": (
        "这像是台湾居民来往大陆通行证号码，不是身份证号码。",
        "This looks like the travel permit of a Taiwan resident, not like an identity number.",
        "请注明证件类型：taiwan-permit；如果是身份证号码，请补全18位。",
        "Say so: identity_document is `taiwan-permit`; if it is an identity number, give all 18 digits.",
    ),
    "identity_permit_foreign": (
        "这像是外国人永久居留身份证号码，不是居民身份证号码。",
        "This looks like a foreigner's permanent residence card, not like an identity number.",
        "请注明证件类型：foreign-permanent-residence。",
        "Say so: identity_document is `foreign-permanent-residence`.",
    ),
    "identity_permit_form": (
        "号码不符合所注明的证件类型。",
        "The number does not have the form of the document that was named.",
        "请核对证件类型和号码：通行证为H或M加8位数字、8位数字，或永久居留身份证的15位或18位。",
        "Check the kind and the number: H or M with 8 digits, 8 digits, or the 15 or 18 characters of the card.",
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

    A right 15-digit number of before 1999 becomes the 18-digit number of the same person. Residence permits of Hong
    Kong, Macao and Taiwan residents have the same form and are read as well. Raises IdentityNumberError with one of
    IDENTITY_ERROR_CODES: the first thing that is wrong. A birth date after `latest_birth_date` is impossible; without
    it any date will do, because nothing here reads a clock.
    """
    number = _spelt(text)
    is_old = _OLD_NUMBER.fullmatch(number) is not None
    if is_old:
        first_17 = number[:6] + _CENTURY_OF_OLD_NUMBERS + number[6:]
        number = first_17 + check_digit(first_17)
    elif _NUMBER.fullmatch(number) is None:
        raise _error(_what_else(number))
    if not is_old and _FOREIGN.fullmatch(number):
        raise _error("identity_permit_foreign")
    if number[:2] not in _PROVINCES and not number.startswith(_RESIDENCE_PERMITS):
        raise _error("identity_15_digits" if is_old else "identity_division")
    birth_date = _birth_date(number[6:14])
    if birth_date is None or (latest_birth_date is not None and birth_date > latest_birth_date):
        raise _error("identity_15_digits" if is_old else "identity_birth_date")
    if check_digit(number[:17]) != number[17]:
        raise _error("identity_rounded" if number.endswith("000") else "identity_check_digit")
    return IdentityNumber(text=number, division=number[:6], birth_date=birth_date)


def parse_identity_document(
    text: str, kind: DocumentKind = "identity-card", latest_birth_date: date | None = None
) -> IdentityDocument:
    """Reads the number of a document whose kind was named. Raises IdentityNumberError.

    A permit is renewed under a new last part (`H12345678` + 02): what stays is who somebody is.
    """
    if kind == "identity-card":
        return IdentityDocument(kind, parse_identity_number(text, latest_birth_date).text)
    number = _spelt(text)
    if kind == "hong-kong-macao-permit":
        match = _HONG_KONG_MACAO.fullmatch(number)
        if match is not None:
            return IdentityDocument(kind, match.group(1))
    elif kind == "taiwan-permit":
        if _TAIWAN.fullmatch(number):
            return IdentityDocument(kind, number.replace("(", "").replace(")", ""))
    elif _FOREIGN.fullmatch(number) and _is_foreign_card(number):
        return IdentityDocument(kind, number)
    raise _error("identity_permit_form")


def parse_any_document(text: str) -> IdentityDocument:
    """Reads a number of which nobody said what document it is from. Raises IdentityNumberError, the card's."""
    kinds: tuple[DocumentKind, ...] = ("hong-kong-macao-permit", "taiwan-permit", "foreign-permanent-residence")
    for kind in kinds:
        try:
            return parse_identity_document(text, kind)
        except IdentityNumberError:
            continue
    return parse_identity_document(text)


def same_name(one: str, other: str) -> bool:
    """Whether two spellings are one name: width, case, blanks and the dot of a minority name do not count."""
    return _plain_name(one) == _plain_name(other)


def _plain_name(name: str) -> str:
    return _NAME_DOTS.sub("", unicodedata.normalize("NFKC", name)).casefold()


def _spelt(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise _error("identity_length")
    number = _BLANKS.sub("", text.translate(_FULL_WIDTH)).lstrip("'\u2018\u2019").upper()
    if not number:
        raise _error("identity_empty")
    return number


def _is_foreign_card(number: str) -> bool:
    if len(number) == 18:
        return _birth_date(number[6:14]) is not None and check_digit(number[:17]) == number[17]
    year_month_day = number[_FOREIGN_BIRTH_DATE]
    return any(_birth_date(century + year_month_day) is not None for century in ("19", "20"))


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
