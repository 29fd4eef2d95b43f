"""What happens seldom, once each, in the story in which everything happens.

Seats are passed around, a host goes and another is suspended, a school closes, classes get their papers and their
changes, outcomes are corrected, notices are not served in time, and teachers ask to be forgotten. Each is somebody's
deed on a day of its own, on a case, a class or an organisation with which nothing else is going on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from domain.plan import Plan, QuotaLine
from simulator.bureau import OFFICERS
from simulator.population import PlannedClass, Population
from simulator.timetable import Deed, Season, Story, SubjectKind, Turn, Wait, days_after, last_day_before, office_hour

WHY: Final = "示例"
SERVED_LATE_AFTER_DAYS: Final = 12
"""More days than any plan gives to serve a notice in, weekends and a holiday included."""

REPORTED_LATE_AFTER_DAYS: Final = 16
"""More days than the outcomes have, and the bureau's patience after them."""

CORRECTED_AFTER_DAYS: Final = 2
FORGOTTEN_BEFORE_DAYS: Final = 7
SEATS_DELEGATED: Final = 1
FEWEST_SEATS: Final = 3
"""A line of so many seats can give some down, offer some to others, and have some left."""

UNITS: Final = 4
SPARE_CAPACITY: Final = 5


@dataclass(frozen=True, slots=True)
class Rarities:
    """Whom and what it happens to. `spare` are classes that nobody is placed in: one is merged, one is cancelled."""

    deeds: tuple[Deed, ...] = ()
    waits: tuple[Wait, ...] = ()
    spare: tuple[PlannedClass, ...] = ()


def reported_late(planned: Sequence[PlannedClass]) -> tuple[PlannedClass, ...]:
    """The classes with the one that ends first reported weeks later than it should be."""
    late = min(planned, key=lambda each: (each.ends, each.key))
    return tuple(
        replace(each, reports_after_days=REPORTED_LATE_AFTER_DAYS) if each is late else each for each in planned
    )


def served_late(population: Population) -> str:
    """The nomination whose restriction is served later than it should be; empty when there is none to choose."""
    taken_back = population.again.after if population.again is not None else ""
    restricted = [each for each in population.nominations if each.fate.restriction != "none"]
    return next((each.key for each in restricted if each.key != taken_back), "")


def first_host(population: Population, plan: Plan) -> dict[str, str]:
    """Whom the city names at first for one trainee: a host that goes before it has placed him."""
    story = next((each for each in population.nominations if each.fate.kind == "completed"), None)
    if story is None:
        return {}
    return {story.key: _idle_hosts(plan, population, story.host)[0]}


def rarities(
    stories: Sequence[Story], planned: Sequence[PlannedClass], population: Population, season: Season
) -> Rarities:
    """Everything that happens seldom, with what is awaited of the system after it."""
    pick = _Pick(stories, population)
    as_planned = [each for each in planned if each.first_starts is None and not each.online]
    training = (as_planned or list(planned))[0]
    spare = tuple(
        replace(training, key=f"spare-{number}", members=(), capacity=SPARE_CAPACITY, reports_after_days=0)
        for number in (1, 2)
    )
    deeds = [
        *_seats(population, season),
        *_offices(population, season, planned),
        *_host_goes(population, season),
        *_papers(training, season),
        *_attendance(training, pick),
        *_spare_classes(training, spare, season),
        *_corrections(pick, season.plan),
        *_restrictions(pick, population, season.plan),
        *_records(pick, season),
    ]
    return Rarities(tuple(deeds), tuple(_waits(stories, planned, population, season)), spare)


class _Pick:
    """Cases to which something happens, each chosen once."""

    def __init__(self, stories: Sequence[Story], population: Population) -> None:
        self._free = [each for each in stories if population.again is None or each.key != population.again.after]
        self.population = population

    def one(self, fits: Callable[[Story], bool]) -> Iterator[Story]:
        """The first case that fits and was not chosen before; none when there is no such."""
        found = next((each for each in self._free if fits(each)), None)
        if found is not None:
            self._free.remove(found)
            yield found


