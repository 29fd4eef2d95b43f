"""Registrations, attendance and outcomes by file."""

from typing import Any

from spreadsheets.writing import Sheet, as_csv, numbered
from tests.api.class_files import by_heading, filled, imported, send, sheet_of, statuses, template
from tests.api.front_door import API, COUNTY, HOST, OTHER_HOST
from tests.api.test_class_changes import at, confirmed, done, phase_of_class, trainee
from tests.api.test_classes import planned

SESSIONS = [{"day": "2022-10-10", "session": session, "units": 4} for session in ("morning", "afternoon")]
MASKED = "王**"


async def expected(api: API, people: int) -> tuple[str, list[str]]:
    """A class on its first day, and its trainees who are expected."""
    number = await planned(api, capacity=10)
    trainees = [await confirmed(api, counter, number) for counter in range(1, people + 1)]
    await done(api, number, "set-timetable", {"sessions": SESSIONS})
    await api.go_to(at(10, 10, 10))
    await phase_of_class(api, number, "registration-open")
    await api.seen()
    return number, trainees


async def in_training(api: API, people: int) -> tuple[str, list[str]]:
    number, trainees = await expected(api, people)
    rows = {"items": [{"trainee": each} for each in trainees]}
    assert (await api.post(HOST, f"/v1/classes/{number}/registrations", rows)).json()["failed"] == 0
    await done(api, number, "confirm-check-in")
    await api.seen()
    return number, trainees


async def test_registrations_come_by_file_with_the_time_of_arrival(stack: API) -> None:
    number, (first, second, third) = await expected(stack, 3)
    headings, rows = await template(stack, "registration", number)
    assert [(each["学员编号"], each["姓名"]) for each in rows] == [(each, MASKED) for each in (first, second, third)]
    lists = await stack.get(HOST, f"/v1/registration-imports/template?training_class={number}")
    assert [first, "是"] in sheet_of(lists.content, 1)
    rows[0] |= {"报到": "是", "报到时间": "２０２２年１０月１０日 ８：30"}
    rows[1] |= {"报到": "√"}
    rows[2] |= {"报到": "否"}
    wrong = [
        {"学员编号": third, "报到": "是", "报到时间": "2022-10-09 08:30"},
        {"学员编号": third, "报到": "是", "报到时间": "44844.35"},
        {"学员编号": third, "报到": "大概"},
        {"学员编号": third[:-5] + "99999", "报到": "是"},
        {"学员编号": "王小明", "报到": "是"},
    ]
    content = filled(headings, [*rows, *wrong])
    before = await stack.recorded()
    judged, would = await imported(stack, "registration", number, content, dry_run="true")
    assert (judged["succeeded"], judged["failed"], judged["not_sent"]) == (2, 5, 1)
    assert await stack.recorded() == before
    shown, came = await imported(stack, "registration", number, content)
    assert [each["row"] for each in came] == list(range(3, 11))
    wrong_codes = ["arrival_time_wrong", "not_a_time", "not_a_choice", "unknown_number", "wrong_form"]
    assert statuses(came) == ["registered", "registered", "nothing-to-record", *wrong_codes]
    assert statuses(would) == ["acceptable", "acceptable", "nothing-to-record", *wrong_codes]
    assert [each["errors"][0]["cell"] for each in came[3:]] == ["D6", "D7", "C8", "A9", "A10"]
    assert (shown["training_class"], shown["campaign"]) == (number, stack.plan.id)
    events = (await stack.get(HOST, f"/v1/trainees/{first}/events")).json()["items"]
    assert events[-1]["data"]["registered_at"] == "2022-10-10T00:30:00Z"
    assert (await trainee(stack, third))["phase"] == "confirmed"
    # The same file again is the same import, even when nothing was kept of it.
    before = await stack.recorded()
    again, _ = await imported(stack, "registration", number, content)
    assert again["id"] == shown["id"]
    await stack.services.pool.execute("DELETE FROM app.operations")
    repeated, rows_again = await imported(stack, "registration", number, content)
    assert (statuses(rows_again), await stack.recorded()) == (statuses(came), before)
    # The file comes back; corrected, only what was changed is sent.
    back = await stack.get(HOST, f"/v1/registration-imports/{repeated['id']}/file")
    cells = sheet_of(back.content)
    assert cells[2][4] == f"OK {first}"
    assert cells[4][4] == ""
    assert "D6 报到时间须在班级第一天开始" in cells[5][4]
    cells[5][3] = "2022-10-10 08:00"
    corrected = filled(cells[1], by_heading(cells[1], cells[2:6]))
    _, last = await imported(stack, "registration", number, corrected)
    assert statuses(last) == ["done-before", "done-before", "nothing-to-record", "registered"]


