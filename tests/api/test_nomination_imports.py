"""Nominations by file, with what people and spreadsheet programs do to files."""

import asyncio
import io
from typing import Any
from uuid import uuid4

import pytest
from python_calamine import CalamineWorkbook

from api import operations
from api.edge import MAX_BODY_BYTES
from api.uploads import TimelyBody
from spreadsheets.reading import read_table
from spreadsheets.writing import XLSX, Sheet, as_xlsx, numbered
from tests.api import nomination_files as files
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY, OTHER_SCHOOL, SCHOOL
from tests.api.nomination_files import as_file, as_text, finished, row, rows_of, send
from tests.api.nominations import identity_number, nomination

TEXT = "text/csv"


async def test_a_file_is_nominated_row_by_row_with_progress(stack: API) -> None:
    response = await send(stack, as_file(row(1), row(2), row(3)))
    first = response.json()
    assert (first["kind"], first["progress"]["total"], response.headers["retry-after"]) == ("nomination-import", 3, "1")
    assert response.headers["location"] == f"/v1/operations/{first['id']}"
    shown = await finished(stack, response)
    assert (shown["rows"], shown["succeeded"], shown["failed"], shown["not_sent"]) == (3, 3, 0, 0)
    assert shown["operation"]["progress"] == {"done": 3, "total": 3}
    assert (shown["file"]["format"], shown["file"]["heading_row"], shown["file"]["columns"]["name"]) == ("xlsx", 3, "A")
    found = await rows_of(stack, shown)
    assert [each["row"] for each in found] == [4, 5, 6]
    trainee = (await stack.get(COUNTY, f"/v1/trainees/{found[0]['number']}")).json()
    assert (trainee["phase"], trainee["stage"], trainee["subject"]) == ("nominated", "primary", "chinese")
    assert trainee["person"]["identity_number"] == identity_number(1)[:4] + "**********" + identity_number(1)[-4:]


async def test_case_63_the_same_file_twice_is_the_same_result(stack: API) -> None:
    content = as_file(row(1), row(1), row(2))
    shown = await finished(stack, await send(stack, content))
    before = await stack.recorded()
    again = await finished(stack, await send(stack, content))
    assert (again, await stack.recorded()) == (shown, before)
    found = await rows_of(stack, shown)
    assert [each["status"] for each in found] == ["nominated", "failed", "nominated"]
    # Even where nothing was kept of the import, the rows are the same commands.
    await stack.services.pool.execute("DELETE FROM app.operations")
    repeated = await finished(stack, await send(stack, content))
    assert [each.get("number") for each in await rows_of(stack, repeated)] == [each.get("number") for each in found]
    assert await stack.recorded() == before
    # Another organisation's same file is another import.
    other = await send(stack, content, organisation=OTHER_COUNTY)
    assert other.json()["id"] != shown["id"]


async def test_a_form_that_is_sent_again_under_its_key_has_another_boundary(stack: API) -> None:
    content, key = as_file(row(1)), str(uuid4())
    answers = []
    for boundary in ("one", "two"):
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="名单.xlsx"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        answers.append(await send(stack, body, media_type=f"multipart/form-data; boundary={boundary}", key=key))
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert (await finished(stack, answers[0]))["succeeded"] == 1
    other_options = await send(stack, content, key=key, dry_run="true")
    assert stack.problem(other_options) == "idempotency-key-reused"


WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"身份证号": "410181901507001"}, "B", "identity_15_digits"),
    ({"身份证号": "4.10181E+17"}, "B", "identity_scientific_notation"),
    ({"身份证号": "H12345678"}, "B", "identity_permit_hong_kong_macao"),
    ({"姓名": "X"}, "A", "too_short"),
    ({"手机号": "不详"}, "C", "wrong_form"),
    ({"项目": "gp99"}, "D", "not_a_choice"),
    ({"学段": "大学"}, "E", "not_a_choice"),
    ({"学科": "炼丹"}, "F", "not_a_choice"),
    ({"教龄": "五年"}, "G", "wrong_number"),
    ({"教龄": "61"}, "G", "wrong_number"),
    ({"手机号": ""}, "C", "wrong_form"),
]


