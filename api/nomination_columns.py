"""The columns of a nomination file: what they may be called, how their cells are read, and what is shown of them.

People write 小学 and not `primary`, 是 and not `true`, `５年` and not 5. What cannot be read is a fault of its cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api import problem_types
from api.import_columns import RESULT, RESULT_NAMES, Columns
from api.nominations import Nomination
from api.people import mask_email, mask_telephone
from api.problems import Problem
from api.receipts import parsed_row
from api.validation import Fault
from domain.identity import mask_identity_number, mask_name
from domain.plan import Plan
from spreadsheets.cells import narrow
from spreadsheets.table import Headings, Table

TELEPHONE_MASKABLE: Final = 8

HEADINGS: Final = Headings(
    {
        "name": ("姓名", "教师姓名", "name", "teacher"),
        "identity_number": ("身份证号", "身份证号码", "身份证", "证件号码", "identity number", "ID number"),
        "telephone": ("手机号", "手机号码", "手机", "联系电话", "电话", "telephone", "phone", "mobile"),
        "email": ("邮箱", "电子邮箱", "电子邮件", "email", "e-mail"),
        "project_type": ("项目代码", "项目", "项目类别", "项目类型", "培训项目", "project type", "project"),
        "stage": ("学段", "stage"),
        "subject": ("学科", "任教学科", "subject"),
        "position": ("岗位", "职务", "position"),
        "rural": ("农村教师", "是否农村", "是否农村教师", "rural"),
        "years_of_service": ("教龄", "years of service", "years"),
        "school": ("学校代码", "学校", "school", "school code"),
        RESULT: RESULT_NAMES,
    },
    frozenset({"name", "identity_number", "telephone", "project_type", "stage", "subject"}),
)
"""The first name of a column is the one in our template."""

STAGES: Final = {"幼儿园": "preschool", "学前": "preschool", "小学": "primary", "初中": "junior", "高中": "senior"}
POSITIONS: Final = {
    "教师": "teacher",
    "任课教师": "teacher",
    "校长": "principal",
    "校园长": "principal",
    "园长": "principal",
    "教研员": "researcher",
    "培训者": "trainer",
    "教师教育管理者": "administrator",
}
FLAGS: Final = {
    **dict.fromkeys(("是", "有", "√", "✓", "1", "y", "yes", "true", "农村", "rural"), "true"),
    **dict.fromkeys(("否", "无", "×", "0", "n", "no", "false", "城镇", "城市", "urban"), "false"),
}
_PLACEHOLDERS: Final[Mapping[str, Any]] = {"stage": "primary", "position": "teacher", "years_of_service": 0}


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of a plan mean, by column: `语文` → `chinese`."""

    by_column: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, plan: Plan) -> "Words":
        subjects = {word: each.id for each in plan.subjects for word in (each.id, each.name_zh, each.name_en.lower())}
        types = {word: each.id for each in plan.project_types for word in (each.id, each.name_zh, each.name_en.lower())}
        stages = STAGES | {code: code for code in STAGES.values()}
        positions = POSITIONS | {code: code for code in POSITIONS.values()}
        return cls({"subject": subjects, "project_type": types, "stage": stages, "position": positions, "rural": FLAGS})

    def meaning(self, column: str, text: str) -> str | None:
        """The code that a cell means: by its whole text, or by the code it begins with (`gp1 骨干教师`)."""
        known = self.by_column[column]
        plain = narrow(text)
        for candidate in (plain, plain.lower(), plain.split(" ", 1)[0].lower()):
            if candidate in known:
                return known[candidate]
        return None


def nomination_of(table: Table, cells: Sequence[str], campaign: str, words: Words) -> Nomination:
    """The nomination in a row. Raises Problem with every fault at once; pointers are those of a single nomination."""
    faults: list[Fault] = []
    raw: dict[str, Any] = {"campaign": campaign}
    for column in ("project_type", "stage", "subject", "position", "rural"):
        text = table.cell(cells, column)
        if text:
            meaning = words.meaning(column, text)
            if meaning is None:
                faults.append(_not_a_choice(column, words))
            raw[column] = meaning or _PLACEHOLDERS.get(column, "x")
    if "rural" in raw:
        raw["rural"] = raw["rural"] == "true"
    years = table.cell(cells, "years_of_service")
    if years:
        number = narrow(years).removesuffix("年").strip()
        if not (number.isascii() and number.isdecimal()):
            faults.append(_NOT_A_NUMBER)
        raw["years_of_service"] = int(number[:4]) if number.isascii() and number.isdecimal() else 0
    school = narrow(table.cell(cells, "school")).split(" ", 1)[0]
    if school:
        raw["school"] = school
    raw["person"] = _person(table, cells)
    try:
        nomination = parsed_row(Nomination, raw)
    except Problem as problem:
        raise Problem(problem_types.INVALID, *faults, *problem.faults) from None
    if faults:
        raise Problem(problem_types.INVALID, *faults)
    return nomination


def _person(table: Table, cells: Sequence[str]) -> dict[str, str]:
    person = {"name": table.cell(cells, "name"), "identity_number": table.cell(cells, "identity_number")}
    for column in ("telephone", "email"):
        text = narrow(table.cell(cells, column))
        if text or column == "telephone":
            person[column] = text
    return person


def _telephone(text: str) -> str:
    return mask_telephone(text) if len(text) >= TELEPHONE_MASKABLE else "******"


def _email(text: str) -> str:
    return mask_email(text) if "@" in text else "***"


COLUMNS: Final = Columns(
    HEADINGS,
    {"name": mask_name, "identity_number": mask_identity_number, "telephone": _telephone, "email": _email},
    {f"/person/{name}": name for name in ("name", "identity_number", "telephone", "email")},
)


def _not_a_choice(column: str, words: Words) -> Fault:
    known = words.by_column[column]
    # Each code once, by the word that people write.
    names: dict[str, str] = {}
    for word, code in known.items():
        names[code] = names.get(code) or word
    listed = ", ".join(code if column == "project_type" else names[code] for code in names)
    codes = ", ".join(names)
    return Fault(
        "not_a_choice",
        f"This is none of: {codes}.",
        f"不在可选值内：{listed}。",
        "Use one of them, or the list in the template.",
        "请使用其中之一，或模板中的下拉列表。",
        pointer=f"/{column}",
    )


_NOT_A_NUMBER: Final = Fault(
    "wrong_number",
    "This is no whole number of years.",
    "应为整数年数。",
    "Write digits only, for instance 5.",
    "请只填写数字，例如 5。",
    pointer="/years_of_service",
)
