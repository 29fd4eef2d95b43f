"""Checks of what a plan says about selection: references, dates in order, lists that agree with the flags."""

from collections.abc import Callable, Iterator
from itertools import pairwise

from domain.plan import Plan
from domain.plan_fault import Fault, PathStep, unknown


def _references(plan: Plan) -> Iterator[Fault]:
    known = [each.id for each in plan.project_types]
    for section in ("renamings", "training_dates"):
        for index, each in enumerate(getattr(plan.eligibility, section)):
            if each.project_type not in known:
                path = ("eligibility", section, index, "project_type")
                yield unknown(path, "项目类别", "project type", each.project_type, known)


def _training_dates(plan: Plan) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, each in enumerate(plan.eligibility.training_dates):
        path: tuple[PathStep, ...] = ("eligibility", "training_dates", index)
        if each.ends < each.starts:
            found = each.ends.isoformat()
            yield Fault(
                (*path, "ends"), f"{each.starts} or later", found, "结束早于开始。", "the end lies before the start"
            )
        if not plan.dates.opens <= each.starts <= plan.dates.closes:
            expected = f"a day from {plan.dates.opens} to {plan.dates.closes}"
            words = ("培训日期不在项目期内。", "the training lies outside the campaign")
            yield Fault((*path, "starts"), expected, each.starts.isoformat(), *words)
        if each.project_type in seen:
            words = (f"“{each.project_type}”的日期重复。", f"`{each.project_type}` has dates already")
            yield Fault((*path, "project_type"), "each project type once", each.project_type, *words)
        seen.add(each.project_type)


def _priority(plan: Plan) -> Iterator[Fault]:
    named = [each.criterion for each in plan.eligibility.priority]
    for index, criterion in enumerate(named):
        path = ("eligibility", "priority", index, "criterion")
        if criterion in named[:index]:
            words = (f"“{criterion}”重复。", f"`{criterion}` stands here twice")
            yield Fault(path, "each criterion once", criterion, *words)
        if criterion == "short-of-days" and plan.eligibility.cycle is None:
            words = ("没有规定继续教育周期。", "there is no cycle in which days could be counted")
            yield Fault(path, "`eligibility.cycle`", "nothing", *words)
    if plan.eligibility.no_repeat and plan.eligibility.cycle is None:
        words = ("没有规定继续教育周期。", "there is no cycle within which nothing is repeated")
        yield Fault(("eligibility", "no_repeat"), "`eligibility.cycle`", "nothing", *words)


def _project_county_lists(plan: Plan) -> Iterator[Fault]:
    known = {each.id: each for each in plan.recipients}
    for index, each in enumerate(plan.project_county_lists):
        for position, recipient in enumerate(each.recipients):
            if recipient not in known:
                path = ("project_county_lists", index, "recipients", position)
                yield unknown(path, "名额接收单位", "recipient", recipient, known)
    for index, (earlier, later) in enumerate(pairwise(plan.project_county_lists), start=1):
        if later.since <= earlier.since:
            words = ("名单应按生效日期排列。", "the lists stand in the order of their days")
            yield Fault(
                ("project_county_lists", index, "since"), f"after {earlier.since}", later.since.isoformat(), *words
            )


def _flags(plan: Plan) -> Iterator[Fault]:
    # Two statements of one thing must not differ: a reader of the flag would be misled.
    if not plan.project_county_lists:
        return
    for index, recipient in enumerate(plan.recipients):
        listed = plan.is_project_county(recipient.id, plan.dates.opens)
        if listed != recipient.project_county:
            found = str(recipient.project_county).lower()
            words = (
                f"与 {plan.dates.opens} 有效的项目县名单不一致。",
                f"the list in force on {plan.dates.opens} says otherwise",
            )
            yield Fault(("recipients", index, "project_county"), str(listed).lower(), found, *words)


CHECKS: tuple[tuple[Callable[[Plan], Iterator[Fault]], tuple[str, ...]], ...] = (
    (_references, ("eligibility", "project_types")),
    (_training_dates, ("eligibility", "dates")),
    (_priority, ("eligibility",)),
    (_project_county_lists, ("project_county_lists", "recipients")),
    (_flags, ("project_county_lists", "recipients", "dates")),
)
