"""The whole script against the rules themselves: every deed is allowed, or refused with the code that it names.

The pure domain is driven through a campaign without any service: it decides on each deed in the script's order, and
the system's own commands (cut-offs, check-in, deadlines) come at the end of each turn. Claims are counted here.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest

from domain import restriction, trainee, training_class
from domain.calendar import end_of_day
from domain.decision import SYSTEM, Actor, Command, Context, Count, Decision, Reason, Refusal, Role
from domain.identity import IdentityNumberError, parse_identity_number
from domain.plan import Plan
from domain.plan_loader import load_plan
from domain.restriction_messages import COMMANDS as RESTRICTION_COMMANDS
from domain.restriction_messages import RestrictionProposed
from domain.trainee_context import Facts
from domain.trainee_messages import COMMANDS, Lapse, PassDeadline, RecordNoShow
from domain.trainee_state import Trainee
from domain.trainee_state import evolve as evolve_trainee
from simulator.population import generate
from simulator.programme import Programme, compose
from simulator.timetable import Deed, Turn, office_hour

PLAN = Path(__file__).resolve().parents[2] / "plans" / "2022-zhengzhou.yaml"
CLAIMS_AND_DOORS = frozenset({"duplicate_nomination", "restricted_until", "unknown_number"})
"""Refused by the ledger's claims or by the front door, not by a decision."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(PLAN.read_text(encoding="utf-8"))


class Office:
    """The domain with its states in memory."""

    def __init__(self, plan: Plan, programme: Programme) -> None:
        self.plan = plan
        self.planned = {each.key: each for each in programme.classes}
        self.trainees: dict[str, Trainee] = {}
        self.classes: dict[str, training_class.TrainingClass] = {}
        self.restrictions: dict[str, restriction.Restriction] = {}
        self.seats: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.now = office_hour(plan.dates.opens)

    def do(self, deed: Deed) -> None:
        if deed.refused_with in CLAIMS_AND_DOORS:
            self.refused[deed.refused_with] += 1
            return
        outcome = self.decide(deed)
        codes = [each.code for each in outcome.reasons] if isinstance(outcome, Refusal) else []
        if deed.refused_with:
            assert deed.refused_with in codes, f"{deed.action}: {codes or 'accepted'}"
            self.refused[deed.refused_with] += 1
        else:
            assert not codes, f"{deed.action}: {codes}"

    def decide(self, deed: Deed) -> Decision | Refusal | Any:
        actor = Actor(organisation=deed.organisation, role=self.role(deed.organisation))
        match deed.kind:
            case "nomination":
                return self.nominate(deed, actor)
            case "trainee":
                body = dict(deed.body)
                if deed.command == "enroll":
                    body["training_class"] = deed.training_class
                return self.trainee(deed.subject, COMMANDS.parse(deed.command, body), actor)
            case "class":
                return self.command_class(deed, actor)
        command = RESTRICTION_COMMANDS.parse(deed.command, dict(deed.body))
        return self.restriction(deed.subject, command, actor)

    def role(self, organisation: str) -> Role:
        if organisation == self.plan.bureau:
            return "bureau"
        if self.plan.find_host(organisation) is not None:
            return "host"
        return "county" if self.plan.find_recipient(organisation) is not None else "school"

    def nominate(self, deed: Deed, actor: Actor) -> Any:
        body = dict(deed.body)
        person = body.pop("person")
        try:
            number = parse_identity_number(person["identity_number"]).text
        except IdentityNumberError as error:
            return Refusal(reasons=(reason_of(error),))
        body["person"] = {"id": str(uuid5(NAMESPACE_OID, number)), "sealed": ""}
        return self.trainee(deed.subject, COMMANDS.parse("nominate", body), actor)

    def trainee(self, key: str, command: Command, actor: Actor) -> Any:
        state = self.trainees.get(key)
        name = getattr(command, "training_class", "") or (state.training_class if state else "")
        facts = Facts(self.plan, person_version=0, training_class=self.classes.get(name))
        context = Context(key, actor, facts, self.now)
        decided = trainee.decide(state, command, context)
        if isinstance(decided, Refusal):
            return decided
        for claim in decided.claims:
            if isinstance(claim, Count) and claim.key.startswith("seat:"):
                line = claim.key.split(":", 2)[2]
                if self.seats[line] + claim.delta > self.plan.quota(line):
                    return Refusal(reasons=(reason("quota_exhausted"),))
                self.seats[line] += claim.delta
        for event in decided.events:
            self.trainees[key] = evolve_trainee(self.trainees.get(key), event)
        for stream in decided.others:
            for each in stream.events:
                if isinstance(each, RestrictionProposed):
                    self.restrictions[key] = restriction.evolve(None, each)
        return decided

    def command_class(self, deed: Deed, actor: Actor) -> Any:
        key, planned = deed.subject, self.planned[deed.subject]
        body = dict(deed.body)
        if deed.command == "plan":
            body = {
                "host": planned.host,
                "project_type": planned.project_type,
                "starts": planned.starts,
                "ends": planned.ends,
                "place": planned.place,
                "capacity": planned.capacity,
            }
        return self.training_class(key, training_class.COMMANDS.parse(deed.command, body), actor)

    def training_class(self, key: str, command: Command, actor: Actor) -> Any:
        waiting = sum(
            each.training_class == key and each.phase in ("enrolled", "confirmed", "in-training")
            for each in self.trainees.values()
        )
        facts = training_class.Facts(self.plan, without_outcome=waiting)
        context = Context(key, actor, facts, self.now)
        decided = training_class.decide(self.classes.get(key), command, context)
        if isinstance(decided, Decision):
            for event in decided.events:
                self.classes[key] = training_class.evolve(self.classes.get(key), event)
        return decided

    def restriction(self, key: str, command: Command, actor: Actor) -> Any:
        context: Any = Context(key, actor, restriction.Facts(self.plan), self.now)
        state = self.restrictions[key]
        decided = restriction.decide(state, command, context)
        if isinstance(decided, Decision):
            for event in decided.events:
                self.restrictions[key] = state = restriction.evolve(state, event)
        return decided

    def keep_time(self) -> None:
        """What the workflows do by themselves as soon as something is due."""
        for key, each in self.classes.items():
            if each.phase != "reported":
                self.training_class(key, training_class.PassClassDeadline(), SYSTEM)
        for level, phases in (("county", {"nominated"}), ("city", {"nominated", "county-approved"})):
            if self.now >= self.plan.selection_deadline(level):  # type: ignore[arg-type]
                for key in [key for key, each in self.trainees.items() if each.phase in phases]:
                    self.trainee(key, Lapse(), SYSTEM)
        for key, state in list(self.trainees.items()):
            if state.timer and not state.closed:
                self.trainee(key, PassDeadline(), SYSTEM)
        for key in list(self.restrictions):
            self.restriction(key, RESTRICTION_COMMANDS.parse("pass-deadline", {}), SYSTEM)

    def reach(self) -> None:
        """After a confirmed list: whoever should have come is absent, whoever never confirmed has lapsed."""
        confirmed = {key for key, each in self.classes.items() if each.check_in_confirmed_at is not None}
        for key, state in list(self.trainees.items()):
            if state.training_class in confirmed and state.phase in ("confirmed", "enrolled"):
                self.trainee(key, RecordNoShow() if state.phase == "confirmed" else Lapse(), SYSTEM)


