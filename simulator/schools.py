"""Invented schools: two to four for each recipient, with what their teachers can be nominated for."""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.plan import Plan, Position, ProjectType, Recipient, RecipientKind, Stage
from simulator.teachers import Post


@dataclass(frozen=True, slots=True)
class School:
    """A school or unit below a recipient; `id` is `{county}-s01`. Its name says that it is an example."""

    id: str
    county: str
    name_zh: str
    stages: tuple[Stage, ...]
    positions: tuple[Position, ...]
    rural: bool
    email: str

    def posts(self, project_type: ProjectType) -> list[Post]:
        """The posts at this school whose holders the project type takes; empty when there are none."""
        if project_type.rural == "required" and not self.rural:
            return []
        return [
            Post(stage, position, self.rural)
            for stage in project_type.stages
            if stage in self.stages
            for position in project_type.positions
            if position in self.positions
        ]


@dataclass(frozen=True, slots=True)
class _Pattern:
    name_zh: str
    stages: tuple[Stage, ...]
    positions: tuple[Position, ...] = ("teacher", "principal")
    rural: bool = False


_ALL_STAGES: tuple[Stage, ...] = ("preschool", "primary", "junior", "senior")
_EXPERTS: tuple[Position, ...] = ("researcher", "trainer", "administrator")
_COUNTY = (
    _Pattern("九年一贯制学校", ("primary", "junior"), rural=True),
    _Pattern("中心小学（含幼儿园）", ("preschool", "primary"), rural=True),
    _Pattern("完全中学", ("junior", "senior")),
    _Pattern("教师发展中心", _ALL_STAGES, _EXPERTS),
)
_PATTERNS: dict[RecipientKind, tuple[_Pattern, ...]] = {
    "county": _COUNTY,
    "development-zone": _COUNTY,
    "direct-schools": (
        _Pattern("高级中学", ("senior",), ("teacher", "administrator")),
        _Pattern("完全中学", ("junior", "senior"), ("teacher", "trainer")),
        _Pattern("实验小学", ("primary",)),
    ),
    "university": (
        _Pattern("教师教育学院", _ALL_STAGES, _EXPERTS),
        _Pattern("继续教育学院", _ALL_STAGES, _EXPERTS),
    ),
    "research-institute": (
        _Pattern("基础教育研究室", _ALL_STAGES, _EXPERTS),
        _Pattern("教师发展研究室", _ALL_STAGES, _EXPERTS),
    ),
    "teaching-research-office": (
        _Pattern("小学教研室", ("preschool", "primary"), _EXPERTS),
        _Pattern("中学教研室", ("junior", "senior"), _EXPERTS),
    ),
}


def invented_schools(plan: Plan) -> tuple[School, ...]:
    """The schools of every recipient, in the plan's order. Every quota line has a school that can use it."""
    return tuple(school for recipient in plan.recipients for school in _schools_of(recipient))


def _schools_of(recipient: Recipient) -> Iterator[School]:
    for number, pattern in enumerate(_PATTERNS[recipient.kind], start=1):
        id_ = f"{recipient.id}-s{number:02d}"
        yield School(
            id=id_,
            county=recipient.id,
            name_zh=f"{recipient.name_zh.removesuffix('教育局')}{pattern.name_zh}（示例）",
            stages=pattern.stages,
            positions=pattern.positions,
            rural=pattern.rural,
            email=f"office@{id_}.example.invalid",
        )
