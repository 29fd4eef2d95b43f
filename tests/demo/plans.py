"""A small campaign for demos that are played in tests: the notice's plan with fewer organisations and shorter waits."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from domain.plan import Plan
from domain.plan_loader import load_plan
from tests.specification import the_plan

RECIPIENTS = ("410122", "410181", "410182", "410183", "410184", "jszx")
HOSTS_OF_A_LEVEL = 12
SOFT_END, CLOSES = date(2022, 11, 15), date(2022, 11, 30)
RULES = {
    "excuse_window_working_days": 2,
    "objection_window_working_days": 3,
    "serve_within_working_days": 2,
    "outcome_due_days_after_class_end": 3,
    "follow_up_grace_days": 3,
    "class_reminders_days_before": (3, 1),
}
FOLLOW_UP_DUE_DAYS = 16


def small_plan() -> Plan:
    """The same projects, selection and refusals with six recipients of twenty, in three months instead of six."""
    plan = the_plan()
    generated = [each for each in plan.hosts if each.generated]
    hosts = {each.id for level in plan.levels for each in _of(generated, level.id)[:HOSTS_OF_A_LEVEL]}
    changed: Mapping[str, Any] = {
        "dates": plan.dates.model_copy(update={"soft_end": SOFT_END, "closes": CLOSES}),
        "rules": plan.rules.model_copy(update=RULES),
        "recipients": tuple(each for each in plan.recipients if each.id in RECIPIENTS),
        "hosts": tuple(each for each in plan.hosts if each.id in hosts),
        "quotas": plan.quotas.model_copy(
            update={"seats": {each: row for each, row in plan.quotas.seats.items() if each in RECIPIENTS}}
        ),
        "project_types": tuple(_due_sooner(each) for each in plan.project_types),
    }
    return plan.model_copy(update=changed)


def _of(hosts: list[Any], level: str) -> list[Any]:
    return [each for each in hosts if level in each.levels]


def _due_sooner(project_type: Any) -> Any:
    if project_type.follow_up is None:
        return project_type
    follow_up = project_type.follow_up.model_copy(update={"due_days": FOLLOW_UP_DUE_DAYS})
    return project_type.model_copy(update={"follow_up": follow_up})


def written(directory: Path) -> Path:
    """The small plan as a file for `--plan`."""
    path = directory / "small-plan.yaml"
    path.write_bytes(small_plan().canonical())
    assert load_plan(path.read_text(encoding="utf-8")) == small_plan()
    return path
