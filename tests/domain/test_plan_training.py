"""The optional section of a plan on attendance and changed classes."""

import pytest
import yaml

from domain.plan import Plan
from domain.plan_loader import PlanError, load_plan
from tests.specification import PLAN_FILE, the_plan


def with_training(section: object) -> Plan:
    raw = yaml.safe_load(PLAN_FILE.read_text(encoding="utf-8"))
    return load_plan(yaml.safe_dump(raw | {"training": section}, allow_unicode=True, sort_keys=False))


def test_a_plan_without_the_section_keeps_its_digest_and_asks_for_no_attendance() -> None:
    assert b'"training"' not in the_plan().canonical()
    assert the_plan().training_rules.attendance_percent is None
    assert the_plan().training_rules.escalation_days == 3


def test_the_section_is_part_of_the_rule_version_and_reads_back() -> None:
    plan = with_training({"attendance_percent": 80, "note_zh": "本方案规定"})
    assert plan.training_rules.attendance_percent == 80
    assert plan.sha256() != the_plan().sha256()
    assert load_plan(plan.canonical().decode()) == plan


@pytest.mark.parametrize("wrong", [{"attendance_percent": 0}, {"attendance_percent": 101}, {"attendance": 80}])
def test_a_wrong_section_is_named_with_its_place(wrong: dict[str, int]) -> None:
    with pytest.raises(PlanError) as error:
        with_training(wrong)
    (problem,) = error.value.problems
    assert "training" in str(problem.path)
    assert problem.line > 1