def reason(code: str) -> Any:
    return Reason(code=code, zh="", en="", remedy_zh="", remedy_en="")


def reason_of(error: IdentityNumberError) -> Any:
    return reason(error.code)


def played(plan: Plan, programme: Programme) -> Office:
    office = Office(plan, programme)
    for day in programme.days():
        office.now = office_hour(day)
        for turn in programme.turns_of(day):
            for deed in programme.deeds.get((day, turn), ()):
                office.do(deed)
            if turn is Turn.CHECK_IN:
                office.reach()
        office.now = end_of_day(day)
        office.keep_time()
    return office


@pytest.mark.parametrize(("nominations", "seed"), [(12, 1), (60, 2022), (600, 2022), (250, 5)])
def test_every_deed_meets_the_answer_that_the_script_gives(plan: Plan, nominations: int, seed: int) -> None:
    population = generate(plan, nominations, seed)
    programme = compose(plan, population)
    office = played(plan, programme)
    phases, expected = Counter(each.phase for each in office.trainees.values()), population.figures()
    assert sum(phases.values()) == expected.nominated == nominations
    assert phases["completed"] + phases["closed"] + phases["following-up"] == expected.completed
    decided = Counter(each.phase for each in office.restrictions.values())
    assert (decided["imposed"], decided["dropped"]) == (expected.restrictions_imposed, expected.restrictions_dropped)
    assert sum(decided.values()) == phases["absent"] + phases["dismissed"] + phases["not-completed"]
    assert not (phases["nominated"] or phases["county-approved"] or phases["confirmed"] or phases["in-training"])
    assert {each.phase for each in office.classes.values()} == {"reported"}


def test_a_script_for_every_refusal(plan: Plan) -> None:
    refused = played(plan, compose(plan, generate(plan, 600, 2022))).refused
    assert set(refused) >= {
        "quota_exhausted",
        "duplicate_nomination",
        "restricted_until",
        "identity_check_digit",
        "no_quota_line",
        "not_allowed_in_phase",
        "unknown_number",
        "check_in_not_confirmed",
        "too_early",
        "centralised_days_short",
        "not_yet_served",
        "objection_window_open",
        "objection_window_passed",
    }


def test_the_same_population_gives_the_same_script(plan: Plan) -> None:
    first, second = (compose(plan, generate(plan, 60, 3)) for _ in range(2))
    assert list(first.every_deed()) == list(second.every_deed())
    other = compose(plan, generate(plan, 60, 4))
    assert list(first.every_deed()) != list(other.every_deed())


def test_no_two_deeds_have_one_name(plan: Plan) -> None:
    programme = compose(plan, generate(plan, 600, 2022))
    names = Counter((deed.organisation, deed.action) for deed in programme.every_deed())
    assert [name for name, count in names.items() if count > 1] == []


def test_over_quota_approvals_come_after_every_approval_of_their_line(plan: Plan) -> None:
    programme = compose(plan, generate(plan, 600, 2022))
    line_of = {each.key: each.line for each in programme.population.nominations}
    places: dict[str, list[tuple[Turn, bool]]] = defaultdict(list)
    for deed in programme.every_deed():
        if deed.command == "approve" and deed.refused_with in ("", "quota_exhausted") and deed.turn is not Turn.CITY:
            places[line_of[deed.subject]].append((deed.turn, deed.refused_with == "quota_exhausted"))
    over = [turns for turns in places.values() if any(refused for _, refused in turns)]
    assert over
    for turns in over:
        assert turns == sorted(turns), "whoever has a seat comes first"
