"""What is wrong with a request's content: each fault with its place, its words in both languages and the way out.

The words come from here and not from the input: a wrong value may be somebody's telephone number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

FAULT_LIMIT = 100
"""No more faults than these are listed of one request."""

NEAR_ENOUGH = 0.6
"""How alike two names must be, from 0 to 1, for one to be offered instead of the other."""

NAME_LIMIT = 64
"""Characters of an unknown name that are repeated; a longer one is no misspelt field."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `pointer` is a JSON pointer into the body, `parameter` a query parameter or header.

    `line`, `column` (from 1), `expected` and `found` are given for a plan only, which holds nothing personal.
    """

    code: str
    en: str
    zh: str
    remedy_en: str
    remedy_zh: str
    pointer: str = ""
    parameter: str = ""
    source: str = ""
    line: int = 0
    column: int = 0
    expected: str = ""
    found: str = ""

    def as_json(self, prefix: str = "") -> dict[str, str | int]:
        """The fault as an item of a problem's `errors`; `prefix` goes before the pointer."""
        item: dict[str, str | int] = {
            "code": self.code,
            "detail": self.en,
            "detail_zh": self.zh,
            "remedy": self.remedy_en,
            "remedy_zh": self.remedy_zh,
        }
        if self.pointer or (prefix and not self.parameter):
            item["pointer"] = prefix + self.pointer
        for name in ("parameter", "source", "line", "column", "expected", "found"):
            value = getattr(self, name)
            if value:
                item[name] = value
        return item


# Kind of error → (code, Chinese words, remedies). The English words are pydantic's own, which hold no input.
_WORDS: dict[str, tuple[str, str, str, str]] = {
    "missing": ("missing", "缺少此项。", "Give it.", "请填写。"),
    "string": ("wrong_text", "文字不符合要求。", "Correct the text.", "请更正。"),
    "too_short": ("too_short", "内容过短或过少。", "Give more.", "请补充。"),
    "too_long": ("too_long", "内容过长或过多。", "Give less, or send several requests.", "请缩短或分次提交。"),
    "pattern": ("wrong_form", "格式不符合要求。", "Use the form that is named.", "请按要求的格式填写。"),
    "choice": ("not_a_choice", "不在可选范围内。", "Use one of the choices.", "请使用可选值之一。"),
    "number": ("wrong_number", "应为范围内的整数。", "Give a whole number in range.", "请填写范围内的整数。"),
    "flag": ("wrong_flag", "应为 true 或 false。", "Give true or false.", "请填写 true 或 false。"),
    "date": ("wrong_date", "日期或时间格式有误。", "Write 2022-09-05 or 2022-09-05T08:00:00Z.", "请按所示格式填写。"),
    "shape": ("wrong_shape", "结构不符合要求。", "See /docs for the shape.", "结构见 /docs。"),
    "other": ("invalid", "内容不符合要求。", "See /docs for what is expected.", "要求见 /docs。"),
}  # fmt: skip
_KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("missing",), "missing"),
    (("string_too_short", "too_short"), "too_short"),
    (("string_too_long", "too_long"), "too_long"),
    (("string_pattern_mismatch", "uuid"), "pattern"),
    (("literal_error", "enum"), "choice"),
    (("int_", "greater_than", "less_than", "float_", "finite_number"), "number"),
    (("bool_",), "flag"),
    (("date_", "datetime_", "date_from", "timezone_"), "date"),
    (("model_", "dict_", "list_", "tuple_", "union_"), "shape"),
    (("string_",), "string"),
)


