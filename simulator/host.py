"""What hosts do: they take webhooks, plan and announce classes, place, register, train, and say how it ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from simulator.client import Answer, Desk, Row
from simulator.population import PlannedClass
from simulator.timetable import (
    HANDED_IN_AGAIN_AFTER_DAYS,
    REVIEWED_AFTER_DAYS,
    Deed,
    Season,
    Story,
    Turn,
    days_after,
    online_on,
    postponed_on,
)

BY_CLASS: Final[Mapping[str, str]] = {
    "register": "registrations",
    "complete": "outcomes",
    "fail": "outcomes",
    "dismiss": "outcomes",
}
"""Commands on trainees that a host sends for a class at once, and where."""

DAYS_SHORT: Final = "days_short"
EPIDEMIC: Final = "疫情防控（示例）"


async def register_endpoint(desk: Desk, url: str) -> str:
    """Have the organisation's notices posted to `url` and nowhere else; the secret that signs them."""
    path = "/v1/webhook-endpoints"
    made = await desk.post(f"webhook-endpoint:{desk.organisation}:{url}", path, {"url": url})
    for other in (await desk.get(path))["items"]:
        if other["id"] != made["id"] and other["disabled_at"] is None:
            await desk.delete(f"{path}/{other['id']}")
    return str(made["secret"])


async def plan_class(desk: Desk, campaign: str, planned: PlannedClass) -> str:
    """Plan a class; its number."""
    body = {
        "campaign": campaign,
        "project_type": planned.project_type,
        "starts": planned.planned_for[0].isoformat(),
        "ends": planned.planned_for[1].isoformat(),
        "place": planned.place,
        "mode": "centralised",
        "capacity": planned.capacity,
    }
    receipt = await desk.post(f"plan:{planned.key}", "/v1/classes", body)
    return str(receipt["number"])


async def do_for_class(desk: Desk, number: str, command: str, rows: Sequence[Row]) -> list[Answer]:
    """Register the trainees of a class, or report outcomes, in as few requests as possible."""
    route = BY_CLASS[command]
    if route == "outcomes":
        rows = [Row(row.action, {"outcome": command, **row.body}, row.refused_with) for row in rows]
    return await desk.post_rows(f"/v1/classes/{number}/{route}", rows)


def deeds(stories: Iterable[Story], classes: Sequence[PlannedClass], season: Season) -> Iterator[Deed]:
    """Everything that hosts do."""
    for each in classes:
        yield from _of_class(each, season)
    for story in stories:
        if story.fate.enrolled:
            yield from _of_trainee(story)


def _of_class(planned: PlannedClass, season: Season) -> Iterator[Deed]:
    def deed(day: date, turn: Turn, command: str, body: Mapping[str, Any] | None = None) -> Deed:
        return Deed(day, turn, planned.host, "class", command, planned.key, body or {})

    yield deed(season.planning, Turn.PLANNING, "plan")
    yield deed(season.announcing, Turn.PLANNING, "announce")
    if planned.first_starts is not None:
        dates = {"starts": planned.starts.isoformat(), "ends": planned.ends.isoformat(), "reason": EPIDEMIC}
        yield deed(postponed_on(planned.first_starts), Turn.PLANNING, "postpone", dates)
    if planned.online:
        online = {"mode": "online", "centralised_days": 0, "reason": EPIDEMIC}
        yield deed(online_on(planned.starts), Turn.PLANNING, "go-online", online)
    yield deed(planned.starts, Turn.CHECK_IN, "confirm-check-in")
    yield deed(days_after(planned.ends, planned.reports_after_days), Turn.REPORTS, "report")


def _of_trainee(story: Story) -> Iterator[Deed]:
    fate, training = story.fate, story.training_class
    yield _deed(story, story.season.enrolling, Turn.HOSTS, "enroll", training_class=training.key)
    if fate.registered:
        yield _deed(story, training.starts, Turn.ARRIVAL, "register", training_class=training.key)
    if fate.leave is not None:
        asked_on = days_after(training.starts, fate.leave.day) - timedelta(days=1)
        if fate.leave.granted:
            yield _deed(story, asked_on, Turn.HOSTS, "grant-leave", {"leave": 1})
        else:
            refusal = {"leave": 1, "reason": "课程安排紧凑，不予准假（示例）"}
            yield _deed(story, asked_on, Turn.HOSTS, "refuse-leave", refusal)
    yield from _of_outcome(story)
    if fate.follow_up in ("on_time", "late"):
        yield from _of_follow_up(story)