async def test_case_9_a_wrong_cell_is_named_as_the_spreadsheet_shows_it(stack: API) -> None:
    shown = await finished(stack, await send(stack, as_file(*(row(n, **each[0]) for n, each in enumerate(WRONG, 50)))))
    assert (shown["succeeded"], shown["failed"]) == (0, len(WRONG))
    for place, (each, found) in enumerate(zip(WRONG, await rows_of(stack, shown), strict=True)):
        changes, column, code = each
        error = found["errors"][0]
        assert (error["cell"], error["column"], error["code"]) == (f"{column}{4 + place}", column, code), changes
        assert all(error[name] for name in ("detail", "detail_zh", "remedy", "remedy_zh"))
        personal = next(iter(changes.values()))
        if column in "ABC" and len(personal) > 2:
            assert personal not in str(found)


async def test_case_9_full_width_digits_blanks_and_words_are_put_right(stack: API) -> None:
    wide = str.maketrans("0123456789X", "０１２３４５６７８９ｘ")
    messy = row(
        7,
        身份证号=f" {identity_number(7).translate(wide)} ",
        手机号="１３８００００００07",
        项目="gp5 某某项目",
        教龄="５年",
        学段="primary",
    )
    shown = await finished(
        stack, await send(stack, as_text(messy, encoding="gbk"), media_type=TEXT, organisation=SCHOOL), SCHOOL
    )
    assert (shown["succeeded"], shown["file"]["encoding"]) == (1, "gb18030")


async def test_case_71_a_row_of_a_file_is_judged_as_a_single_nomination(stack: API) -> None:
    body = nomination(stack, 1, project_type="gp1", stage="senior", position="principal", years_of_service=0)
    alone = (await stack.post(COUNTY, "/v1/nominations", body)).json()["errors"]
    headings = [*files.HEADINGS, "岗位", "学校"]
    bad = [*row(1, 项目="gp1", 学段="高中", 教龄="0"), "校长", COUNTY]
    content = as_xlsx(Sheet("名单", numbered([headings, bad, [*row(2), "教师", OTHER_SCHOOL]])))
    for options in ({}, {"dry_run": "true"}):
        first, second = await rows_of(stack, await finished(stack, await send(stack, content, **options)))
        assert [each["code"] for each in first["errors"]] == [each["code"] for each in alone]
        assert [each["detail_zh"] for each in first["errors"]] == [each["detail_zh"] for each in alone]
        assert (second["errors"][0]["code"], second["errors"][0]["cell"]) == ("school_of_another_county", "I3")


async def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(stack: API) -> None:
    await stack.post(COUNTY, "/v1/nominations", nomination(stack, 1))
    earlier = {
        "campaign": stack.plan.id,
        "person": {"name": "王小明", "identity_number": identity_number(5)},
        "starts": "2021-03-01",
        "until": "2024-03-01",
        "document": "郑教师函〔2021〕88号",
    }
    assert (await stack.post(BUREAU, "/v1/restrictions", earlier)).status_code == 201
    before = await stack.recorded()
    people = await stack.services.pool.fetchval("SELECT count(*) FROM vault.subjects")
    content = as_file(row(1), row(5), row(8), row(8), row(9))
    shown = await finished(stack, await send(stack, content, dry_run="true"))
    found = await rows_of(stack, shown)
    assert [each["status"] for each in found] == ["failed", "failed", "acceptable", "failed", "acceptable"]
    codes = [each["errors"][0]["code"] for each in found if each["errors"]]
    assert codes == ["duplicate_nomination", "restricted_until", "duplicate_nomination"]
    assert "2024-03-01" in found[1]["errors"][0]["detail"]
    assert await stack.recorded() == before
    assert await stack.services.pool.fetchval("SELECT count(*) FROM vault.subjects") == people
    sent = await finished(stack, await send(stack, content))
    real = await rows_of(stack, sent)
    assert [each["status"] == "nominated" for each in real] == [each["status"] == "acceptable" for each in found]
    assert [each["errors"] for each in real] == [each["errors"] for each in found]


