"""Reads a plan from YAML (or its canonical JSON). All problems come at once, with line and column."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from domain.plan import Plan
from domain.plan_checks import faults
from domain.plan_fault import Fault, PathStep, nearest_name

MAX_PLAN_CHARACTERS = 1_000_000
MAX_DEPTH = 20
MAX_PROBLEMS = 200
"""A file with more problems than this is not a plan with mistakes but something else."""

MAX_FOUND = 80
"""Characters of a wrong value that a problem repeats."""


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing to mend. `line` and `column` count from 1; `path` is like `project_types[2].level`."""

    line: int
    column: int
    path: str
    expected: str
    found: str
    message_zh: str
    message_en: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column} {self.path or '(file)'}: {self.message_en}"


class PlanError(Exception):
    """The text is no plan. `problems` is never empty and is sorted by line."""

    def __init__(self, problems: list[PlanProblem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def load_plan(text: str) -> Plan:
    """The plan that `text` describes. Raises PlanError with every problem that can be found at once.

    A section that is wrong in itself is left out of the checks across sections; all others are still checked.
    """
    root = _compose(text)
    reader = _Reader()
    raw = reader.read(root)
    problems = reader.problems
    plan: Plan | None = None
    try:
        plan = Plan.model_validate(raw)
        sections = frozenset(Plan.model_fields)
        checked = plan
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # What could not be read is None by now; that it should be something is not another problem.
        unreadable = {problem.path for problem in problems}
        schema_problems = [_schema_problem(root, details) for details in errors]
        problems.extend(problem for problem in schema_problems if problem.path not in unreadable)
        valid = _valid_sections(raw, {str(details["loc"][0]) for details in errors if details["loc"]})
        sections = frozenset(valid)
        checked = Plan.model_construct(**valid)
    problems.extend(_fault_problem(root, fault) for fault in faults(checked, sections))
    if problems or plan is None:
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise PlanError(problems[:MAX_PROBLEMS])
    return plan


def _valid_sections(raw: object, wrong: set[str]) -> dict[str, Any]:
    """The sections that are right in themselves, as the plan's models; one that may be left out is right without."""
    if not isinstance(raw, dict):
        return {}
    valid = {}
    for name, field in Plan.model_fields.items():
        if name in raw and name not in wrong:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            valid[name] = adapter.validate_python(raw[name])
        elif name not in raw and not field.is_required():
            valid[name] = field.default
    return valid


class _PlanLoader(yaml.SafeLoader):
    """Bounds the depth and refuses aliases: a plan is small, and unfolding an alias could make it huge."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=self.get_mark())
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str) -> Node:
    if len(text) > MAX_PLAN_CHARACTERS:
        size = str(len(text))
        _refuse(Fault((), f"at most {MAX_PLAN_CHARACTERS} characters", size, "文件过大。", "the file is too large"))
    try:
        loader = _PlanLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = error.problem or "not YAML"
        fault = Fault((), "valid YAML", what, f"YAML 格式错误：{what}", f"not valid YAML: {what}")
        _refuse(fault, line, column)
    except yaml.YAMLError as error:
        # What remains is a character that YAML does not allow; the second line only repeats the file's name.
        what = str(error).splitlines()[0]
        _refuse(Fault((), "valid YAML", "a forbidden character", "YAML 格式错误。", f"not valid YAML: {what}"))
    if node is None:
        _refuse(Fault((), "a plan", "an empty file", "文件为空。", "the file is empty"))
    return node


def _refuse(fault: Fault, line: int = 1, column: int = 1) -> NoReturn:
    raise PlanError([PlanProblem(line, column, "", fault.expected, fault.found, fault.message_zh, fault.message_en)])


class _Reader:
    """Turns nodes into dicts, lists and scalars, and keeps what could not be read."""

    def __init__(self) -> None:
        self.problems: list[PlanProblem] = []
        self._scalars = yaml.SafeLoader("")

    def read(self, node: Node, path: tuple[PathStep, ...] = ()) -> object:
        """Every key is text: `410181:` and `"410181":` are the same. The composer has bounded the depth."""
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            value: object = self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError):
            # A date like 2022-13-01, or a tag that a plan has no use for.
            found = str(node.value)[:MAX_FOUND]
            zh, en = f"无法读取“{found}”。", f"`{found}` can't be read"
            self.problems.append(_problem(node, Fault(path, "a readable value", found, zh, en)))
            return None
        return value

    def _mapping(self, node: MappingNode, path: tuple[PathStep, ...]) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                zh, en = "键必须是文字。", "a key must be a word"
                fault = Fault(path, "a word as key", "a list or mapping", zh, en)
                self.problems.append(_problem(key_node, fault))
                continue
            key = str(key_node.value)
            if key in mapping:
                zh, en = f"键“{key}”重复。", f"the key `{key}` stands here twice"
                fault = Fault((*path, key), "each key once", key, zh, en)
                self.problems.append(_problem(key_node, fault))
                continue
            mapping[key] = self.read(value_node, (*path, key))
        return mapping


def _schema_problem(root: Node, details: ErrorDetails) -> PlanProblem:
    """A problem from one of pydantic's. An unknown key is marked itself, a missing one where it should be."""
    loc = details["loc"]
    kind = details["type"]
    path = tuple(step for step in loc if not isinstance(step, str) or step != "[key]")
    if kind == "extra_forbidden":
        return _unknown_key(root, path)
    node = _node_at(root, path)
    if kind == "missing":
        name = str(loc[-1])
        return _problem(node, Fault(path, f"the key {name}", "nothing", f"缺少“{name}”。", f"`{name}` is missing"))
    expected, zh = _expectation(details)
    found = _shown(details["input"])
    en = f"{expected} is expected, found {found}"
    return _problem(node, Fault(path, expected, found, f"{zh}，实际为 {found}。", en))


_EXPECTATIONS: dict[str, tuple[str, str]] = {
    "string_type": ("text (put a number into quotes)", "应为文字（数字请加引号）"),
    "int_type": ("a whole number", "应为整数"),
    "bool_type": ("true or false", "应为 true 或 false"),
    "tuple_type": ("a list", "应为列表"),
    "mapping_type": ("keys with values", "应为键值"),
    "model_type": ("keys with values", "应为键值"),
    "plan_date": ("a date like 2022-08-31", "应为 2022-08-31 这样的日期"),
    "plan_instant": ("an instant like 2022-08-31 24:00", "应为 2022-08-31 24:00 这样的时刻"),
}

_CONTEXT_EXPECTATIONS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "literal_error": lambda ctx: (f"one of {ctx['expected']}", f"应为 {ctx['expected']} 之一"),
    "greater_than_equal": lambda ctx: (f"{ctx['ge']} or more", f"不得小于 {ctx['ge']}"),
    "less_than_equal": lambda ctx: (f"{ctx['le']} or less", f"不得大于 {ctx['le']}"),
    "too_short": lambda ctx: (f"{ctx['min_length']} or more entries", f"至少 {ctx['min_length']} 项"),
    "too_long": lambda ctx: (f"{ctx['max_length']} or fewer entries", f"最多 {ctx['max_length']} 项"),
    "string_too_short": lambda ctx: (
        f"{ctx['min_length']} or more characters",
        f"至少 {ctx['min_length']} 个字符",
    ),
    "string_too_long": lambda ctx: (
        f"{ctx['max_length']} or fewer characters",
        f"最多 {ctx['max_length']} 个字符",
    ),
    "string_pattern_mismatch": lambda ctx: (
        f"text of the form {ctx['pattern']}",
        f"应符合格式 {ctx['pattern']}",
    ),
}


def _expectation(details: ErrorDetails) -> tuple[str, str]:
    kind = details["type"]
    if kind in _EXPECTATIONS:
        return _EXPECTATIONS[kind]
    if kind in _CONTEXT_EXPECTATIONS:
        return _CONTEXT_EXPECTATIONS[kind](details.get("ctx", {}))
    # Pydantic's own words for the kinds of error that no plan has met yet.
    return details["msg"], f"值不正确（{details['msg']}）"


def _unknown_key(root: Node, path: tuple[PathStep, ...]) -> PlanProblem:
    name = str(path[-1])
    known = _fields_at(path[:-1])
    nearest = nearest_name(name, known)
    hint_zh, hint_en = (f"是否为“{nearest}”？", f"; did you mean `{nearest}`?") if nearest else ("", "")
    expected = f"the key {nearest}" if nearest else f"one of {', '.join(known)}"
    node = _key_node(root, path)
    return _problem(node, Fault(path, expected, name, f"未知的键“{name}”。{hint_zh}", f"unknown key `{name}`{hint_en}"))


def _fields_at(path: tuple[PathStep, ...]) -> list[str]:
    """The keys that the model at `path` knows."""
    model: type[BaseModel] = Plan
    for step in path:
        if isinstance(step, str):
            inner = next(_models_in(model.model_fields[step].annotation), None)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _fault_problem(root: Node, fault: Fault) -> PlanProblem:
    # A fault about a key of the quota table is shown at the key: the seats behind it are not what is wrong.
    node = _key_node(root, fault.path) if fault.path[0] == "quotas" else _node_at(root, fault.path)
    return _problem(node, fault)


def _problem(node: Node, fault: Fault) -> PlanProblem:
    mark = node.start_mark
    return PlanProblem(
        line=mark.line + 1,
        column=mark.column + 1,
        path=_path_text(fault.path),
        expected=fault.expected,
        found=fault.found[:MAX_FOUND],
        message_zh=fault.message_zh,
        message_en=fault.message_en,
    )


def _node_at(root: Node, path: tuple[PathStep, ...]) -> Node:
    """The node at `path`, or the deepest one on the way to it."""
    node = root
    for step in path:
        child = _child(node, step)
        if child is None:
            return node
        node = child[1]
    return node


def _key_node(root: Node, path: tuple[PathStep, ...]) -> Node:
    """The key that `path` ends in, or where it should stand."""
    parent = _node_at(root, path[:-1])
    child = _child(parent, path[-1])
    return child[0] if child is not None else parent


def _child(node: Node, step: PathStep) -> tuple[Node, Node] | None:
    """Key and value for a mapping's key; the item twice for a list's index."""
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == step:
                return key_node, value_node
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _path_text(path: tuple[PathStep, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    return (text.lower() if isinstance(value, bool) else text)[:MAX_FOUND] or "nothing"