def _idle_hosts(plan: Plan, population: Population, busy: str) -> list[str]:
    """Invented hosts of the same level as `busy` that nobody is trained at."""
    used = {each.host for each in population.nominations}
    if population.again is not None:
        used.add(population.again.host)
    levels = set(plan.host(busy).levels)
    found = [each.id for each in plan.hosts if each.generated and set(each.levels) <= levels and each.id not in used]
    assert found, "a plan has more hosts than a small campaign needs"
    return found


def _bureau(season: Season, day: date, turn: Turn, kind: SubjectKind, command: str, subject: str, **body: Any) -> Deed:
    return Deed(day, turn, season.plan.bureau, kind, command, subject, body)


# --------------------------------------------------------------------------------------------------------- seats


def _seats(population: Population, season: Season) -> Iterator[Deed]:
    """On a line without nominations: given down, offered and refused, called back, returned, set by the city."""
    line, others = _idle_line(population, season.plan)
    county = line.recipient

    def deed(turn: Turn, command: str, by: str = county, **body: Any) -> Deed:
        return Deed(season.county, turn, by, "quota", command, line.key, body)

    yield deed(Turn.SHORTFALL, "delegate", to=f"{county}-s01", seats=SEATS_DELEGATED)
    yield deed(Turn.SEATS_OFFERED, "offer-seats", seats=1, candidates=others[:2], reason=WHY)
    yield deed(Turn.SEATS_TAKEN, "decline-seats", by=others[0], offer=1)
    yield deed(Turn.SEAT_ANSWERED, "recall-offer", offer=1)
    yield deed(Turn.CITY, "return-seats", seats=1, reason=WHY)
    yield deed(Turn.DECISIONS, "override", by=season.plan.bureau, seats=line.seats, reason=WHY, document=WHY)


def _idle_line(population: Population, plan: Plan) -> tuple[QuotaLine, list[str]]:
    used = {each.line for each in population.nominations}
    if population.again is not None:
        used.add(f"{population.again.project_type}:{population.again.county}")
    counties = {each.id for each in plan.recipients if each.kind == "county"}
    for line in plan.lines():
        others = [
            each.recipient
            for each in plan.lines()
            if each.project_type == line.project_type and each.recipient in counties - {line.recipient}
        ]
        if line.recipient in counties and line.key not in used and line.seats >= FEWEST_SEATS and len(others) > 1:
            return line, others
    raise ValueError("every line with some seats has nominations: ask for fewer")


# ------------------------------------------------------------------------------------------------- organisations


def _offices(population: Population, season: Season, planned: Sequence[PlannedClass]) -> Iterator[Deed]:
    """A host is suspended for a day, offices change their address, keys and secrets, and a school closes."""
    county, closing, staying = _closing_school(population)
    teaching = min(each.host for each in planned)
    suspended = _idle_hosts(season.plan, population, teaching)[-1]
    decided = {"decided_by": OFFICERS[0], "reasons": WHY}
    yield _bureau(season, season.planning, Turn.DECISIONS, "institution", "suspend", suspended, **decided, document=WHY)
    yield _bureau(season, season.leaving, Turn.DECISIONS, "institution", "reinstate", suspended, **decided)
    email = f"new-office@{staying}.example.invalid"
    yield Deed(season.planning, Turn.COUNTIES, county, "institution", "contact", staying, {"email": email})
    yield Deed(season.planning, Turn.COUNTIES, county, "key", "replace", county)
    yield Deed(season.planning, Turn.HOSTS, teaching, "endpoint", "rotate-secret", teaching)
    yield Deed(season.planning, Turn.OUTCOMES, teaching, "endpoint", "disable", teaching)
    yield _bureau(season, season.planning, Turn.REPORTS, "mailbox", "pause", staying, reason=WHY)
    yield _bureau(season, season.announcing, Turn.COUNTIES, "mailbox", "resume", staying, reason=WHY)
    body = {"successor": staying, "document": WHY}
    yield Deed(season.leaving, Turn.COUNTIES, county, "institution", "close", closing, body)


def _closing_school(population: Population) -> tuple[str, str, str]:
    """A school that has nominated nobody, the one that takes over, and before both their county."""
    used = {each.school for each in population.nominations} | {each.school for each in population.attempts}
    if population.again is not None:
        used.add(population.again.school)
    for school in reversed(population.schools):
        others = [each.id for each in population.schools if each.county == school.county and each.id != school.id]
        if school.id not in used and others:
            return school.county, school.id, others[0]
    raise ValueError("every school has nominated somebody: ask for fewer")


