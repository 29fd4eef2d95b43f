"""What the bureau does: it opens the campaign, gives out keys, and decides last on nominations and on restrictions."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from domain.calendar import end_of_day
from simulator.attempts import EarlierRestriction
from simulator.client import Desk
from simulator.renomination import Renomination
from simulator.school import person_body
from simulator.timetable import (
    NOMINATED_AGAIN_AFTER_DAYS,
    REOPENED_AFTER_DAYS,
    REOPENED_FOR_DAYS,
    REVERSED_AFTER_DAYS,
    Deed,
    Story,
    Turn,
    days_after,
)

OFFICERS: Final = ("zz-0317", "zz-0452")
"""Staff codes of the officers who decide on restrictions; no names."""

WAYS_OF_SERVICE: Final = ("mail", "school", "in-person")
PLAN_MEDIA_TYPE: Final = "application/yaml"


async def open_campaign(desk: Desk, plan_text: str) -> None:
    """Hand in the plan: its quotas are issued, its counties and hosts take part."""
    await desk.post_text("open-campaign", "/v1/campaigns", plan_text, PLAN_MEDIA_TYPE)


async def issue_keys(desk: Desk, organisations: Iterable[str]) -> dict[str, str]:
    """Give each organisation a key: the keys by organisation."""
    return dict(await asyncio.gather(*(_issue_key(desk, each) for each in organisations)))


async def _issue_key(desk: Desk, organisation: str) -> tuple[str, str]:
    issued = await desk.post(f"issue-key:{organisation}", f"/v1/institutions/{organisation}/keys", {})
    return organisation, str(issued["key"])


async def record_earlier(desk: Desk, campaign: str, restrictions: Sequence[EarlierRestriction]) -> None:
    """Enter the restrictions that were imposed before xunji, one after the other: their numbers follow the order."""
    for each in restrictions:
        body = {
            "campaign": campaign,
            "person": person_body(each.teacher),
            "starts": each.starts.isoformat(),
            "until": each.until.isoformat(),
            "document": each.document,
        }
        await desk.post(f"record:{each.number}", "/v1/restrictions", body)


def deeds(stories: Iterable[Story], bureau: str, named_first: Mapping[str, str]) -> Iterator[Deed]:
    """Everything that the bureau does for the nominations: selection, service of notices, decisions.

    `named_first` has, for some nominations, another host than the one that trains in the end.
    """
    for index, story in enumerate(stories):
        fate, season = story.fate, story.season
        if fate.selected:
            body = {"host": named_first.get(story.key, story.nomination.host)}
            yield Deed(season.city, Turn.CITY, bureau, "trainee", "approve", story.key, body)
        if fate.kind == "city_rejects":
            body_of_no = {"reasons": list(fate.reasons)}
            yield Deed(season.city, Turn.CITY, bureau, "trainee", "reject", story.key, body_of_no)
        if fate.restriction != "none":
            yield _on_restriction(story, bureau, story.served_on, "serve", {"via": _way_of_service(story, index)})
            yield _decision(story, bureau, story.decided_on, OFFICERS[index % len(OFFICERS)])


def _way_of_service(story: Story, index: int) -> str:
    """They take turns; but who has no address is not written to."""
    way = WAYS_OF_SERVICE[index % len(WAYS_OF_SERVICE)]
    return "school" if way == "mail" and story.nomination.teacher.email is None else way


def again(of: Renomination, after: Story, bureau: str, county: str) -> Iterator[Deed]:
    """The selection is reopened for one county, a restriction is taken back, and its teacher is selected after all."""
    decided = after.decided_on
    until = end_of_day(days_after(decided, REOPENED_FOR_DAYS)).isoformat()
    reopen = {"county": county, "until": until, "reason": "撤销限制后补报（示例）"}
    reversal = {
        "decided_by": OFFICERS[1],
        "reasons": "复核后撤销（示例）",
        "document": f"示例复核决定 {of.after}",
    }
    reopened_on, reversed_on = days_after(decided, REOPENED_AFTER_DAYS), days_after(decided, REVERSED_AFTER_DAYS)
    nominated_on = days_after(decided, NOMINATED_AGAIN_AFTER_DAYS)
    yield Deed(reopened_on, Turn.OPENING, bureau, "campaign", "reopen", county, reopen)
    yield Deed(reversed_on, Turn.DECISIONS, bureau, "restriction", "reverse", of.after, reversal)
    yield Deed(nominated_on, Turn.COUNTIES, county, "trainee", "approve", of.key)
    yield Deed(nominated_on, Turn.CITY, bureau, "trainee", "approve", of.key, {"host": of.host})


def _decision(story: Story, bureau: str, day: date, officer: str) -> Deed:
    if story.fate.restriction == "dropped":
        body = {"decided_by": officer, "reasons": "异议成立，不予限制（示例）"}
        return _on_restriction(story, bureau, day, "drop", body)
    return _on_restriction(story, bureau, day, "impose", _imposing(officer))


def _imposing(officer: str) -> dict[str, str]:
    return {"decided_by": officer, "reasons": "通知四（三）：未参训、被劝退或未结业且无特殊情况（示例）"}


def decision_before_service(story: Story, bureau: str) -> Deed:
    """A decision on a restriction of which the teacher does not know yet."""
    return _premature(story, bureau, story.served_on, "not_yet_served")


def decision_in_window(story: Story, bureau: str) -> Deed:
    """A decision while the teacher may still object."""
    return _premature(story, bureau, days_after(story.served_on, 1), "objection_window_open")


def _premature(story: Story, bureau: str, day: date, code: str) -> Deed:
    turn, body = Turn.PREMATURE_DECISIONS, _imposing(OFFICERS[0])
    return Deed(day, turn, bureau, "restriction", "impose", story.key, body, refused_with=code)


def _on_restriction(story: Story, bureau: str, day: date, command: str, body: Mapping[str, Any]) -> Deed:
    return Deed(day, Turn.DECISIONS, bureau, "restriction", command, story.key, body)
