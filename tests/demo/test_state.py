"""What the demo keeps: a run is never mixed with another, and secrets are its owner's only."""

import stat
from datetime import date
from pathlib import Path

import pytest

from demo.run import Demo, Options
from demo.screen import Screen
from demo.state import KEYS_FILE, RUN_FILE, Asked, KeyFile, Run, chosen_run, read, with_webhook_port
from embedded.child_processes import StackError

DEFAULT = Run(trainees=600, seed=2022)


def test_a_new_directory_takes_what_was_asked_for_and_keeps_it(tmp_path: Path) -> None:
    assert chosen_run(tmp_path, Asked(trainees=60), DEFAULT) == Run(60, 2022)
    assert chosen_run(tmp_path, Asked(), DEFAULT) == Run(60, 2022)
    assert chosen_run(tmp_path, Asked(trainees=60, seed=2022, scenario="usual"), DEFAULT) == Run(60, 2022)


@pytest.mark.parametrize(
    "asked", [Asked(trainees=61), Asked(seed=1), Asked(scenario="quiet-year"), Asked(plan="other.yaml")]
)
def test_another_run_in_the_same_directory_is_refused(tmp_path: Path, asked: Asked) -> None:
    chosen_run(tmp_path, Asked(trainees=60), DEFAULT)
    with pytest.raises(StackError, match=r"--trainees 60 --seed 2022\.\n.*--state"):
        chosen_run(tmp_path, asked, DEFAULT)


def test_a_story_and_a_plan_belong_to_the_run(tmp_path: Path) -> None:
    run = chosen_run(tmp_path, Asked(scenario="quiet-year", plan="other.yaml"), DEFAULT)
    assert chosen_run(tmp_path, Asked(), DEFAULT) == run == Run(600, 2022, scenario="quiet-year", plan="other.yaml")
    assert run.name != Run(600, 2022).name
    assert run.options == "--trainees 600 --seed 2022 --scenario quiet-year --plan other.yaml"


def test_a_directory_of_a_release_without_stories_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_text('{"trainees": 60, "seed": 2022, "webhook_port": 45000}', encoding="utf-8")
    assert chosen_run(tmp_path, Asked(scenario="usual"), DEFAULT) == Run(60, 2022, 45_000)


def test_the_port_of_the_endpoints_is_kept_and_does_not_make_it_another_run(tmp_path: Path) -> None:
    moved = with_webhook_port(tmp_path, chosen_run(tmp_path, Asked(trainees=60), DEFAULT), 45_000)
    assert chosen_run(tmp_path, Asked(), DEFAULT) == moved
    assert moved.name == Run(60, 2022).name


def test_secrets_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    keys.put({"zzedu": "xj_1"})
    keys.put({"410181": "xj_2"})
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    again = KeyFile(tmp_path)
    assert (again.get("zzedu"), again.get("410181"), again.get("h001")) == ("xj_1", "xj_2", None)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(StackError, match=RUN_FILE):
        read(tmp_path / RUN_FILE)


@pytest.mark.parametrize("day", [date(2022, 8, 24), date(2023, 2, 11)])
def test_a_day_outside_the_campaign_is_refused_before_anything_starts(tmp_path: Path, day: date) -> None:
    options = Options(state=tmp_path / "state", speed=8, asked=Asked(trainees=20), until=day)
    with pytest.raises(StackError, match="lies outside the campaign"):
        Demo(options, Screen())