def _host_goes(population: Population, season: Season) -> Iterator[Deed]:
    """A host is removed before it has placed anybody, and another one takes over whom the city had named it for."""
    hosts = {each.key: each.host for each in population.nominations}
    for key, gone in first_host(population, season.plan).items():
        body = {"host": gone, "replacement": hosts[key], "reason": WHY}
        yield _bureau(season, season.leaving, Turn.OPENING, "campaign", "remove-host", gone, **body)


# ------------------------------------------------------------------------------------------------------- classes


def _papers(training: PlannedClass, season: Season) -> Iterator[Deed]:
    """A class gets a timetable, more places and another room before anybody is placed in it, and its staff's hours."""

    def deed(day: date, turn: Turn, command: str, **body: Any) -> Deed:
        return Deed(day, turn, training.host, "class", command, training.key, body)

    session = {"day": training.starts.isoformat(), "session": "morning", "units": UNITS}
    duty = {"staff": "t-07", "duty": "head", "hours": 20}
    yield deed(season.announcing, Turn.HOSTS, "set-timetable", sessions=[session])
    yield deed(season.announcing, Turn.OUTCOMES, "change-capacity", capacity=training.capacity + SPARE_CAPACITY)
    yield deed(season.announcing, Turn.REPORTS, "move", place=f"{training.place}（改）", reason=WHY)
    yield deed(training.starts, Turn.HOSTS, "record-duties", duties=[duty])


def _attendance(training: PlannedClass, pick: _Pick) -> Iterator[Deed]:
    """One trainee's first morning is marked, and put right from the paper list when the class is over."""
    for story in pick.one(lambda each: each.fate.kind == "completed" and each.key in training.members):
        mark = {"day": training.starts.isoformat(), "session": "morning"}
        paper = {"units": UNITS - 1, "source": "paper", "evidence": WHY}
        for day, more in ((training.starts, {"units": UNITS}), (days_after(training.ends, 1), paper)):
            yield Deed(
                day, Turn.OUTCOMES, training.host, "attendance", "mark", story.key, {**mark, **more}, training.key
            )


def _spare_classes(training: PlannedClass, spare: Sequence[PlannedClass], season: Season) -> Iterator[Deed]:
    """Two classes too many are planned; one is merged into the first, one is cancelled."""
    merged, cancelled = spare
    for each in spare:
        yield Deed(season.planning, Turn.OUTCOMES, each.host, "class", "plan", each.key)
    yield Deed(season.leaving, Turn.PLANNING, merged.host, "class", "merge", merged.key, {"reason": WHY}, training.key)
    yield Deed(season.leaving, Turn.PLANNING, cancelled.host, "class", "cancel", cancelled.key, {"reason": WHY})


# --------------------------------------------------------------------------------------------------- corrections


def _corrections(pick: _Pick, plan: Plan) -> Iterator[Deed]:
    """What is put right or comes too late, on cases that go on as they would have gone."""
    for story in pick.one(lambda each: _handed_in(each) and not each.training_class.online):
        completion = story.fate.completion
        assert completion is not None, "only the completed hand something in"
        body = {
            "becomes": "completed",
            "decided_by": OFFICERS[0],
            "reason": WHY,
            "document": WHY,
            "centralised_days": completion.centralised_days,
            "online_days": completion.online_days,
            "hours": completion.hours - 1,
            "grade": completion.grade,
        }
        yield _on_case(story, _after(story), Turn.DECISIONS, plan.bureau, "correct", body)
    for story in pick.one(_handed_in):
        body = {"reason": "name", "document": WHY}
        yield _on_case(story, _after(story), Turn.HOSTS, story.nomination.host, "reissue-certificate", body)
    others = {each.id: _other_school(pick.population, each.id, each.county) for each in pick.population.schools}
    for story in pick.one(lambda each: each.fate.follow_up == "never" and bool(others[each.nomination.school])):
        body = {"school": others[story.nomination.school], "document": WHY}
        yield _on_case(story, _after(story), Turn.COUNTIES, story.nomination.county, "change-school", body)
    for story in pick.one(lambda each: each.fate.kind == "declines"):
        day = story.training_class.starts
        body = {"answer": "hospital", "said_on": day.isoformat(), "document": WHY}
        yield _on_case(story, day, Turn.COUNTIES, story.nomination.county, "record-late-answer", body)
    for story in pick.one(lambda each: each.fate.kind == "no_show"):
        day, host = story.training_class.starts, story.nomination.host
        yield _on_case(story, day, Turn.ARRIVAL, host, "report-impersonation", {"evidence": WHY})


