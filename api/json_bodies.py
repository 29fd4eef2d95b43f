"""JSON as it comes from outside: UTF-8, each name once in an object, finite numbers. Whatever two readers might
understand in two ways is refused, before anybody acts on it.
"""

import json
from typing import Any, Final, NoReturn

from api import problem_types
from api.problems import Problem
from api.validation import NAME_LIMIT, NOT_JSON, Fault


def read_json(body: bytes) -> Any:
    """The value of a body that is not empty. Raises Problem `malformed-request`."""
    try:
        # Windows programs put a mark before UTF-8, which RFC 8259 allows to ignore.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Problem(problem_types.MALFORMED, _NOT_UTF8) from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    # Python refuses integers of thousands of digits as a ValueError of its own.
    except (ValueError, RecursionError):
        raise Problem(problem_types.MALFORMED, NOT_JSON) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Problem(problem_types.MALFORMED, _repeated(next(name for name in names if names.count(name) > 1)))
    if not all(name.isprintable() for name in found):
        raise Problem(problem_types.MALFORMED, _ODD_NAME)
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise Problem(problem_types.MALFORMED, _NO_NUMBER)


def _repeated(name: str) -> Fault:
    shown = name[:NAME_LIMIT] if name.isprintable() else "…"
    return Fault(
        "repeated_field",
        f"The field `{shown}` stands twice in one object.",
        f"同一对象中字段“{shown}”出现两次。",
        "Give each field once: it is not clear which of the two was meant.",
        "每个字段只应出现一次：无法判断以哪一个为准。",
    )


_NOT_UTF8: Final = Fault(
    "not_utf8",
    "The body is not UTF-8.",
    "请求体不是 UTF-8 编码。",
    "Send JSON in UTF-8, without naming another charset.",
    "请以 UTF-8 发送 JSON，不要声明其他字符集。",
)
_ODD_NAME: Final = Fault(
    "odd_name",
    "A field's name holds a character that cannot be shown.",
    "字段名中含有不可显示的字符。",
    "Use the names of the documentation.",
    "请使用文档中的字段名。",
)
_NO_NUMBER: Final = Fault(
    "not_a_number",
    "NaN and Infinity are no JSON.",
    "NaN 和 Infinity 不是 JSON。",
    "Leave the value out, or give a number.",
    "请省略该值，或填写数字。",
)