async def test_an_atomic_file_is_sent_whole_or_not_at_all(stack: API) -> None:
    before = await stack.recorded()
    shown = await finished(stack, await send(stack, as_file(row(1), row(2, 学段="大学")), mode="atomic"))
    assert (shown["succeeded"], shown["failed"], shown["not_sent"]) == (0, 1, 1)
    assert [each["status"] for each in await rows_of(stack, shown)] == ["not-sent", "failed"]
    assert await stack.recorded() == before
    whole = await finished(stack, await send(stack, as_file(row(1), row(2)), mode="atomic"))
    assert (whole["succeeded"], whole["failed"]) == (2, 0)


async def test_the_file_comes_back_with_a_column_and_can_be_corrected_and_sent_again(stack: API) -> None:
    evil = '=HYPERLINK("http://x")'
    for make, media_type in ((as_file, XLSX), (as_text, TEXT)):
        counter = 10 if make is as_file else 20
        sent = make(row(counter, 姓名=evil), row(counter + 1, 教龄="x"))
        shown = await finished(stack, await send(stack, sent, media_type=media_type))
        back = await stack.get(COUNTY, f"/v1/nomination-imports/{shown['id']}/file")
        assert back.headers["content-type"].startswith(media_type)
        table = read_table(back.content, files_headings(), 100)
        first = 4 if make is as_file else 2
        assert [number for number, _ in table.rows] == [first, first + 1]
        assert table.cell(table.rows[0][1], "name") == evil
        assert table.cell(table.rows[0][1], "result").startswith("OK ")
        assert f"G{first + 1} 应为整数年数" in table.cell(table.rows[1][1], "result")
        cells = [[*each[1]] for each in table.rows]
        cells[1][6] = "6"
        corrected = as_xlsx(Sheet("名单", numbered([[*files.HEADINGS, "导入结果 Result"], *cells])))
        again = await finished(stack, await send(stack, corrected))
        assert [each["status"] for each in await rows_of(stack, again)] == ["done-before", "nominated"]
        assert (again["succeeded"], again["failed"], again["not_sent"]) == (1, 0, 1)


def files_headings() -> Any:
    from api.nomination_columns import HEADINGS  # noqa: PLC0415 - of the API, not of the files above

    return HEADINGS


async def test_case_64_a_file_that_comes_back_holds_no_formula(stack: API) -> None:
    evil = ["=1+1", "+1", "-1", "@x"]
    shown = await finished(
        stack, await send(stack, as_text(*(row(n, 姓名=f"{e}小明") for n, e in enumerate(evil, 1))), media_type=TEXT)
    )
    back = await stack.get(COUNTY, f"/v1/nomination-imports/{shown['id']}/file")
    lines = back.content.decode("utf-8-sig").splitlines()[1:]
    assert [line[:3] for line in lines] == [f"'{each[:2]}"[:3] for each in ("=1", "+1", "-1", "@x")]


async def test_case_65_a_hidden_row_is_not_nominated_by_accident(stack: API) -> None:
    import zipfile  # noqa: PLC0415 - only here

    content = as_file(row(1), row(2))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            if name.endswith("sheet1.xml"):
                part = part.replace(b'<row r="5"', b'<row r="5" hidden="1"')
            target.writestr(name, part)
    shown = await finished(stack, await send(stack, out.getvalue()))
    assert shown["file"]["hidden_rows"] == [5]
    found = await rows_of(stack, shown)
    assert [each["status"] for each in found] == ["nominated", "failed"]
    assert found[1]["errors"][0]["code"] == "row_hidden"
    read = await finished(stack, await send(stack, out.getvalue(), hidden_rows="read"))
    assert (read["succeeded"], read["failed"]) == (2, 0)


