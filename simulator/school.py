"""What schools do: they nominate, take back, answer for their teachers, and hand in what is asked of them."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from simulator.attempts import Attempt
from simulator.nominations import Nomination
from simulator.renomination import Renomination
from simulator.teachers import Teacher
from simulator.timetable import (
    CONFIRMED_BEFORE_DAYS,
    HANDED_IN_AGAIN_AFTER_DAYS,
    NOMINATED_AGAIN_AFTER_DAYS,
    REOPENED_AFTER_DAYS,
    Deed,
    Story,
    Turn,
    days_after,
)


def deeds(story: Story) -> Iterator[Deed]:
    """Everything that a school does for one nomination."""
    fate = story.fate
    yield _nominated(story.nomination)
    if fate.returned and fate.withdrawn_at != "nominated":
        yield _deed(story, story.resubmitted_on, "resubmit", turn=Turn.RESUBMISSION)
    if fate.waitlisted:
        yield _deed(story, story.season.county, "accept-seat", turn=Turn.SEAT_ANSWERED)
    if fate.kind == "withdrawn":
        yield _deed(story, story.withdrawn_on, "withdraw", {"reason": fate.reasons[0]})
    if fate.enrolled:
        yield from _of_training(story)
    if fate.follow_up in ("on_time", "late"):
        yield from _of_follow_up(story)
    if fate.objection != "none":
        yield _objection(story, story.objected_on)


def _of_training(story: Story) -> Iterator[Deed]:
    fate, answered_on = story.fate, story.before_class(CONFIRMED_BEFORE_DAYS)
    if fate.kind == "declines":
        yield _deed(story, answered_on, "decline", {"reason": fate.reasons[0]})
    if fate.confirmed:
        yield _deed(story, answered_on, "confirm")
    if fate.leave is not None:
        day = days_after(story.training_class.starts, fate.leave.day)
        body = {"first_day": day.isoformat(), "last_day": day.isoformat(), "reason": fate.leave.reason}
        yield _deed(story, day - timedelta(days=1), "request-leave", body)


def _of_follow_up(story: Story) -> Iterator[Deed]:
    yield _deed(story, story.follow_up_on, "submit-follow-up", {"evidence": f"示例跟踪任务材料 {story.key}"})
    if story.sent_back:
        again = days_after(story.follow_up_on, HANDED_IN_AGAIN_AFTER_DAYS)
        yield _deed(story, again, "submit-follow-up", {"evidence": f"示例跟踪任务材料 {story.key}（补充）"})


def again(of: Renomination, after: Story) -> Iterator[Deed]:
    """The teacher of a restriction that is taken back is nominated for something else: refused before, not after."""
    body = _nomination_body(of)

    def deed(days: int, subject: str, refused_with: str = "") -> Deed:
        day = days_after(after.decided_on, days)
        return Deed(day, Turn.NOMINATION, of.school, "nomination", "nominate", subject, body, refused_with=refused_with)

    yield deed(REOPENED_AFTER_DAYS, f"{of.key}-too-soon", "restricted_until")
    yield deed(NOMINATED_AGAIN_AFTER_DAYS, of.key)


def late_objection(story: Story) -> Deed:
    """An objection on the day after the window has ended."""
    return _objection(story, story.decided_on, refused_with="objection_window_passed")


def _objection(story: Story, day: date, refused_with: str = "") -> Deed:
    body = {"statement": f"示例异议书 {story.key}"}
    school = story.nomination.school
    return Deed(day, Turn.SCHOOLS, school, "restriction", "object", story.key, body, refused_with=refused_with)


def attempt(of: Attempt) -> Deed:
    """A nomination that must be refused; a repeated one comes after the one that it repeats."""
    turn = Turn.REPEATED_NOMINATION if of.follows else Turn.NOMINATION
    body = _nomination_body(of)
    code = of.expected_code
    return Deed(of.nominated_on, turn, of.school, "nomination", "nominate", of.key, body, refused_with=code)


def _nominated(of: Nomination) -> Deed:
    return Deed(of.nominated_on, Turn.NOMINATION, of.school, "nomination", "nominate", of.key, _nomination_body(of))


def _nomination_body(of: Nomination | Attempt | Renomination) -> dict[str, Any]:
    """The row of a nomination, as a school types it in; the campaign is added when it is sent."""
    teacher = of.teacher
    return {
        "project_type": of.project_type,
        "county": of.county,
        "school": of.school,
        "person": person_body(teacher),
        "stage": teacher.stage,
        "subject": teacher.subject,
        "position": teacher.position,
        "rural": teacher.rural,
        "years_of_service": teacher.years_of_service,
    }


def person_body(teacher: Teacher) -> dict[str, str]:
    """A teacher's personal fields; an address only for those who have one."""
    fields = {"name": teacher.name, "identity_number": teacher.identity_number, "telephone": teacher.phone}
    return {**fields, "email": teacher.email} if teacher.email else fields


def _deed(
    story: Story, day: date, command: str, body: Mapping[str, Any] | None = None, turn: Turn = Turn.SCHOOLS
) -> Deed:
    return Deed(day, turn, story.nomination.school, "trainee", command, story.key, body or {})
