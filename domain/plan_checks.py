"""Checks of a plan that need more than one value: references, sums, duplicates, the order of dates.

Each check names the sections it reads, so that a plan with one broken section still has the others checked
and its author sees every fault at once. A check may read only the sections it names.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from domain import plan_eligibility_checks
from domain.calendar import end_of_day, start_of_day
from domain.plan import Plan, Rules
from domain.plan_fault import Fault, PathStep
from domain.plan_fault import unknown as _unknown


@dataclass(frozen=True, slots=True)
class Check:
    """`find` reads no section of the plan but those in `needs`."""

    needs: frozenset[str]
    find: Callable[[Plan], Iterator[Fault]]


def _duplicate_ids(section: str) -> Callable[[Plan], Iterator[Fault]]:
    def find(plan: Plan) -> Iterator[Fault]:
        seen: dict[str, int] = {}
        for index, item in enumerate(getattr(plan, section)):
            if item.id in seen:
                yield Fault(
                    (section, index, "id"),
                    "an id that is used once",
                    item.id,
                    f"{section} 中的编号“{item.id}”已用于第 {seen[item.id] + 1} 项。",
                    f"the id `{item.id}` is already used by item {seen[item.id] + 1} of {section}",
                )
            seen.setdefault(item.id, index)

    return find


def _references_of_project_types(plan: Plan) -> Iterator[Fault]:
    levels = [level.id for level in plan.levels]
    subjects = [subject.id for subject in plan.subjects]
    contacts = [contact.id for contact in plan.contacts]
    for index, project_type in enumerate(plan.project_types):
        path: tuple[PathStep, ...] = ("project_types", index)
        if project_type.level not in levels:
            yield _unknown((*path, "level"), "级别", "level", project_type.level, levels)
        if project_type.contact not in contacts:
            yield _unknown((*path, "contact"), "联系人", "contact", project_type.contact, contacts)
        for position, subject in enumerate(project_type.subjects):
            if subject not in subjects:
                yield _unknown((*path, "subjects", position), "学科", "subject", subject, subjects)


def _hosts(plan: Plan) -> Iterator[Fault]:
    levels = [level.id for level in plan.levels]
    for index, host in enumerate(plan.hosts):
        for position, level in enumerate(host.levels):
            if level not in levels:
                yield _unknown(("hosts", index, "levels", position), "级别", "level", level, levels)
            if level in host.levels[:position]:
                yield Fault(
                    ("hosts", index, "levels", position),
                    "each level once",
                    level,
                    f"承训单位 {host.id} 的级别“{level}”重复。",
                    f"host {host.id} names the level `{level}` twice",
                )
    for index, announced in enumerate(plan.levels):
        listed = sum(announced.id in host.levels for host in plan.hosts)
        if listed > announced.announced_hosts:
            yield Fault(
                ("levels", index, "announced_hosts"),
                f"at least {listed}, as many as hosts of this level are listed",
                str(announced.announced_hosts),
                f"{announced.name_zh}列出了 {listed} 个承训单位，多于公布的 {announced.announced_hosts} 个。",
                f"{listed} hosts of `{announced.id}` are listed, but {announced.announced_hosts} announced",
            )


def _host_for_every_level(plan: Plan) -> Iterator[Fault]:
    for index, project_type in enumerate(plan.project_types):
        if not plan.hosts_of(project_type.level):
            yield Fault(
                ("project_types", index, "level"),
                "a level that at least one host may host",
                project_type.level,
                f"没有承训单位可以承办级别“{project_type.level}”，项目 {project_type.id} 无法开班。",
                f"no host may host the level `{project_type.level}`, so `{project_type.id}` can't take place",
            )


def _recipients(plan: Plan) -> Iterator[Fault]:
    codes = Counter(recipient.gb_code for recipient in plan.recipients if recipient.gb_code)
    for index, recipient in enumerate(plan.recipients):
        if recipient.id == plan.bureau:
            yield Fault(
                ("recipients", index, "id"),
                "an id other than the bureau's",
                recipient.id,
                f"“{recipient.id}”是市教育局的编号。",
                f"`{recipient.id}` is the bureau's id",
            )
        if recipient.gb_code and codes[recipient.gb_code] > 1:
            yield Fault(
                ("recipients", index, "gb_code"),
                "a GB code that is used once",
                recipient.gb_code,
                f"行政区划代码 {recipient.gb_code} 用于多个单位。",
                f"the GB code {recipient.gb_code} is used by several recipients",
            )


def _quota_references(plan: Plan) -> Iterator[Fault]:
    recipients = {recipient.id: recipient for recipient in plan.recipients}
    project_types = {project_type.id: project_type for project_type in plan.project_types}
    for project_type_id in plan.quotas.city_totals:
        if project_type_id not in project_types:
            path = ("quotas", "city_totals", project_type_id)
            yield _unknown(path, "项目类别", "project type", project_type_id, project_types)
    for recipient_id, row in plan.quotas.seats.items():
        recipient = recipients.get(recipient_id)
        if recipient is None:
            path = ("quotas", "seats", recipient_id)
            yield _unknown(path, "名额接收单位", "recipient", recipient_id, recipients)
        for project_type_id in row:
            project_type = project_types.get(project_type_id)
            cell = ("quotas", "seats", recipient_id, project_type_id)
            if project_type is None:
                yield _unknown(cell, "项目类别", "project type", project_type_id, project_types)
            elif (
                recipient is not None
                and project_type.project_counties_only
                and not plan.is_project_county(recipient_id, plan.dates.opens)
            ):
                yield Fault(
                    cell,
                    "a recipient with `project_county: true`",
                    recipient_id,
                    f"“{project_type.name_zh}”只面向项目县，{recipient.name_zh}不是项目县。",
                    f"`{project_type_id}` is for project counties only, and {recipient_id} is not one",
                )


def _quota_sums(plan: Plan) -> Iterator[Fault]:
    handed_out: Counter[str] = Counter()
    for row in plan.quotas.seats.values():
        handed_out.update(row)
    for project_type_id, seats in handed_out.items():
        total = plan.quotas.city_totals.get(project_type_id)
        if total is None:
            yield Fault(
                ("quotas", "city_totals"),
                f"a city total for {project_type_id}",
                "nothing",
                f"项目“{project_type_id}”分配了 {seats} 个名额，但没有全市总数。",
                f"{seats} seats of `{project_type_id}` are handed out, but it has no city total",
            )
        elif seats > total:
            yield Fault(
                ("quotas", "city_totals", project_type_id),
                f"at least {seats}, the sum of the recipients' seats",
                str(total),
                f"项目“{project_type_id}”各单位名额之和 {seats} 超过全市总数 {total}。",
                f"the seats of `{project_type_id}` add up to {seats}, more than the city's {total}",
            )


def _dates(plan: Plan) -> Iterator[Fault]:
    dates = plan.dates
    steps = [
        (("dates", "opens"), start_of_day(dates.opens)),
        (("dates", "selection", "school", "at"), dates.selection.school.at),
        (("dates", "selection", "county", "at"), dates.selection.county.at),
        (("dates", "selection", "city", "at"), dates.selection.city.at),
        (("dates", "soft_end"), end_of_day(dates.soft_end)),
        (("dates", "closes"), end_of_day(dates.closes) + timedelta(microseconds=1)),
    ]
    for (earlier_path, earlier), (path, instant) in pairwise(steps):
        if instant <= earlier:
            before, after = ".".join(earlier_path), ".".join(path)
            yield Fault(
                path,
                f"later than {before}",
                instant.isoformat(),
                f"{after} 必须晚于 {before}。",
                f"{after} must lie after {before}",
            )


def _last_offer(plan: Plan) -> Iterator[Fault]:
    day, dates = plan.seat_rules.last_offer, plan.dates
    if day is not None and not dates.opens <= day <= dates.closes:
        yield Fault(
            ("seat_rules", "last_offer"),
            f"a day from {dates.opens} to {dates.closes}",
            day.isoformat(),
            f"候补的最后一天 {day} 不在项目期内（{dates.opens} 至 {dates.closes}）。",
            f"the last day of offers, {day}, lies outside the campaign ({dates.opens} to {dates.closes})",
        )


def _basis(plan: Plan) -> Iterator[Fault]:
    rules = [name for name in Rules.model_fields if name != "basis"]
    named = [entry.rule for entry in plan.rules.basis]
    for index, rule in enumerate(named):
        path = ("rules", "basis", index, "rule")
        if rule not in rules:
            yield _unknown(path, "规则", "rule", rule, rules)
        elif rule in named[:index]:
            yield Fault(path, "each rule once", rule, f"规则“{rule}”的依据重复。", f"the rule `{rule}` has two bases")
    for rule in rules:
        if rule not in named:
            yield Fault(
                ("rules", "basis"),
                f"an entry for {rule}",
                "nothing",
                f"规则“{rule}”没有写明依据。",
                f"the rule `{rule}` does not say where it comes from",
            )


def _check(find: Callable[[Plan], Iterator[Fault]], *needs: str) -> Check:
    return Check(frozenset(needs), find)


CHECKS: tuple[Check, ...] = (
    *(
        _check(_duplicate_ids(section), section)
        for section in ("contacts", "levels", "subjects", "project_types", "recipients", "hosts")
    ),
    _check(_dates, "dates"),
    _check(_basis, "rules"),
    _check(_last_offer, "seat_rules", "dates"),
    _check(_references_of_project_types, "project_types", "levels", "subjects", "contacts"),
    _check(_hosts, "hosts", "levels"),
    _check(_host_for_every_level, "hosts", "project_types"),
    _check(_recipients, "recipients", "bureau"),
    _check(_quota_references, "quotas", "recipients", "project_types", "project_county_lists", "dates"),
    *(Check(frozenset(needs), find) for find, needs in plan_eligibility_checks.CHECKS),
    _check(_quota_sums, "quotas"),
)


def faults(plan: Plan, sections: frozenset[str]) -> Iterator[Fault]:
    """Every fault that can be found in the given sections of `plan`, the only ones that are read."""
    for check in CHECKS:
        if check.needs <= sections:
            yield from check.find(plan)