async def test_nothing_of_a_file_is_kept_in_the_clear(stack: API) -> None:
    secret = row(33, 姓名="欧阳独特", 身份证号=identity_number(33)[:-1] + "?")
    shown = await finished(stack, await send(stack, as_file(row(34, 姓名="欧阳独特"), secret)))
    assert (shown["succeeded"], shown["failed"]) == (1, 1)
    from tests.clear_text import found_in  # noqa: PLC0415 - only here

    known = ["欧阳独特", identity_number(33)[:-1], identity_number(34), "13800000033", "13800000034"]
    for table in ("app.operations", "app.imports", "app.import_results", "app.idempotency"):
        rows = await stack.services.pool.fetch(f"SELECT t::text AS text FROM {table} t")
        assert rows
        assert found_in("".join(each["text"] for each in rows).encode(), known) == [], table


# ---------------------------------------------------------------------------------------- without Temporal, or going on


async def test_an_import_waits_for_temporal_and_goes_on_by_itself(api: API) -> None:
    response = await send(api, as_file(row(1)))
    assert response.status_code == 202
    while True:
        operation = (await api.get(COUNTY, response.headers["location"])).json()
        if operation["state"] == "waiting":
            break
        await asyncio.sleep(0.02)
    assert (operation["error"], operation["finished_at"]) == ("temporal-unavailable", None)
    assert await api.services.pool.fetchval("SELECT attempts FROM app.operations") == 1


async def test_an_import_outlives_the_process_that_began_it(stack: API) -> None:
    """The row is as a killed process leaves it: begun, with a lease that has run out and some results kept."""
    # Made anew, the file would hold another time of its making.
    content = as_file(*(row(n) for n in range(1, 6)))
    shown = await finished(stack, await send(stack, content))
    numbers = [each["number"] for each in await rows_of(stack, shown)]
    before = await stack.recorded()
    # All at once: the process looks for such operations by itself.
    async with stack.services.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE app.operations SET state = 'running', finished_at = NULL, done = 0, lease = $1, "
            "leased_until = clock_timestamp() - interval '1 second'",
            uuid4(),
        )
        await connection.execute("DELETE FROM app.import_results")
        await connection.execute("UPDATE app.imports SET succeeded = 0")
    stack.services.work_announced.set()
    again = await finished(stack, await send(stack, content))
    assert again["succeeded"] == 5
    assert [each["number"] for each in await rows_of(stack, again)] == numbers
    assert await stack.recorded() == before


async def test_a_process_that_has_lost_its_lease_writes_nothing_more(api: API) -> None:
    async with api.services.pool.acquire() as connection:
        id_ = uuid4()
        await operations.begin(connection, id_, COUNTY, "nomination-imports-of-a-test", 3)
        lost = operations.Lease(id_, "x", uuid4(), 3, 1)
        with pytest.raises(operations.LeaseLost):
            await operations.advance(connection, lost, 1)
        with pytest.raises(operations.LeaseLost):
            await operations.finish(connection, lost)


async def test_old_operations_are_forgotten_with_their_files(api: API) -> None:
    response = await send(api, as_file(row(1, 学段="x")), dry_run="true")
    shown = await finished(api, response)
    await operations.sweep(api.services)
    assert (await api.get(COUNTY, f"/v1/nomination-imports/{shown['id']}")).status_code == 200
    await api.services.pool.execute("UPDATE app.operations SET finished_at = finished_at - interval '8 days'")
    await operations.sweep(api.services)
    for table in ("operations", "imports", "import_results"):
        assert await api.services.pool.fetchval(f"SELECT count(*) FROM app.{table}") == 0


# ------------------------------------------------------------------------------------------------------- who, and what


async def test_only_nominators_import_and_nobody_sees_anothers_import(api: API) -> None:
    for organisation in (BUREAU, HOST):
        assert (await send(api, as_file(row(1)), organisation=organisation)).status_code == 403
    shown = await finished(api, await send(api, as_file(row(1)), dry_run="true"))
    for path in ("", "/rows", "/file"):
        for stranger in (OTHER_COUNTY, SCHOOL):
            response = await api.get(stranger, f"/v1/nomination-imports/{shown['id']}{path}")
            assert api.problem(response) == "unknown-number"
    assert api.problem(await api.get(OTHER_COUNTY, f"/v1/operations/{shown['id']}")) == "unknown-number"
    assert (await api.get(COUNTY, f"/v1/operations/{uuid4()}")).status_code == 404


