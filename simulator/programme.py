"""The whole script of a campaign: every deed and every wait, in order, from the plan and the population alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domain.plan import Plan
from simulator import bureau, county, host, school
from simulator.population import PlannedClass, Population, classes
from simulator.rarities import SERVED_LATE_AFTER_DAYS, Rarities, first_host, rarities, reported_late, served_late
from simulator.scenarios import SCENARIOS
from simulator.timetable import (
    SERVED_AFTER_DAYS,
    Deed,
    Season,
    Story,
    Turn,
    Wait,
    last_day_before,
    online_on,
    postponed_on,
)


@dataclass(frozen=True, slots=True)
class Programme:
    """A campaign's script. `deeds` and `waits` are by day and turn. `spare` are classes that nobody is placed in."""

    plan: Plan
    population: Population
    classes: tuple[PlannedClass, ...]
    deeds: dict[tuple[date, Turn], tuple[Deed, ...]]
    waits: dict[tuple[date, Turn], tuple[Wait, ...]]
    spare: tuple[PlannedClass, ...] = ()

    def days(self) -> Iterator[date]:
        """From the opening to the last day, both included."""
        day = self.plan.dates.opens
        while day <= self.plan.dates.closes:
            yield day
            day += timedelta(days=1)

    def turns_of(self, day: date) -> list[Turn]:
        """The turns in which somebody does something, or something is awaited, before the night."""
        used = {turn for each, turn in (*self.deeds, *self.waits) if each == day}
        return sorted(used - {Turn.NIGHT})

    def every_deed(self) -> Iterator[Deed]:
        """In the order in which they are done."""
        for place in sorted(self.deeds):
            yield from self.deeds[place]


def compose(plan: Plan, population: Population) -> Programme:
    """Write the script. The same plan and population give the same one."""
    season, planned = Season(plan), classes(plan, population)
    is_eventful = SCENARIOS[population.scenario].is_eventful
    late = served_late(population) if is_eventful else ""
    planned = reported_late(planned) if is_eventful else planned
    class_of = {member: each for each in planned for member in each.members}
    stories = [
        Story(season, each, class_of.get(each.key), SERVED_LATE_AFTER_DAYS if each.key == late else SERVED_AFTER_DAYS)
        for each in population.nominations
    ]
    seldom = rarities(stories, planned, population, season) if is_eventful else Rarities()
    deeds = [
        *(deed for story in stories for deed in school.deeds(story)),
        *(school.attempt(each) for each in population.attempts),
        *county.deeds(stories),
        *bureau.deeds(stories, plan.bureau, first_host(population, plan) if is_eventful else {}),
        *host.deeds(stories, planned, season),
        *_impossible(stories, planned, season),
        *_of_the_scenario(stories, population, season),
        *seldom.deeds,
    ]
    by_place: dict[tuple[date, Turn], list[Deed]] = defaultdict(list)
    for deed in deeds:
        assert plan.dates.opens <= deed.day <= plan.dates.closes, f"{deed.action} lies outside the campaign"
        by_place[deed.day, deed.turn].append(deed)
    waits: dict[tuple[date, Turn], list[Wait]] = defaultdict(list)
    for wait in (*_waits(stories, planned, season), *_class_waits(planned, season), *seldom.waits):
        waits[wait.day, wait.turn].append(wait)
    return Programme(
        plan=plan,
        population=population,
        classes=planned,
        deeds={place: tuple(each) for place, each in by_place.items()},
        waits={place: tuple(each) for place, each in waits.items()},
        spare=seldom.spare,
    )


def _of_the_scenario(stories: Sequence[Story], population: Population, season: Season) -> Iterator[Deed]:
    """What happens in the story that is played, and in no other."""
    if population.reallocation is not None:
        yield from county.reallocation(population.reallocation, season)
    if (again := population.again) is not None:
        after = next(each for each in stories if each.key == again.after)
        yield from bureau.again(again, after, season.plan.bureau, again.county)
        yield from school.again(again, after)


