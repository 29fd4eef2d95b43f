"""The plan of 2022 against the notice, and what a plan can be asked."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.calendar import CalendarNotPublishedError, end_of_day, local_instant
from domain.plan import Plan, Rules, UnknownInPlanError
from domain.plan_loader import load_plan
from tests.specification import the_plan

TEXT = (Path(__file__).parents[2] / "plans" / "2022-zhengzhou.yaml").read_text(encoding="utf-8")
ZHENGZHOU_CODES = {
    *("410102", "410103", "410104", "410105", "410106", "410108", "410122", "410171", "410172", "410173"),
    *("410181", "410182", "410183", "410184", "410185"),
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(TEXT)


def test_project_types_are_the_notices_seven_and_five(plan: Plan) -> None:
    national = [each.name_zh for each in plan.project_types if each.level == "national"]
    provincial = [each.name_zh for each in plan.project_types if each.level == "provincial"]
    assert national == [
        "农村骨干教师能力提升培训",
        "重点区域领域帮扶培训",
        "市县教师培训团队研修",
        "农村校园长领导力培训",
        "中小学教师信息技术应用能力培训",
        "专题示范培训",
        "项目县培训",
    ]
    assert provincial == [
        "省级名师培育对象培育项目",
        "高中教师信息技术应用能力提升培训项目",
        "教师教育高级管理者研修项目",
        "河南省国家教育统一考试监考教师培训项目",
        "河南省国家教育统一考试评卷教师培训项目",
    ]
    assert [each.id for each in plan.project_types] == [f"gp{n}" for n in range(1, 8)] + [f"sp{n}" for n in range(1, 6)]


def test_hosts_fill_the_notices_numbers_and_only_its_three_are_real(plan: Plan) -> None:
    assert len(plan.hosts_of("national")) == 153
    assert len(plan.hosts_of("provincial")) == 14
    real = [host for host in plan.hosts if not host.generated]
    assert [host.name_zh for host in real] == ["北京师范大学", "河南大学", "民权县教师进修学校"]
    assert {host.rating for host in real} == {"unrated"}
    assert real[0] in plan.hosts_of("provincial")
    assert all(host.name_zh.endswith("（示例）") for host in plan.hosts if host.generated)


def test_recipients_are_the_notices_addressees(plan: Plan) -> None:
    assert {each.gb_code for each in plan.recipients if each.gb_code} == ZHENGZHOU_CODES
    assert all(each.id == each.gb_code for each in plan.recipients if each.gb_code)
    without_code = {each.id: each.kind for each in plan.recipients if each.gb_code is None}
    assert without_code == {
        "zdxq": "development-zone",
        "jszx": "direct-schools",
        "zznu": "university",
        "jks": "research-institute",
        "jys": "teaching-research-office",
    }
    assert sum(each.kind == "development-zone" for each in plan.recipients) == 4


def test_dates_say_which_is_the_notices(plan: Plan) -> None:
    selection = plan.dates.selection
    assert plan.dates.opens == plan.notice.date == date(2022, 8, 25)
    assert plan.selection_deadline("school") == local_instant("2022-08-29 18:00")
    assert plan.selection_deadline("county") == local_instant("2022-08-30 24:00")
    assert plan.selection_deadline("city") == datetime(2022, 8, 31, 16, tzinfo=UTC)
    assert (selection.school.source, selection.county.source, selection.city.source) == (
        "ours",
        "ours",
        "notice",
    )
    assert plan.dates.soft_end == date(2022, 12, 31)
    assert (plan.dates.closes, plan.dates.closes_source) == (date(2023, 2, 10), "ours")


def test_every_number_of_quotas_says_it_is_invented(plan: Plan) -> None:
    assert plan.quotas.invented is True
    assert "虚构" in plan.quotas.note_zh
    assert "invented" in plan.quotas.note_en


def test_seats_add_up_and_stay_below_the_citys_totals(plan: Plan) -> None:
    assert sum(line.seats for line in plan.lines()) == 520
    for project_type in plan.project_types:
        handed_out = sum(line.seats for line in plan.lines() if line.project_type == project_type.id)
        assert 0 < handed_out <= plan.quotas.city_totals[project_type.id]


def test_project_county_seats_go_to_project_counties_only(plan: Plan) -> None:
    recipients = {line.recipient for line in plan.lines() if line.project_type == "gp7"}
    assert recipients == {each.id for each in plan.recipients if each.project_county}


def test_rules_and_their_sources(plan: Plan) -> None:
    rules = plan.rules
    assert (rules.centralised_days_per_cycle, rules.restriction_years) == (7, 3)
    assert rules.restriction_starts == "decision"
    assert (rules.excuse_window_working_days, rules.objection_window_working_days) == (5, 10)
    assert rules.selection_reminders_hours_before == (72, 24, 3)
    assert rules.class_reminders_days_before == (7, 3, 1)
    for name in set(Rules.model_fields) - {"basis"}:
        assert plan.basis(name).paragraph_zh
    assert plan.basis("restriction_years").source == "notice"
    assert plan.basis("restriction_starts").source == "ours"


def test_seven_days_for_all_but_the_examination_trainings(plan: Plan) -> None:
    short = {
        each.id: each.centralised_days_source
        for each in plan.project_types
        if each.centralised_days_required < plan.rules.centralised_days_per_cycle
    }
    assert short == {"sp4": "ours", "sp5": "ours"}


def test_the_last_follow_up_is_over_before_the_campaign_closes(plan: Plan) -> None:
    longest = max(each.follow_up.due_days for each in plan.project_types if each.follow_up)
    last_class_ends = date(2022, 12, 10).toordinal()
    over = last_class_ends + plan.rules.outcome_due_days_after_class_end + longest
    assert over + plan.rules.follow_up_grace_days <= plan.dates.closes.toordinal()


def test_contacts_are_the_notices(plan: Plan) -> None:
    telephones = {number for contact in plan.contacts for number in contact.telephones}
    assert telephones == {"0371-69303362", "0371-68970741", "0371-58525573", "0371-58525571", "66962196"}
    assert plan.contact(plan.project_type("gp4").contact).people_zh == ("王春莲",)
    assert plan.contact(plan.project_type("gp7").contact).people_zh == ("许凛",)
    assert {plan.project_type(f"sp{n}").contact for n in range(1, 6)} == {plan.project_type("gp5").contact}


def test_no_address_can_receive_mail(plan: Plan) -> None:
    addresses = [plan.bureau_email, *(each.contact_email for each in plan.recipients)]
    addresses += [host.contact_email for host in plan.hosts]
    assert all(address.endswith(".example.invalid") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_things_are_found_by_id(plan: Plan) -> None:
    assert plan.project_type("sp2").level == "provincial"
    assert plan.recipient("410181").name_zh == "巩义市教育局"
    assert plan.host("h002").name_zh == "河南大学"
    assert plan.find_host("h999") is None
    assert plan.find_recipient("410199") is None
    assert plan.find_project_type("gp9") is None


def test_an_unknown_id_names_the_nearest(plan: Plan) -> None:
    with pytest.raises(UnknownInPlanError, match="did you mean zdxq") as caught:
        plan.recipient("zdxx")
    assert caught.value.nearest == "zdxq"
    for ask in (plan.project_type, plan.host, plan.contact, plan.basis, plan.quota):
        with pytest.raises(UnknownInPlanError):
            ask("???")


def test_a_line_is_asked_by_its_key(plan: Plan) -> None:
    lines = {line.key: line for line in plan.lines()}
    assert plan.quota("gp1:410181") == lines["gp1:410181"].seats == plan.quotas.seats["410181"]["gp1"]
    assert plan.seats("gp7:410105") is None
    with pytest.raises(UnknownInPlanError):
        plan.quota("gp7:410105")
    assert plan.seats("gp1") is None
    assert plan.seats("410181:gp1") is None


def test_working_days_follow_the_plans_answer_to_unpublished_years(plan: Plan) -> None:
    far = end_of_day(date(2199, 1, 6))
    with pytest.raises(CalendarNotPublishedError):
        plan.add_working_days(far, 1)
    data = plan.model_dump()
    data["rules"]["unpublished_calendar_year"] = "weekends-only"
    lenient = Plan.model_validate(data)
    assert lenient.add_working_days(far, 1) == end_of_day(date(2199, 1, 8))


def test_a_plan_can_not_be_changed(plan: Plan) -> None:
    with pytest.raises(ValidationError):
        plan.rules.restriction_years = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        plan.quotas.seats["410181"]["gp1"] = 999  # type: ignore[index]
    with pytest.raises(TypeError):
        plan.quotas.city_totals["gp1"] = 999  # type: ignore[index]


def test_the_canonical_form_reads_back_and_has_one_digest(plan: Plan) -> None:
    again = load_plan(plan.canonical().decode())
    assert again == plan
    assert again.canonical() == plan.canonical()
    assert again.sha256() == plan.sha256()
    assert len(plan.sha256()) == 64


def test_the_digest_ignores_layout_and_notices_every_value(plan: Plan) -> None:
    commented = "# a comment\n" + TEXT.replace("edition: 1 ", "edition:    1 ", 1)
    assert load_plan(commented).sha256() == plan.sha256()
    reordered = TEXT.replace("{gp3: 2, gp6: 1, sp3: 2}", "{sp3: 2, gp3: 2, gp6: 1}", 1)
    assert reordered != TEXT
    assert load_plan(reordered).sha256() == plan.sha256()
    changed = TEXT.replace("restriction_years: 3", "restriction_years: 2", 1)
    assert load_plan(changed).sha256() != plan.sha256()


def test_a_changed_copy_has_a_digest_of_its_own() -> None:
    plan = the_plan()
    before = plan.sha256()
    changed = plan.model_copy(update={"id": "another"})
    assert changed.sha256() != before
    assert plan.sha256() == before