async def test_attendance_comes_by_file_and_what_is_blank_stays_unknown(asking: API) -> None:
    number, (first, second) = await in_training(asking, 2)
    headings, rows = await template(asking, "attendance", number)
    assert [(each["学员编号"], each["日期"], each["时段"]) for each in rows] == [
        (each, "2022-10-10", session) for session in ("上午", "下午") for each in (first, second)
    ]
    rows[0] |= {"出勤学时": "4", "记录时间": "2022/10/10 12:00", "来源": "扫码"}
    rows[1] |= {"出勤学时": "０"}
    wrong: list[dict[str, str]] = [
        rows[0] | {"记录时间": "2022/10/10 9:00", "出勤学时": "2"},
        rows[0] | {"出勤学时": "5"},
        rows[0] | {"时段": "夜间"},
        rows[0] | {"时段": "午夜"},
        rows[0] | {"日期": "10月10日"},
        rows[0] | {"学员编号": first[:-5] + "99999"},
        rows[0] | {"出勤学时": "全勤"},
    ]
    content = filled(headings, [*rows, *wrong])
    wrong_codes = [
        "units_exceed_session",
        "session_unknown",
        "not_a_choice",
        "not_a_time",
        "trainees_not_in_class",
        "wrong_number",
    ]
    before = await asking.recorded()
    _, would = await imported(asking, "attendance", number, content, dry_run="true")
    assert statuses(would) == ["acceptable"] * 2 + ["nothing-to-record"] * 2 + ["acceptable", *wrong_codes]
    assert await asking.recorded() == before
    shown, came = await imported(asking, "attendance", number, content)
    assert statuses(came) == ["recorded"] * 2 + ["nothing-to-record"] * 2 + ["older", *wrong_codes]
    assert [each["errors"][0]["cell"] for each in came[5:]] == ["E8", "D9", "D10", "C11", "A12", "E13"]
    await asking.seen()
    items = (await asking.get(HOST, f"/v1/classes/{number}/attendance")).json()["items"]
    assert [(each["attended"], each["unauthorised"], each["unknown"]) for each in items] == [(4, 0, 4), (0, 4, 4)]
    assert items[0]["marks"][0]["source"] == "scan"
    # Once more under the same commands, and once more without what was kept of them.
    before = await asking.recorded()
    await asking.services.pool.execute("DELETE FROM app.operations")
    _, again = await imported(asking, "attendance", number, content)
    assert (statuses(again), await asking.recorded()) == (statuses(came), before)
    back = sheet_of((await asking.get(HOST, f"/v1/attendance-imports/{shown['id']}/file")).content)
    assert back[2][-1].startswith("OK ")
    assert (await template(asking, "attendance", number, "&day=2022-10-11"))[1] == []


