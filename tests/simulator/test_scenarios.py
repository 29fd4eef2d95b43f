"""The named stories as scripts: each has what it is named for, under both plans, and the usual one is as before."""

from functools import cache
from pathlib import Path

import pytest

from api.permissions import ProcessWithCommands, commands_of_people
from domain.plan import Plan
from domain.plan_loader import load_plan
from simulator.population import Population, generate
from simulator.programme import Programme, compose
from simulator.reallocation import SEATS
from simulator.scenarios import SCENARIOS, USUAL
from simulator.timetable import Turn, online_on, postponed_on

PLANS = Path(__file__).resolve().parents[2] / "plans"


TOO_SMALL = {("2024-luoyang", "eventful-year")}
"""A city in which every line has nominations has none to pass seats around on."""


@cache
def plan(name: str = "2022-zhengzhou") -> Plan:
    return load_plan((PLANS / f"{name}.yaml").read_text(encoding="utf-8"))


@cache
def played(scenario: str, nominations: int = 60, seed: int = 2022) -> Programme:
    return compose(plan(), generate(plan(), nominations, seed, SCENARIOS[scenario]))


def population(scenario: str) -> Population:
    return played(scenario).population


def test_the_usual_story_is_what_is_played_when_none_is_named() -> None:
    assert generate(plan(), 60, 2022) == generate(plan(), 60, 2022, USUAL)
    assert list(SCENARIOS) == [
        "usual",
        "quiet-year",
        "epidemic-autumn",
        "underfilled-county",
        "reversed-restriction",
        "eventful-year",
    ]


@pytest.mark.parametrize(
    ("name", "scenario"),
    [
        (name, scenario)
        for name in ("2022-zhengzhou", "2024-luoyang")
        for scenario in SCENARIOS
        if (name, scenario) not in TOO_SMALL
    ],
)
def test_every_story_can_be_written_for_another_plan_and_keeps_its_number(name: str, scenario: str) -> None:
    # In a small city with few free seats, not every seed leaves one for a teacher who is nominated again.
    seed = 7
    made = generate(plan(name), 60, seed, SCENARIOS[scenario])
    programme = compose(plan(name), made)
    assert len(made.nominations) == 60
    assert list(programme.every_deed()) == list(compose(plan(name), made).every_deed())


def test_in_a_quiet_year_nobody_is_restricted_and_nothing_must_be_refused_at_nomination() -> None:
    figures = population("quiet-year").figures()
    assert (figures.restrictions_imposed, figures.restrictions_dropped, figures.refused_nominations) == (0, 0, 0)
    assert figures.completed > 0.9 * figures.selected


def test_in_an_epidemic_autumn_classes_are_put_off_or_go_online_before_they_begin() -> None:
    classes = played("epidemic-autumn").classes
    deeds = {(deed.subject, deed.command): deed for deed in played("epidemic-autumn").every_deed()}
    put_off = [each for each in classes if each.first_starts is not None]
    online = [each for each in classes if each.online]
    assert put_off and online and len(put_off) + len(online) < len(classes)
    for each in put_off:
        assert each.first_starts is not None
        assert each.planned_for[0] == each.first_starts < each.starts
        deed = deeds[each.key, "postpone"]
        assert (deed.day, deed.body["starts"]) == (postponed_on(each.first_starts), each.starts.isoformat())
    for each in online:
        assert deeds[each.key, "go-online"].day == online_on(each.starts) < each.starts
        outcomes = [deeds[key, "complete"].body for key in each.members if (key, "complete") in deeds]
        assert outcomes and all(body["centralised_days"] == 0 < body["online_days"] for body in outcomes)


def test_what_an_under_filled_county_leaves_over_is_taken_by_those_who_wait() -> None:
    made = population("underfilled-county")
    given = made.reallocation
    assert given is not None
    counts = made.line_counts()
    assert counts[given.giver] == (plan().quota(given.giver) or 0) - SEATS
    assert counts[given.taker] == (plan().quota(given.taker) or 0) + SEATS
    waiting = [each for each in made.nominations if each.fate.waitlisted]
    assert {each.line for each in waiting} == {given.taker}
    assert len(waiting) == given.seats == SEATS
    deeds = [deed for deed in played("underfilled-county").every_deed() if deed.kind == "quota"]
    assert [deed.command for deed in deeds] == ["report-shortfall", "offer-seats", "accept-seats"]
    accepted = [d for d in played("underfilled-county").every_deed() if d.command == "accept-seat"]
    assert {deed.subject for deed in accepted} == {each.key for each in waiting}
    assert all(deed.turn is Turn.SEAT_ANSWERED for deed in accepted)