def is_malformed(errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the body is not even JSON."""
    return any(each["type"] == "json_invalid" for each in errors)


def is_unknown_path(errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a part of the path has a form that nothing has, so that there is nothing at this address."""
    return any(each["loc"] and each["loc"][0] == "path" for each in errors)


def faults_of(errors: Iterable[Mapping[str, Any]], body: Any = None) -> tuple[Fault, ...]:
    """What pydantic found, as faults. `body` is the annotation or FieldInfo of the body, to find the nearest names."""
    annotation = getattr(body, "annotation", body)
    faults = []
    for error in errors:
        place, path = _place(error["loc"])
        if error["type"] == "extra_forbidden" and place == "body":
            fault = unknown_field(str(path[-1]), known_names(annotation, path[:-1]))
        else:
            fault = _fault(error)
        if place == "body":
            shown = () if error["type"] == "json_invalid" else _without_tags(annotation, path)
            faults.append(replace(fault, pointer=_pointer(shown)))
        else:
            faults.append(replace(fault, parameter=".".join(str(part) for part in path)))
        if len(faults) == FAULT_LIMIT:
            break
    return tuple(faults)


def _place(location: tuple[int | str, ...]) -> tuple[str, tuple[int | str, ...]]:
    if location and location[0] in ("body", "query", "path", "header", "cookie"):
        return str(location[0]), location[1:]
    return "body", location


def _fault(error: Mapping[str, Any]) -> Fault:
    type_ = str(error["type"])
    if type_ == "json_invalid":
        return NOT_JSON
    kind = next((kind for prefixes, kind in _KINDS if type_.startswith(prefixes)), "other")
    code, zh, remedy_en, remedy_zh = _WORDS[kind]
    message = str(error["msg"]).removeprefix("Value error, ")
    return Fault(code, f"{message}.", zh, remedy_en, remedy_zh)


NOT_JSON = Fault(
    "not_json", "The body is not JSON.", "请求体不是 JSON。", "Send JSON in UTF-8.", "请发送 UTF-8 的 JSON。"
)


def _pointer(path: Iterable[int | str]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def unknown_field(name: str, known: Iterable[str]) -> Fault:
    """A field that does not exist, with the nearest one that does."""
    hint_en, hint_zh = _hints(name, known)
    shown = name[:NAME_LIMIT]
    return Fault("unknown_field", f"There is no field `{shown}`.", f"没有字段“{shown}”。", hint_en, hint_zh)


def unknown_parameter(name: str, known: Iterable[str]) -> Fault:
    """A query parameter that does not exist, with the nearest one that does."""
    hint_en, hint_zh = _hints(name, known)
    shown = name[:NAME_LIMIT]
    words = (f"There is no query parameter `{shown}`.", f"没有查询参数“{shown}”。")
    return Fault("unknown_parameter", *words, hint_en, hint_zh, parameter=shown)


def repeated_parameter(name: str) -> Fault:
    """A query parameter that is given more than once and has one value."""
    words = (f"The query parameter `{name}` is given more than once.", f"查询参数“{name}”重复。")
    return Fault("repeated_parameter", *words, "Give it once.", "只填写一次。", parameter=name)


def _hints(name: str, known: Iterable[str]) -> tuple[str, str]:
    names = sorted(known)
    nearest = get_close_matches(name[:NAME_LIMIT].lower(), names, n=1, cutoff=NEAR_ENOUGH)
    if nearest:
        return f"Did you mean `{nearest[0]}`?", f"是否应为“{nearest[0]}”？"
    if not names:
        return "Leave it out.", "请删除。"
    listed = ", ".join(names)
    return f"Known here: {listed}.", f"此处可用：{listed}。"


# ------------------------------------------------------------------------------------- walking the body's models


def known_names(annotation: Any, path: Sequence[int | str]) -> frozenset[str]:
    """The names of the fields that may stand at `path` of a body."""
    for model, rest in _models(annotation, tuple(path)):
        if not rest:
            return frozenset(model.model_fields)
    return frozenset()


def _without_tags(annotation: Any, path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path without the names that pydantic gives to the members of a tagged union."""
    if not path or not _is_tagged(annotation):
        return path
    return path[1:]


def _is_tagged(annotation: Any) -> bool:
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return any(get_origin(member) is Annotated for member in members)


def _models(annotation: Any, path: tuple[int | str, ...]) -> Iterable[tuple[type[BaseModel], tuple[int | str, ...]]]:
    """Each model on the way along `path`, with what is left of the path there. Bounded by the path's length."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _models(get_args(annotation)[0], path)
    elif origin in (Union, UnionType):
        rest = path[1:] if _is_tagged(annotation) and path else path
        for member in get_args(annotation):
            yield from _models(member, rest)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
        field = annotation.model_fields.get(str(path[0])) if path else None
        if field is not None:
            yield from _models(field.annotation, path[1:])
    elif origin in (list, tuple) and path:
        for member in get_args(annotation):
            yield from _models(member, path[1:])
