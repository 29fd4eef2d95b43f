"""Who may be nominated for a project type: every condition of the plan, and every failure at once (通知 四(二))."""

from collections.abc import Iterator
from datetime import datetime

from domain.decision import Reason
from domain.numbers import quota_line
from domain.plan import Plan, ProjectType
from domain.refusals import in_words, reason
from domain.trainee_messages import Nominate


def ineligible(plan: Plan, nomination: Nominate, now: datetime) -> tuple[Reason, ...]:
    """Every reason why the plan does not allow this nomination; empty when it does."""
    project_type = plan.find_project_type(nomination.project_type)
    if project_type is None:
        known = ", ".join(each.id for each in plan.project_types)
        wrong = nomination.project_type
        return (reason("unknown_project_type", field="/project_type", project_type=wrong, known=known),)
    return (
        *_of_the_recipient(plan, project_type, nomination),
        *_of_the_teacher(project_type, nomination),
        *_of_the_calendar(plan, now),
    )


def _of_the_recipient(plan: Plan, project_type: ProjectType, nomination: Nominate) -> Iterator[Reason]:
    name, county = project_type.id, nomination.county
    recipient = plan.find_recipient(county)
    if recipient is None or not plan.seats(quota_line(name, county)):
        yield reason("no_quota_line", field="/project_type", county=county, project_type=name)
    elif project_type.project_counties_only and not recipient.project_county:
        yield reason("project_counties_only", field="/project_type", project_type=name)


def _of_the_teacher(project_type: ProjectType, nomination: Nominate) -> Iterator[Reason]:
    name = project_type.id
    if nomination.stage not in project_type.stages:
        allowed = ", ".join(project_type.stages)
        yield reason("stage_not_eligible", field="/stage", project_type=name, stage=nomination.stage, allowed=allowed)
    if project_type.subjects and nomination.subject not in project_type.subjects:
        allowed = ", ".join(project_type.subjects)
        yield reason(
            "subject_not_eligible",
            field="/subject",
            project_type=name,
            subject=nomination.subject,
            allowed=allowed,
        )
    if nomination.position not in project_type.positions:
        allowed, position = ", ".join(project_type.positions), nomination.position
        yield reason("position_not_eligible", field="/position", project_type=name, position=position, allowed=allowed)
    if project_type.rural == "required" and not nomination.rural:
        yield reason("rural_required", field="/rural", project_type=name)
    required, years = project_type.min_years_of_service, nomination.years_of_service
    if years < required:
        yield reason("service_too_short", field="/years_of_service", years=years, required=required)


def _of_the_calendar(plan: Plan, now: datetime) -> Iterator[Reason]:
    deadline = plan.selection_deadline("school")
    if now >= deadline:
        yield reason("deadline_passed", deadline=in_words(deadline))