def _of_outcome(story: Story) -> Iterator[Deed]:
    fate, training = story.fate, story.training_class
    if fate.kind == "dismissed":
        body: dict[str, Any] = {"reason": fate.reasons[0], "evidence": f"示例记录 {story.key}"}
        yield _deed(story, story.dismissed_on, Turn.HOSTS, "dismiss", body, training_class=training.key)
    if fate.kind == "not_completed":
        body = {"reasons": list(_failures(story))}
        yield _deed(story, training.ends, Turn.OUTCOMES, "fail", body, training_class=training.key)
    if fate.completion is not None:
        yield _deed(story, training.ends, Turn.OUTCOMES, "complete", _completion(story), training_class=training.key)


def _failures(story: Story) -> tuple[str, ...]:
    """Why somebody has not completed. Days that a class online has not held are nobody's failure but the host's."""
    reasons = story.fate.reasons
    if not story.training_class.online:
        return reasons
    return tuple(each for each in reasons if each != DAYS_SHORT) or ("assessment_failed",)


def _completion(story: Story) -> dict[str, Any]:
    completion = story.fate.completion
    assert completion is not None, "this fate ends in a completion"
    held, online = completion.centralised_days, completion.online_days
    if story.training_class.online:
        held, online = 0, held + online
    return {
        "centralised_days": held,
        "online_days": online,
        "hours": completion.hours,
        "grade": completion.grade,
    }


def _of_follow_up(story: Story) -> Iterator[Deed]:
    reviewed_on = days_after(story.follow_up_on, REVIEWED_AFTER_DAYS)
    if story.sent_back:
        body = {"accepted": False, "comment": "请补充课堂实践材料（示例）"}
        yield _deed(story, reviewed_on, Turn.HOSTS, "review-follow-up", body)
        reviewed_on = days_after(reviewed_on, HANDED_IN_AGAIN_AFTER_DAYS)
    yield _deed(story, reviewed_on, Turn.HOSTS, "review-follow-up", {"accepted": True})


# ---------------------------------------------------------------------------------------- what must be refused


def absence_before_list(story: Story) -> Deed:
    """Somebody is called absent before the check-in list was confirmed."""
    return _too_soon(story, story.training_class.starts, "record-no-show", {}, "check_in_not_confirmed")


def completion_on_first_day(story: Story) -> Deed:
    """Somebody completes on the day he arrives."""
    return _too_soon(story, story.training_class.starts, "complete", _completion(story), "too_early")


def completion_with_few_days(story: Story) -> Deed | None:
    """Somebody with too few days is said to have completed; None where no days are required."""
    required = story.season.plan.project_type(story.nomination.project_type).centralised_days_required
    if DAYS_SHORT not in story.fate.reasons or not required or story.training_class.online:
        return None
    body = {"centralised_days": required - 1, "hours": 8 * (required - 1)}
    return _too_soon(story, story.training_class.ends, "complete", body, "centralised_days_short")


def report_on_last_day(planned: PlannedClass) -> Deed:
    """A class is reported before it is over."""
    code = "not_allowed_in_phase"
    return Deed(planned.ends, Turn.REPORTS, planned.host, "class", "report", planned.key, refused_with=code)


def _too_soon(story: Story, day: date, command: str, body: Mapping[str, Any], code: str) -> Deed:
    host = story.nomination.host
    return Deed(day, Turn.TOO_SOON, host, "trainee", command, story.key, body, refused_with=code)


def _deed(
    story: Story,
    day: date,
    turn: Turn,
    command: str,
    body: Mapping[str, Any] | None = None,
    *,
    training_class: str = "",
) -> Deed:
    return Deed(day, turn, story.nomination.host, "trainee", command, story.key, body or {}, training_class)
