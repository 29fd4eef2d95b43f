"""What counties do: they register their schools, sift the nominations, and excuse whoever had a good reason."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from simulator.client import Desk
from simulator.reallocation import Reallocation
from simulator.schools import School
from simulator.timetable import EXCUSED_AFTER_DAYS, Deed, Season, Story, Turn, days_after

RETURN_REASON = "材料不全，请补充后重新提交"


async def register_schools(desk: Desk, schools: Sequence[School]) -> dict[str, str]:
    """Register the county's schools and give each a key: the keys by school."""
    return dict(await asyncio.gather(*(_register(desk, school) for school in schools)))


async def _register(desk: Desk, school: School) -> tuple[str, str]:
    body = {"id": school.id, "name_zh": school.name_zh, "email": school.email}
    await desk.post(f"register-school:{school.id}", "/v1/institutions", body)
    issued = await desk.post(f"issue-key:{school.id}", f"/v1/institutions/{school.id}/keys", {})
    return school.id, str(issued["key"])


def deeds(stories: Iterable[Story]) -> Iterator[Deed]:
    """Everything that counties do. On a line they approve in the declared order, rural teachers first and then by day.

    The over-quota come after everybody who has a seat; refused, they go on the waiting list, where a seat that another
    county leaves over may reach them.
    """
    for story in sorted(stories, key=_rank):
        fate, season = story.fate, story.season
        if fate.returned and fate.withdrawn_at != "nominated":
            yield _deed(story, story.returned_on, Turn.RETURNS, "return", {"reason": RETURN_REASON})
        if fate.takes_seat and not fate.waitlisted:
            yield _deed(story, season.county, Turn.COUNTIES, "approve")
        if fate.kind == "county_rejects":
            yield _deed(story, season.county, Turn.COUNTIES, "reject", {"reasons": list(fate.reasons)})
        if fate.kind == "over_quota" or fate.waitlisted:
            yield _deed(story, season.county, Turn.OVER_QUOTA, "approve", refused_with="quota_exhausted")
            yield _deed(story, season.county, Turn.OVER_QUOTA_ANSWER, "waitlist")
        if fate.kind == "excused_absent":
            excuse = {"reason": fate.reasons[0], "document": fate.document}
            excused_on = days_after(story.training_class.starts, EXCUSED_AFTER_DAYS)
            yield _deed(story, excused_on, Turn.COUNTIES, "excuse", excuse)


def reallocation(of: Reallocation, season: Season) -> Iterator[Deed]:
    """One county says that it cannot fill its seats and offers them; another one takes them."""

    def deed(turn: Turn, organisation: str, command: str, body: Mapping[str, Any]) -> Deed:
        return Deed(season.county, turn, organisation, "quota", command, of.giver, body)

    details = "符合条件的教师不足（示例）"
    shortfall = {"seats": of.seats, "reason": "too_few_eligible", "details": details}
    yield deed(Turn.SHORTFALL, of.giving, "report-shortfall", shortfall)
    offer = {"seats": of.seats, "candidates": [of.taking], "reason": details}
    yield deed(Turn.SEATS_OFFERED, of.giving, "offer-seats", offer)
    yield deed(Turn.SEATS_TAKEN, of.taking, "accept-seats", {"offer": 1})


def _rank(story: Story) -> tuple[bool, date, str]:
    nomination = story.nomination
    return not nomination.teacher.rural, nomination.nominated_on, nomination.key


def late_approval(story: Story, season: Season) -> Deed:
    """An approval on the day after the county's last day: the nomination has lapsed."""
    return _deed(story, season.city, Turn.COUNTIES, "approve", refused_with="not_allowed_in_phase")


def foreign_approval(story: Story, other_county: str) -> Deed:
    """An approval of another county's nomination, which does not exist for this one."""
    return Deed(
        story.season.county,
        Turn.COUNTIES,
        other_county,
        "trainee",
        "approve",
        story.key,
        refused_with="unknown_number",
    )


def _deed(
    story: Story,
    day: date,
    turn: Turn,
    command: str,
    body: Mapping[str, Any] | None = None,
    *,
    refused_with: str = "",
) -> Deed:
    county = story.nomination.county
    return Deed(day, turn, county, "trainee", command, story.key, body or {}, refused_with=refused_with)