async def test_a_file_that_cannot_be_read_is_refused_at_once(api: API) -> None:
    cases: list[tuple[bytes, str, int, str]] = [
        (b"", TEXT, 422, "file_empty"),
        (b"\xd0\xcf\x11\xe0", XLSX, 422, "file_old_format"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), XLSX, 422, "file_encrypted"),
        ("姓名,电话\n王,1\n".encode(), TEXT, 422, "heading_missing"),
        (as_text(*[row(1)] * 20_001), TEXT, 413, "file_too_many_rows"),
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"x" * (MAX_BODY_BYTES + 1), TEXT, 413, "body_too_large"),
        (b"--x--", "multipart/form-data; boundary=x", 400, "form_without_file"),
        (b"", "multipart/form-data", 400, "form_without_file"),
    ]
    for content, media_type, status, code in cases:
        response = await send(api, content, media_type=media_type)
        assert (response.status_code, response.json()["errors"][0]["code"]) == (status, code), response.text
        api.problem(response)
    assert await api.services.pool.fetchval("SELECT count(*) FROM app.operations") == 0
    unknown = await api.call(
        COUNTY, "POST", "/v1/nomination-imports?campaign=nowhere", headers={"Content-Type": TEXT}, content=b"x"
    )
    assert unknown.json()["errors"][0]["code"] == "unknown_campaign"


async def test_a_body_that_comes_too_slowly_is_given_up(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TimelyBody is not None
    monkeypatch.setattr("api.uploads.BODY_TIMEOUT_S", 0.05)

    async def drops() -> Any:
        yield b"x"
        await asyncio.sleep(3_600)

    response = await send(api, drops(), media_type=TEXT)
    assert (response.status_code, api.problem(response)) == (408, "body-too-slow")


async def test_an_organisation_has_so_many_imports_under_way_and_no_more(api: API) -> None:
    await api.services.pool.execute(
        "INSERT INTO app.operations (id, organisation, kind, total, leased_until) "
        "SELECT gen_random_uuid(), $1, 'nomination-import', 1, 'infinity' FROM generate_series(1, 20)",
        COUNTY,
    )
    assert api.problem(await send(api, as_file(row(1)))) == "too-many-imports"


async def test_the_template_has_drop_downs_and_imports_as_it_is(stack: API) -> None:
    await stack.seen()
    response = await stack.get(COUNTY, f"/v1/nomination-imports/template?campaign={stack.plan.id}")
    assert response.headers["content-disposition"].endswith('.xlsx"')
    book = CalamineWorkbook.from_filelike(io.BytesIO(response.content))
    assert book.sheet_names == ["推荐名单", "可选值"]
    lists = list(zip(*book.get_sheet_by_index(1).to_python(), strict=True))
    assert any("小学" in column and "primary" not in column for column in lists)
    assert any(each.startswith("gp5 ") for column in lists for each in column)
    assert any(each.startswith(f"{SCHOOL} ") for column in lists for each in column)
    headings = book.get_sheet_by_index(0).to_python()[1]
    values = {"姓名": "王小明", "身份证号": identity_number(1), "手机号": "13800000001", "学段": "小学", "学科": "语文"}
    values |= {"项目代码": next(each for column in lists for each in column if each.startswith("gp5 ")), "教龄": "5"}
    values |= {"学校代码": next(each for column in lists for each in column if each.startswith(f"{SCHOOL} "))}
    filled = [values.get(str(each).removesuffix("（必填）"), "") for each in headings]
    content = as_xlsx(Sheet("推荐名单", [(1, ["题"]), (2, [str(each) for each in headings]), (3, filled)], 2))
    shown = await finished(stack, await send(stack, content))
    assert shown["succeeded"] == 1, await rows_of(stack, shown)
    text = await stack.get(SCHOOL, f"/v1/nomination-imports/template?campaign={stack.plan.id}&format=csv")
    assert "姓名（必填）" in text.content.decode("utf-8-sig")
