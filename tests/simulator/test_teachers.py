"""No two teachers share an identity number, even when chance repeats itself."""

from pathlib import Path
from random import Random
from typing import Any

from domain.plan_loader import load_plan
from simulator.teachers import Post, TeacherSource


class StuckRandom(Random):
    """Chance that always says the same."""

    def randrange(self, *bounds: Any) -> int:
        return 0

    def random(self) -> float:
        return 0.99


def test_a_repeated_identity_number_is_passed_over() -> None:
    text = (Path(__file__).parents[2] / "plans" / "2022-zhengzhou.yaml").read_text(encoding="utf-8")
    plan = load_plan(text)
    source = TeacherSource(plan, StuckRandom(1))
    project_type = plan.project_type("gp5")
    post = Post("primary", "teacher", rural=True)
    numbers = {source.teacher(project_type, post).identity_number for _ in range(200)}
    assert len(numbers) == 200
