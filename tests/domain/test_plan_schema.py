"""The plan's JSON Schema: committed, named in every plan, and no stranger to what the loader accepts."""

import json
import re
from pathlib import Path

import pytest
import yaml

from domain.plan import LATER_SECTIONS, Plan
from domain.plan_loader import PlanError, load_plan
from domain.plan_schema import EDITOR_LINE, SCHEMA_ID, schema, schema_text
from tests.specification import the_plan

PLANS = Path(__file__).parents[2] / "plans"
DIGEST_BEFORE_THERE_WAS_A_SECTION = "fe46e7e7e86ea307ff71861cafaf419462208305a62d19c073980afb5faf01a6"


def test_the_committed_schema_is_the_codes_own() -> None:
    assert (PLANS / SCHEMA_ID).read_text(encoding="utf-8") == schema_text(), "run `xunji plan schema > plans/…`"


@pytest.mark.parametrize("file", sorted(PLANS.glob("*.yaml")), ids=lambda file: file.name)
def test_every_plan_names_the_schema_and_is_right(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith(EDITOR_LINE + "\n")
    plan = load_plan(text)
    assert plan.id == file.stem
    properties = schema()["properties"]
    assert set(yaml.safe_load(text)) <= set(properties)
    assert set(schema()["required"]) == set(properties) - set(LATER_SECTIONS)


def test_an_instant_may_be_written_as_people_write_it() -> None:
    instant = schema()["$defs"]["Deadline"]["properties"]["at"]
    for text in ("2022-08-31 24:00", "2022-08-29 18:00"):
        assert re.search(instant["pattern"], text)
    assert not re.search(instant["pattern"], "2022-08-31 25:00")
    assert json.loads(schema_text())["$schema"].endswith("2020-12/schema")


def test_a_plan_from_before_a_section_keeps_its_digest() -> None:
    later = {name: Plan.model_fields[name].default for name in LATER_SECTIONS}
    older = the_plan().model_copy(update=later)
    assert older.sha256() == DIGEST_BEFORE_THERE_WAS_A_SECTION
    assert Plan.model_validate_json(older.canonical()).sha256() == DIGEST_BEFORE_THERE_WAS_A_SECTION
    assert the_plan().sha256() != DIGEST_BEFORE_THERE_WAS_A_SECTION


LUOYANG = (PLANS / "2024-luoyang.yaml").read_text(encoding="utf-8")


E, RECIPIENTS = "eligibility", "project_county_lists[0].recipients[0]"
RENAMED, FIXED = f"{E}.renamings[0]", f"{E}.training_dates[0]"
OLD_LIST = 'since: 2022-01-01, recipients: ["410323"'
MISTAKES = [
    ("{project_type: digital, same_as", "{project_type: digitl, same_as", f"{RENAMED}.project_type", "`digital`"),
    ("{project_type: examiners, st", "{project_type: exam, st", f"{FIXED}.project_type", "no project type"),
    ("ends: 2024-06-02", "ends: 2024-05-31", f"{FIXED}.ends", "before the start"),
    ("starts: 2024-06-01", "starts: 2023-06-01", f"{FIXED}.starts", "outside the campaign"),
    ("criterion: project-county", "criterion: short-of-days", f"{E}.priority[1].criterion", "stands here twice"),
    ("since: 2025-01-01", "since: 2023-12-31", "project_county_lists[2].since", "order of their days"),
    (OLD_LIST, OLD_LIST.replace("410323", "410399"), RECIPIENTS, "no recipient"),
    ("project_county: false", "project_county: true", "recipients[0].project_county", "says otherwise"),
    ("no_repeat: true", "no_repeat: perhaps", f"{E}.no_repeat", "true or false"),
    ("no_repeat: true", "no_repaet: true", f"{E}.no_repaet", "did you mean `no_repeat`"),
]


@pytest.mark.parametrize(("old", "new", "path", "message"), MISTAKES)
def test_a_mistake_about_selection_is_found_where_it_stands(old: str, new: str, path: str, message: str) -> None:
    assert old in LUOYANG
    with pytest.raises(PlanError) as caught:
        load_plan(LUOYANG.replace(old, new, 1))
    problem = next(each for each in caught.value.problems if each.path == path)
    assert message in problem.message_en
    lines = LUOYANG.replace(old, new, 1).splitlines()
    assert 1 < problem.line <= len(lines)


def test_a_rule_about_a_cycle_needs_one() -> None:
    without = re.sub(r"  cycle: .*\n", "", LUOYANG)
    with pytest.raises(PlanError) as caught:
        load_plan(without)
    assert {each.path for each in caught.value.problems} == {
        "eligibility.no_repeat",
        "eligibility.priority[0].criterion",
    }