def _handed_in(story: Story) -> bool:
    return story.fate.follow_up == "on_time" and not story.sent_back


def _after(story: Story) -> date:
    return days_after(story.training_class.ends, CORRECTED_AFTER_DAYS)


def _other_school(population: Population, school: str, county: str) -> str:
    """Another school of the county that has nominated somebody, and so does not close; empty when there is none."""
    used = {each.school for each in population.nominations if each.county == county and each.school != school}
    return min(used, default="")


def _on_case(story: Story, day: date, turn: Turn, organisation: str, command: str, body: dict[str, Any]) -> Deed:
    return Deed(day, turn, organisation, "case", command, story.key, body)


def _restrictions(pick: _Pick, population: Population, plan: Plan) -> Iterator[Deed]:
    """A notice comes back and is served anew on the same day; a teacher who is barred may come to one project."""
    late = served_late(population)
    for story in pick.one(lambda each: each.fate.restriction != "none" and each.key != late):
        day = story.served_on
        failed = {"reason": "returned"}
        yield Deed(day, Turn.HOSTS, plan.bureau, "restriction", "fail-service", story.key, failed)
        yield Deed(day, Turn.REPORTS, plan.bureau, "restriction", "serve", story.key, {"via": "in-person"})
    for story in pick.one(lambda each: each.fate.restriction == "imposed"):
        other = next(each.id for each in plan.project_types if each.id != story.nomination.project_type)
        waived = {"decided_by": OFFICERS[1], "reasons": WHY, "document": WHY}
        waived |= {"campaign": plan.id, "project_type": other}
        day = days_after(story.decided_on, 1)
        yield Deed(day, Turn.DECISIONS, plan.bureau, "restriction", "waive", story.key, waived)


def _records(pick: _Pick, season: Season) -> Iterator[Deed]:
    """Teachers' records: a telephone number is put right, one moves, one is forgotten, and one as soon as he may be."""
    plan = season.plan
    decided = {"decided_by": OFFICERS[0], "document": WHY}
    day = days_after(season.enrolling, 1)
    for story in pick.one(lambda each: each.fate.kind == "completed"):
        yield _bureau(season, day, Turn.DECISIONS, "person", "correct", story.key, telephone="13900000000", **decided)
    for story in pick.one(lambda each: each.fate.kind == "completed"):
        county = next(each.id for each in plan.recipients if each.id != story.nomination.county)
        body = {"county": county, "on": day.isoformat(), "document": WHY}
        yield _bureau(season, day, Turn.DECISIONS, "person", "transfer", story.key, **body)
    last = plan.dates.closes - timedelta(days=FORGOTTEN_BEFORE_DAYS)
    for fates in (("withdrawn",), ("dismissed", "not_completed", "no_show")):
        for story in pick.one(_is_barred_or_out(fates)):
            yield _bureau(season, last, Turn.DECISIONS, "person", "erase", story.key)


def _is_barred_or_out(fates: Sequence[str]) -> Callable[[Story], bool]:
    def fits(story: Story) -> bool:
        return story.fate.kind in fates and story.fate.restriction != "dropped"

    return fits


# --------------------------------------------------------------------------------------------------------- waits


def _waits(
    stories: Sequence[Story], planned: Sequence[PlannedClass], population: Population, season: Season
) -> Iterator[Wait]:
    for key in first_host(population, season.plan):
        yield Wait(season.leaving, Turn.OPENING, "handed-over", key)
    late = served_late(population)
    for story in stories:
        if story.key == late:
            rules = season.plan.rules
            until = season.plan.add_working_days(office_hour(story.proposed_on), rules.serve_within_working_days)
            yield Wait(last_day_before(until), Turn.NIGHT, "unserved", story.key)
    for each in planned:
        if each.reports_after_days > 1:
            yield Wait(days_after(each.ends, each.reports_after_days - 1), Turn.NIGHT, "reminded", each.key)