def _impossible(stories: Sequence[Story], planned: Sequence[PlannedClass], season: Season) -> Iterator[Deed]:
    """What must be refused, beyond the population's own attempts: each once, where there is a case for it."""
    by_start = sorted((each for each in stories if each.fate.enrolled), key=lambda each: each.training_class.starts)
    ignored = _first(stories, lambda each: each.fate.kind == "county_ignores")
    if ignored is not None:
        yield county.late_approval(ignored, season)
    approved = _first(stories, lambda each: each.fate.takes_seat)
    if approved is not None:
        others = [each.id for each in season.plan.recipients if each.id != approved.nomination.county]
        yield county.foreign_approval(approved, others[0])
    absent = _first(by_start, lambda each: each.fate.kind == "no_show")
    if absent is not None:
        yield host.absence_before_list(absent)
    completed = _first(by_start, lambda each: _takes_days(each) and each.fate.kind == "completed")
    if completed is not None:
        yield host.completion_on_first_day(completed)
    yield from filter(None, (host.completion_with_few_days(each) for each in stories if each.fate.registered))
    if planned:
        yield host.report_on_last_day(min(planned, key=lambda each: each.starts))
    restricted = [each for each in by_start if each.fate.restriction != "none"]
    if restricted:
        yield bureau.decision_before_service(restricted[0], season.plan.bureau)
        yield bureau.decision_in_window(restricted[0], season.plan.bureau)
    silent = _first(restricted, lambda each: each.fate.objection == "none")
    if silent is not None:
        yield school.late_objection(silent)


def _takes_days(story: Story) -> bool:
    """Whether the class lasts longer than its first day, on which an outcome would not be too early."""
    return story.training_class.ends > story.training_class.starts


def _first(stories: Iterable[Story], fits: Callable[[Story], bool]) -> Story | None:
    return next((story for story in stories if fits(story)), None)


def _waits(stories: Sequence[Story], planned: Sequence[PlannedClass], season: Season) -> Iterator[Wait]:
    yield Wait(season.county, Turn.NIGHT, "cut-off", "nominated")
    yield Wait(season.city, Turn.NIGHT, "cut-off", "nominated")
    yield Wait(season.city, Turn.NIGHT, "cut-off", "county-approved")
    yield Wait(season.city, Turn.NIGHT, "settled", season.plan.id)
    for story in stories:
        if story.fate.waitlisted:
            yield Wait(season.county, Turn.SEATS_TAKEN, "offered", story.key)
        if story.fate.kind == "no_show":
            yield Wait(last_day_before(story.unexcused_at), Turn.NIGHT, "unexcused", story.key)
        if story.fate.restriction != "none":
            yield Wait(last_day_before(story.window_ends_at), Turn.NIGHT, "window", story.key)
        if story.fate.follow_up in ("late", "never"):
            yield Wait(story.follow_up_due_on, Turn.NIGHT, "overdue", story.key)
        if story.fate.follow_up == "never":
            yield Wait(story.follow_up_lapses_on, Turn.NIGHT, "lapsed", story.key)
    yield Wait(season.plan.dates.closes, Turn.NIGHT, "end", season.plan.id)


def _class_waits(planned: Sequence[PlannedClass], season: Season) -> Iterator[Wait]:
    for each in planned:
        for days in season.plan.rules.class_reminders_days_before:
            yield Wait(each.starts - timedelta(days=days + 1), Turn.NIGHT, "reminded", each.key)
            if each.first_starts is not None:
                first = each.first_starts - timedelta(days=days + 1)
                if first < postponed_on(each.first_starts):
                    yield Wait(first, Turn.NIGHT, "reminded", each.key)
        if each.first_starts is not None:
            yield Wait(postponed_on(each.first_starts), Turn.PLANNING, "told", each.key)
        if each.online:
            yield Wait(online_on(each.starts), Turn.PLANNING, "told", each.key)
        yield Wait(each.starts - timedelta(days=1), Turn.NIGHT, "open", each.key)
        yield Wait(each.starts, Turn.CHECK_IN, "absences", each.key)
        yield Wait(each.ends, Turn.NIGHT, "closed", each.key)
