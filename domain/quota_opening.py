"""The first event of every quota line, as the plan has the tree: the city's per project type, then the recipients'."""

from collections import Counter

from domain.numbers import quota_line
from domain.plan import Plan
from domain.quota_messages import QuotaIssued


def recipient_lines(plan: Plan) -> tuple[QuotaIssued, ...]:
    """The lines of the plan's table, in its order."""
    return tuple(
        QuotaIssued(
            line=line.key,
            project_type=line.project_type,
            recipient=line.recipient,
            seats=line.seats,
            invented=plan.quotas.invented,
            parent=quota_line(line.project_type, plan.bureau),
            kind=kind_of(plan, line.recipient),
        )
        for line in plan.lines()
    )


def city_lines(plan: Plan) -> tuple[QuotaIssued, ...]:
    """The top of the tree: per project type what the city was given, of which the recipients' lines are a part."""
    handed_out: Counter[str] = Counter()
    for line in plan.lines():
        handed_out[line.project_type] += line.seats
    return tuple(
        QuotaIssued(
            line=quota_line(project_type, plan.bureau),
            project_type=project_type,
            recipient=plan.bureau,
            seats=seats,
            invented=plan.quotas.invented,
            level="city",
            delegated=handed_out[project_type],
        )
        for project_type, seats in sorted(plan.quotas.city_totals.items())
    )


def kind_of(plan: Plan, recipient: str) -> str:
    """项目县 or 非项目县 as the plan has it."""
    found = plan.find_recipient(recipient)
    return "" if found is None else ("project-county" if found.project_county else "other-county")
