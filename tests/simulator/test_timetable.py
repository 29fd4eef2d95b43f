"""The days of a story follow from the plan alone, and fit into it."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from domain.calendar import end_of_day, local_date, start_of_day
from domain.plan import Plan
from domain.plan_loader import load_plan
from simulator.population import classes, generate
from simulator.timetable import Season, Story, last_day_before, office_hour

PLAN = Path(__file__).resolve().parents[2] / "plans" / "2022-zhengzhou.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(PLAN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stories(plan: Plan) -> list[Story]:
    population = generate(plan, 300, 7)
    class_of = {key: each for each in classes(plan, population) for key in each.members}
    season = Season(plan)
    return [Story(season, each, class_of.get(each.key)) for each in population.nominations]


def test_the_day_of_24_o_clock_is_the_one_that_ends_then() -> None:
    day = date(2022, 8, 31)
    assert last_day_before(end_of_day(day)) == day
    assert last_day_before(start_of_day(day) + timedelta(hours=18)) == day
    assert local_date(office_hour(day)) == day


def test_counties_and_city_decide_on_their_last_day(plan: Plan) -> None:
    season = Season(plan)
    assert (season.county, season.city) == (date(2022, 8, 30), date(2022, 8, 31))
    assert office_hour(season.county) < plan.selection_deadline("county")
    assert office_hour(season.city) < plan.selection_deadline("city")


def test_a_returned_nomination_is_in_again_before_the_county_decides(stories: list[Story]) -> None:
    assert max(story.resubmitted_on for story in stories) <= stories[0].season.county


def test_what_comes_before_a_class_comes_after_the_enrolment_and_in_time(plan: Plan, stories: list[Story]) -> None:
    last_days = timedelta(days=plan.rules.confirm_days_before_start)
    for story in (each for each in stories if each.fate.enrolled):
        for days in (9, 8, 5):
            assert story.season.enrolling < story.before_class(days) < story.training_class.starts - last_days


def test_a_restriction_is_decided_after_its_window_and_within_the_campaign(plan: Plan, stories: list[Story]) -> None:
    restricted = [story for story in stories if story.fate.restriction != "none"]
    assert restricted
    for story in restricted:
        assert story.proposed_on < story.served_on < story.objected_on < story.decided_on <= plan.dates.closes
        assert office_hour(story.objected_on) < story.window_ends_at <= office_hour(story.decided_on)


def test_a_late_follow_up_comes_between_its_due_date_and_its_last(stories: list[Story]) -> None:
    late = [story for story in stories if story.fate.follow_up == "late"]
    assert late
    for story in late:
        assert story.follow_up_due_on < story.follow_up_on <= story.follow_up_lapses_on