def test_whose_restriction_is_taken_back_is_refused_before_and_nominated_after() -> None:
    again = population("reversed-restriction").again
    assert again is not None
    after = next(each for each in population("reversed-restriction").nominations if each.key == again.after)
    assert after.teacher.identity_number == again.teacher.identity_number
    assert after.project_type != again.project_type
    order = [
        (deed.command, deed.refused_with)
        for deed in played("reversed-restriction").every_deed()
        if deed.subject in (again.key, f"{again.key}-too-soon", again.county)
        or (deed.subject == again.after and deed.command == "reverse")
    ]
    assert order == [
        ("reopen", ""),
        ("nominate", "restricted_until"),
        ("reverse", ""),
        ("nominate", ""),
        ("approve", ""),
        ("approve", ""),
    ]
    assert population("reversed-restriction").figures().nominated == 61


IN_A_STORY = {
    "campaign": {"remove-host", "reopen"},
    "class": {
        "cancel",
        "change-capacity",
        "go-online",
        "merge",
        "move",
        "postpone",
        "record-duties",
        "set-timetable",
    },
    "quota": {
        "accept-seats",
        "decline-seats",
        "delegate",
        "offer-seats",
        "override",
        "recall-offer",
        "report-shortfall",
        "return-seats",
    },
    "restriction": {"fail-service", "reverse", "waive"},
    "trainee": {
        "accept-seat",
        "change-school",
        "correct",
        "record-late-answer",
        "reissue-certificate",
        "report-impersonation",
    },
}
"""What somebody does in a named story, and in the usual one nobody."""

NEVER_PLAYED = {
    "trainees change between two classes; tests/api/test_class_changes.py": {
        ("class", "split"),
        ("trainee", "change-class"),
    },
    "somebody else comes instead; tests/workflows/test_quota.py": {("trainee", "substitute")},
    "a waiting list moves whenever a seat comes free, so who is offered one when is not written beforehand; "
    "tests/workflows/test_quota.py": {("trainee", "decline-seat")},
    "a teacher answers by himself, through a link in his mail; tests/api/test_outcomes.py": {
        ("restriction", "object-by-link")
    },
    "two nominations of one teacher, of which one is decided while the other waits; tests/workflows/test_outcomes.py": {
        ("trainee", "resume"),
        ("trainee", "review-identity"),
    },
    "done by the system or the check-in list, and by hand only to be refused": {("trainee", "record-no-show")},
}
"""What no script has anybody do, and why or where else it is shown."""

PROCESSES: tuple[ProcessWithCommands, ...] = ("trainee", "class", "campaign", "restriction", "quota")
SAME_PROCESS = {"nomination": "trainee", "case": "trainee"}


def commands_played(scenario: str) -> set[tuple[str, str]]:
    deeds = played(scenario).every_deed()
    return {
        (SAME_PROCESS.get(deed.kind, deed.kind), deed.command)
        for deed in deeds
        if not deed.refused_with and deed.kind in (*SAME_PROCESS, *PROCESSES)
    }


def test_every_command_of_people_is_played_somewhere_or_is_known_not_to_be() -> None:
    usual = commands_played("usual")
    somewhere = set[tuple[str, str]]().union(*(commands_played(name) for name in SCENARIOS))
    everything = {(kind, command) for kind in PROCESSES for command in commands_of_people(kind)}
    # Earlier restrictions are recorded, and the campaign opened, before the script begins.
    before = {("restriction", "record"), ("campaign", "open")}
    never = set[tuple[str, str]]().union(*NEVER_PLAYED.values())
    assert somewhere - usual == {(kind, command) for kind, commands in IN_A_STORY.items() for command in commands}
    assert somewhere - usual <= commands_played("eventful-year"), "one story has them all"
    assert everything - before - somewhere == never