async def test_outcomes_come_by_file_each_with_the_fields_of_its_own(asking: API) -> None:
    number, trainees = await in_training(asking, 4)
    await asking.go_to(at(10, 16))
    marks = [
        {"trainee": each, "day": "2022-10-10", "session": session["session"], "units": 4, "evidence": "签到表"}
        for each in trainees[:2]
        for session in SESSIONS
    ]
    answer = (await asking.post(HOST, f"/v1/classes/{number}/attendance", {"items": marks})).json()
    assert answer["failed"] == 0, answer
    await asking.seen()
    headings, rows = await template(asking, "outcome", number)
    assert [each["学员编号"] for each in rows] == trainees
    complete = {"结果": "结业", "集中培训天数": "7天", "学时": "56学时", "等第": "优秀"}
    rows[0] |= complete
    rows[1] |= {"结果": "未结业", "原因": "考核不合格、任务未完成"}
    rows[2] |= {"结果": "劝退", "原因": "违反纪律", "证据": "=考勤记录"}
    wrong: list[dict[str, str]] = [
        rows[3] | complete,
        rows[3] | {"结果": "结业", "集中培训天数": "7", "学时": "许多"},
        rows[3] | {"结果": "结业", "集中培训天数": "7"},
        rows[3] | {"结果": "未结业"},
        rows[3] | {"结果": "未结业", "原因": "太忙"},
        rows[3] | {"结果": "劝退", "原因": "违反纪律、擅自缺勤", "证据": "x"},
        rows[3] | {"结果": "转学"},
    ]
    content = filled(headings, [*rows, *wrong])
    wrong_codes = [
        "attendance_unknown",
        "wrong_number",
        "missing",
        "missing",
        "wrong_form",
        "one_reason",
        "not_a_choice",
    ]
    before = await asking.recorded()
    _, would = await imported(asking, "outcome", number, content, dry_run="true")
    assert statuses(would) == ["acceptable"] * 3 + ["nothing-to-record", *wrong_codes]
    _, held = await imported(asking, "outcome", number, content, mode="atomic")
    assert [each["status"] for each in held[:4]] == ["not-sent"] * 3 + ["nothing-to-record"]
    assert await asking.recorded() == before
    shown, came = await imported(asking, "outcome", number, content)
    assert statuses(came) == ["recorded"] * 3 + ["nothing-to-record", *wrong_codes]
    assert [each["errors"][0].get("cell") for each in came[5:]] == ["F8", "F9", "H10", "H11", "H12", "C13"]
    phases = [(await trainee(asking, each))["phase"] for each in trainees]
    assert phases == ["following-up", "not-completed", "dismissed", "in-training"]
    back = sheet_of((await asking.get(HOST, f"/v1/outcome-imports/{shown['id']}/file")).content)
    assert back[2][-1] == f"OK {trainees[0]} complete"
    # An outcome that was changed in the file is no repetition: the rules answer.
    back[2][2] = "未结业"
    back[2][3:7] = ["", "", "", ""]
    back[2][7] = "考核不合格"
    changed = filled(back[1], by_heading(back[1], back[2:5]))
    _, last = await imported(asking, "outcome", number, changed)
    assert statuses(last) == ["not_allowed_in_phase", "done-before", "done-before"]


async def test_a_row_is_judged_after_the_rows_before_it(stack: API) -> None:
    number, (first,) = await expected(stack, 1)
    rows = [{"学员编号": first, "报到": "是"}] * 2
    content = filled(["学员编号", "报到"], rows)
    for options in ({"dry_run": "true"}, {}):
        _, came = await imported(stack, "registration", number, content, **options)
        assert statuses(came)[1] == "not_allowed_in_phase"


async def test_a_computed_cell_is_no_value_and_a_name_is_no_number(stack: API) -> None:
    from tests.spreadsheets.files import xlsx  # noqa: PLC0415 - only here

    number, (first,) = await expected(stack, 1)

    def fill(_book: Any, page: Any) -> None:
        page.write_row(0, 0, ["学员编号", "报到", "备注"])
        page.write_row(1, 0, [first])
        page.write_formula(1, 1, '=IF(1,"是","否")', None, "是")
        page.write_formula(1, 2, "=1+1", None, 2)

    _, came = await imported(stack, "registration", number, xlsx(fill))
    assert (statuses(came), came[0]["errors"][0]["cell"]) == (["cell_is_formula"], "B2")


async def test_whose_class_it_is_and_whose_step(stack: API) -> None:
    number = await planned(stack)
    content = as_csv(Sheet("", numbered([["学员编号", "报到"], ["x", "是"]])))
    for kind in ("registration", "attendance", "outcome"):
        stranger = await send(stack, kind, number, content, organisation=OTHER_HOST, media_type="text/csv")
        assert (stranger.status_code, stack.problem(stranger)) == (404, "unknown-number")
        assert (await send(stack, kind, number, content, COUNTY, "text/csv")).status_code == 403
        path = f"/v1/{kind}-imports/template?training_class={number}"
        assert (await stack.get(OTHER_HOST, path)).status_code == 404
        assert (await stack.get(HOST, path + "&format=csv")).status_code == 200
    shown, _ = await imported(stack, "registration", number, content, media_type="text/csv")
    for path in ("", "/rows", "/file"):
        response = await stack.get(OTHER_HOST, f"/v1/registration-imports/{shown['id']}{path}")
        assert stack.problem(response) == "unknown-number"
        other_kind = await stack.get(HOST, f"/v1/outcome-imports/{shown['id']}{path}")
        assert stack.problem(other_kind) == "unknown-number"
