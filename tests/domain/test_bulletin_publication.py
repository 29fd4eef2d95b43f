"""When a bulletin is published, which version it gets, who is told; scores, ratings and what they may give away."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from domain import host_standing, training_class
from domain.bulletin import (
    NOTHING,
    SUPPRESSED,
    BulletinRow,
    HostDuties,
    Rate,
    host_rows,
    published,
    rated,
    rating_of,
)
from domain.bulletin_publication import EVENTS, BulletinPublished, Facts, Latest, last_grid_date, publish
from domain.decision import Actor, Clear, Context, Decision
from domain.plan_outcomes import OutcomeRules
from domain.training_class import Announce, PlanClass
from tests.domain.test_bulletin import cases, cells
from tests.specification import the_plan

OPENED = date(2022, 8, 25)
COUNTY = BulletinRow(organisation="410181", assigned=30, adjusted=28, selected=27)
HOST = BulletinRow(organisation="h001", registered=20)
LATEST = Latest("2022-09-24", 1, datetime(2022, 9, 24, 1, tzinfo=UTC), 70)
RULES = OutcomeRules()


def at(month: int, day: int, hour: int = 2) -> datetime:
    return datetime(2022, month, day, hour, tzinfo=UTC)


def facts(**changes: object) -> Facts:
    values: dict[str, object] = {
        "plan": the_plan(),
        "opened_on": OPENED,
        "closed": False,
        "latest": None,
        "corrected_at_sequence": 0,
        "reversed_at": None,
        "as_of_sequence": 99,
        "county_rows": (COUNTY,),
        "host_rows": (HOST,),
    }
    return Facts(**values | changes)  # type: ignore[arg-type] # as the tests name them


def both(decision: Decision | None) -> list[tuple[str, str, int, str]]:
    assert decision is not None
    found = [each for each in decision.events if isinstance(each, BulletinPublished)]
    return [(each.kind, each.period, each.version, each.reason) for each in found]


@pytest.mark.parametrize(
    ("now", "period"),
    [
        (at(9, 23, 15), None),
        (at(9, 23, 16), date(2022, 9, 24)),
        (at(10, 20), date(2022, 9, 24)),
        (at(12, 31), date(2022, 12, 23)),
    ],
)
def test_an_interim_bulletin_is_due_on_the_dates_of_the_plans_grid(now: datetime, period: date | None) -> None:
    assert last_grid_date(OPENED, 30, now) == period


def test_the_first_and_the_next_are_published_once() -> None:
    assert publish(facts(), at(9, 20)) is None
    first = publish(facts(), at(9, 24))
    assert both(first) == [("counties", "2022-09-24", 1, "scheduled"), ("hosts", "2022-09-24", 1, "scheduled")]
    assert first is not None and first.notices == ()
    event = first.events[0]
    assert isinstance(event, BulletinPublished)
    assert (event.as_of, event.as_of_sequence, event.rows) == (at(9, 24), 99, (COUNTY,))
    assert EVENTS.parse(event.type, event.model_dump(mode="json")) == event
    assert publish(facts(latest=LATEST), at(10, 10)) is None
    assert both(publish(facts(latest=LATEST), at(10, 24)))[0][1] == "2022-10-24"
    # After an outage only the newest date is published.
    assert both(publish(facts(latest=LATEST), at(12, 31)))[0][1] == "2022-12-23"
    assert publish(facts(latest=LATEST, closed=True), at(12, 31)) is None


def test_case_48_72_a_correction_gives_the_newest_bulletin_its_next_version_also_after_closing() -> None:
    final = Latest("final", 1, at(12, 31), 500)
    corrected = facts(latest=final, closed=True, corrected_at_sequence=501)
    decision = publish(corrected, at(12, 31, 20))
    assert both(decision) == [("counties", "final", 2, "corrected"), ("hosts", "final", 2, "corrected")]
    assert decision is not None
    assert [(each.recipient, each.data["version"]) for each in decision.notices] == [("410181", 2), ("h001", 2)]
    second = replace(corrected, latest=Latest("final", 2, at(12, 31, 20), 510))
    assert publish(second, at(12, 31, 21)) is None, "once for each correction"


def test_case_38_a_reversal_gives_the_bulletin_its_next_version() -> None:
    reversed_ = facts(latest=LATEST, reversed_at=LATEST.as_of + timedelta(minutes=1))
    assert both(publish(reversed_, at(9, 30)))[0][2:] == (2, "corrected")
    assert publish(facts(latest=LATEST, reversed_at=LATEST.as_of), at(9, 30)) is None


def test_case_69_a_published_bulletin_names_organisations_only() -> None:
    decision = publish(facts(county_rows=(COUNTY,), host_rows=host_rows(cases("closed", "dismissed"))), at(9, 24))
    assert decision is not None
    text = "".join(each.model_dump_json() for each in decision.events)
    assert "zz22-" not in text and "trainee" not in text


def test_case_47_scores_have_both_parts_and_nothing_to_divide_by_is_a_dash() -> None:
    row = BulletinRow(organisation="410181", confirmed=30, registered=28, completed=27)
    assert row.quality_rate == Rate(27, 30)
    assert cells(row)["quality_rate"] == "90.0% (27/30)"
    host = BulletinRow(organisation="h001", duties=6, duties_kept=5)
    shown = published("hosts", host)
    assert shown[-2:] == ("83.3% (5/6)", "")
    assert cells(BulletinRow(organisation="x"))["quality_rate"] == NOTHING
    assert published("hosts", BulletinRow(organisation="x"))[-2] == NOTHING


def test_case_50_the_excused_are_shown_in_and_out_of_the_denominator() -> None:
    row = BulletinRow(organisation="410181", confirmed=30, excused=5, registered=25, completed=24)
    shown = cells(row)
    assert (shown["registration_rate"], shown["registration_rate_without_excused"]) == (
        "83.3% (25/30)",
        "100.0% (25/25)",
    )
    assert (shown["quality_rate"], shown["quality_rate_without_excused"]) == ("80.0% (24/30)", "96.0% (24/25)")


def test_case_49_a_small_number_of_excused_is_not_given_away_by_a_score() -> None:
    row = BulletinRow(organisation="410181", confirmed=30, excused=2, registered=28, completed=27)
    shown = cells(row)
    for key in ("excused", "absent", "registration_rate_without_excused", "quality_rate_without_excused"):
        assert shown[key] == SUPPRESSED, key
    assert shown["quality_rate"] == "90.0% (27/30)"
    few = cells(BulletinRow(organisation="x", confirmed=2, registered=2, completed=1))
    assert few["quality_rate"] == SUPPRESSED


@pytest.mark.parametrize(
    ("figures", "rating"),
    [
        ({"confirmed": 20, "registered": 20, "completed": 18, "duties": 10, "duties_kept": 9}, "A"),
        ({"confirmed": 20, "registered": 20, "completed": 17, "duties": 10, "duties_kept": 9}, "B"),
        ({"confirmed": 20, "registered": 20, "completed": 20, "duties": 10, "duties_kept": 7}, "C"),
        ({"confirmed": 20, "excused": 4, "registered": 16, "completed": 16, "duties": 3, "duties_kept": 3}, "A"),
        ({"confirmed": 20, "registered": 10, "completed": 10, "duties": 3, "duties_kept": 3}, "C"),
        ({"confirmed": 2, "registered": 2, "completed": 2, "duties": 3, "duties_kept": 3}, "unrated"),
        ({"confirmed": 20, "registered": 20, "completed": 20}, "unrated"),
    ],
)
def test_a_host_is_rated_by_the_plans_rule(figures: dict[str, int], rating: str) -> None:
    row = BulletinRow.model_validate({"organisation": "h001", **figures})
    assert rating_of(row, RULES) == rating
    (with_rating,) = rated((row,), RULES)
    assert with_rating.rating == rating and published("hosts", with_rating)[-1] == rating


def test_the_duties_of_a_host_come_into_its_row() -> None:
    (row,) = host_rows(cases("closed"), [HostDuties("h001", 3, 2), HostDuties("h009", 3, 3)])
    assert row.implementation_rate == Rate(2, 3)


def test_planning_a_class_claims_that_the_host_is_not_suspended() -> None:
    host = Actor(organisation="h001", role="host")
    command = PlanClass(
        host="h001",
        project_type="gp5",
        starts=date(2022, 10, 10),
        ends=date(2022, 10, 16),
        place="A",
        capacity=20,
    )
    context = Context("zz22-c-h001-01", host, training_class.Facts(the_plan()), at(9, 1, 16))
    planned = host_standing.decide(None, command, context)
    plain = training_class.decide(None, command, context)
    assert isinstance(planned, Decision) and isinstance(plain, Decision)
    assert planned.claims == (*plain.claims, Clear("suspension:h001", date(2022, 9, 2)))
    assert planned.events == plain.events
    state = training_class.fold(planned.events)
    announced = host_standing.decide(state, Announce(), context)
    assert announced == training_class.decide(state, Announce(), context)
