"""Whatever goes wrong is a problem document, in both languages, with the way out."""

import re
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from structlog.testing import capture_logs

from api import problems
from api.app import create_app
from api.docs import PROBLEMS
from api.edge import MAX_BODY_BYTES
from api.problem_types import BY_SLUG, REFUSALS
from api.receipts import MAX_LARGE_ROWS
from api.validation import known_names, unknown_field
from domain.identity import IDENTITY_ERROR_CODES
from domain.refusals import WORDINGS
from ledger.errors import LedgerUnavailable
from tests.api.front_door import API, BUREAU, COUNTY, HOST, SCHOOL, check_problem, settings_for
from tests.api.nominations import identity_number, nomination


async def test_an_unknown_address_and_a_wrong_method(api: API) -> None:
    for path in ("/nothing", "/v1/nothing", "/v1/trainees/", "/v1/trainees/x/approve/now", "/problems/nothing"):
        response = await api.get(BUREAU, path)
        assert (response.status_code, api.problem(response)) == (404, "not-found"), path
    for path in ("/v1/trainees/%00", "/v1/trainees/' or 1=1", "/v1/classes/zz22-410181-00001", "/v1/ledger/../x"):
        response = await api.get(BUREAU, path)
        assert response.status_code == 404, path
    response = await api.call(BUREAU, "DELETE", "/v1/trainees")
    assert (response.status_code, api.problem(response)) == (405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


async def test_an_unknown_parameter_is_refused_with_the_nearest_name(api: API) -> None:
    response = await api.get(COUNTY, "/v1/trainees?phaes=selected&limit=5")
    assert (response.status_code, api.problem(response)) == (422, "invalid-request")
    (fault,) = response.json()["errors"]
    assert (fault["code"], fault["parameter"], fault["remedy"]) == (
        "unknown_parameter",
        "phaes",
        "Did you mean `phase`?",
    )
    for path in ("/v1/clock?now=1", "/v1/healthz?x=1", f"/v1/trainees/{api.plan.number_prefix}-x-00001?y=1"):
        assert (await api.get(COUNTY, path)).status_code == 422, path


async def test_a_wrong_parameter_is_named(api: API) -> None:
    for query, parameter in (
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("cursor=%21", "cursor"),
        ("cursor=AA", "cursor"),
        ("closed=perhaps", "closed"),
        ("county=%00", "county"),
        ("campaign=A", "campaign"),
    ):
        response = await api.get(COUNTY, f"/v1/trainees?{query}")
        assert response.status_code == 422, query
        assert [each["parameter"] for each in response.json()["errors"]] == [parameter]


async def test_an_unknown_field_is_refused_with_the_nearest_name(api: API) -> None:
    cases: list[tuple[str, str, Any, str, str]] = [
        (SCHOOL, "/v1/nominations", nomination(api, stag="x"), "/stag", "`stage`"),
        (
            SCHOOL,
            "/v1/nominations",
            nomination(api, person={"identity_nummer": "x"}),
            "/person/identity_nummer",
            "`identity_number`",
        ),
        (COUNTY, f"/v1/trainees/{api.plan.number_prefix}-410181-00001/approve", {"hots": "h001"}, "/hots", "`host`"),
        (HOST, "/v1/classes", {"plaze": "x"}, "/plaze", "`place`"),
        (BUREAU, "/v1/restrictions", {"person": {"nam": "x"}}, "/person/nam", "`name`"),
        (BUREAU, "/v1/trainees/approve", {"item": []}, "/item", "`items`"),
    ]
    for organisation, path, body, pointer, nearest in cases:
        response = await api.post(organisation, path, body)
        assert (response.status_code, api.problem(response)) == (422, "invalid-request"), path
        fault = next(each for each in response.json()["errors"] if each["code"] == "unknown_field")
        assert fault["pointer"] == pointer
        assert nearest in fault["remedy"]


async def test_a_body_that_is_not_json(api: API) -> None:
    path = "/v1/nominations"
    for content in (b"{", b"\xff\xfe", b'{"a": ' + b"[" * 100_000, b"nul"):
        response = await api.call(SCHOOL, "POST", path, content=content, headers={"Content-Type": "application/json"})
        assert (response.status_code, api.problem(response)) == (400, "malformed-request"), content[:20]
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}, {}):
        response = await api.call(SCHOOL, "POST", path, content=b"{}", headers=headers)
        assert (response.status_code, api.problem(response)) == (415, "unsupported-media-type")
        assert response.headers["accept"] == "application/json"
    response = await api.call(SCHOOL, "POST", path)
    assert (response.status_code, api.problem(response)) == (422, "invalid-request")
    for text in ("\\u0000", "\\ud800"):
        body = ('{"items": [{"campaign": "' + text + '"}], "x": 1}').encode()
        response = await api.call(SCHOOL, "POST", path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 422
    rows = b'{"items": [{"campaign": "\\ud800"}]}'
    response = await api.call(SCHOOL, "POST", path, content=rows, headers={"Content-Type": "application/json"})
    assert response.status_code == 207


async def test_a_body_that_is_too_large(api: API) -> None:
    headers = {"Content-Type": "application/json"}
    content = b" " * (MAX_BODY_BYTES + 1)
    response = await api.call(SCHOOL, "POST", "/v1/nominations", content=content, headers=headers)
    assert (response.status_code, api.problem(response)) == (413, "body-too-large")

    async def parts() -> Any:
        for _ in range(9):
            yield b" " * (MAX_BODY_BYTES // 8)

    response = await api.call(SCHOOL, "POST", "/v1/nominations", content=parts(), headers=headers)
    assert (response.status_code, api.problem(response)) == (413, "body-too-large")
    response = await api.post(SCHOOL, "/v1/nominations", {"items": [None] * (MAX_LARGE_ROWS + 1)})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/items"


async def test_without_temporal_what_cannot_be_kept_says_what_to_do(api: API) -> None:
    """A mailbox's order is about Temporal's own queue; other commands are kept (tests/api/test_inbox.py)."""
    for _ in range(2):
        body = {"reason": "maintenance"}
        response = await api.post(BUREAU, f"/v1/mailboxes/{COUNTY}/pause", body, key="the-same")
        assert (response.status_code, api.problem(response)) == (503, "temporal-unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert "TEMPORAL_ADDRESS" in response.json()["errors"][0]["remedy"]
    answers = await api.services.pool.fetchval("SELECT count(*) FROM app.idempotency")
    assert answers == 0
    ready = (await api.http.get("/v1/readyz")).json()
    assert (ready["status"], ready["away"]) == ("degraded", ["temporal"])


async def test_without_a_database_a_request_says_what_to_do(tmp_path: Path) -> None:
    """The process starts all the same, and says what is missing until it is there."""
    app = create_app(settings_for("postgresql://nobody@127.0.0.1:1/nothing", tmp_path))
    headers = {"Authorization": f"Bearer xj_{'0' * 16}_{'a' * 32}"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://xunji.test") as http,
    ):
        for path in ("/v1/trainees", "/v1/readyz", "/v1/ledger/people/checkpoint"):
            response = await http.get(path, headers=headers)
            assert response.status_code == 503, path
            assert check_problem(response.json(), response) == "database-unavailable"
            assert int(response.headers["retry-after"]) > 0
            assert "DATABASE_URL" in response.json()["errors"][0]["remedy"]
        assert (await http.get("/v1/healthz")).status_code == 200
        assert (await http.get("/docs")).status_code == 200


async def test_without_a_schema_a_request_says_what_to_do(empty_url: str, tmp_path: Path) -> None:
    app = create_app(settings_for(empty_url, tmp_path))
    headers = {"Authorization": f"Bearer xj_{'0' * 16}_{'a' * 32}"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://xunji.test") as http,
    ):
        for path in ("/v1/trainees", "/v1/readyz"):
            response = await http.get(path, headers=headers)
            assert response.status_code == 503, path
            assert check_problem(response.json(), response) == "database-unavailable"
            assert "xunji migrate" in response.json()["errors"][0]["remedy"]


async def test_connections_that_were_cut_do_no_harm(api: API) -> None:
    await api.get(COUNTY, "/v1/trainees")
    owner = await asyncpg.connect(api.settings.owner_database_url())
    await owner.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    await owner.close()
    statuses = [(await api.get(COUNTY, "/v1/trainees")).status_code for _ in range(30)]
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200


async def test_what_nobody_foresaw_is_answered_and_logged_without_its_text(
    api: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise ValueError(f"the number {identity_number(1)} is wrong")

    monkeypatch.setattr(api.services.clock, "now", fail)
    with capture_logs() as logs:
        response = await api.http.get("/v1/clock", headers={"Authorization": f"Bearer {api.keys[COUNTY]}"})
    assert (response.status_code, api.problem(response)) == (500, "internal-error")
    assert identity_number(1) not in response.text
    (entry,) = [each for each in logs if each["event"] == "unforeseen_error"]
    assert entry["error"] == "ValueError"
    assert entry["request_id"] == response.headers["x-request-id"]
    assert identity_number(1) not in repr(logs)


async def test_a_request_is_logged_in_one_line_without_what_is_personal(api: API) -> None:
    with capture_logs() as logs:
        response = await api.post(
            SCHOOL, "/v1/nominations", nomination(api, 9), headers={"X-Request-Id": "from-the-caller.1"}
        )
    assert response.headers["x-request-id"] == "from-the-caller.1"
    (line,) = [each for each in logs if each["event"] == "request"]
    assert line["route"] == "/v1/nominations"
    assert (line["organisation"], line["status"], line["request_id"]) == (SCHOOL, 202, "from-the-caller.1")
    assert "王" not in repr(logs)
    assert identity_number(9) not in repr(logs)
    odd = await api.get(SCHOOL, "/v1/clock", headers={"X-Request-Id": "a b\tc"})
    assert re.fullmatch(r"[0-9a-f]{32}", odd.headers["x-request-id"])


async def test_every_problem_type_is_explained_at_its_address(api: API) -> None:
    assert {path.stem for path in PROBLEMS.glob("*.md")} == set(BY_SLUG)
    index = (await api.http.get("/problems")).text
    for slug, type_ in BY_SLUG.items():
        page = await api.http.get(f"/problems/{slug}")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert type_.title_zh in page.text
        assert f'href="/problems/{slug}"' in index


def test_every_refusal_of_the_domain_has_a_status() -> None:
    unknown = set(WORDINGS) - set(REFUSALS)
    assert not unknown, "add them to api/problem_types.py and docs/problems/"
    assert all(type_.status in (403, 404, 409, 412, 422, 503) for type_ in REFUSALS.values())
    assert not IDENTITY_ERROR_CODES & set(REFUSALS)


def test_what_the_database_says_becomes_503_and_never_a_trace() -> None:
    for error in (
        LedgerUnavailable("away"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.AdminShutdownError("stopping"),
        asyncpg.DiskFullError("full"),
        asyncpg.TooManyConnectionsError("many"),
        asyncpg.UndefinedTableError("no schema"),
        asyncpg.InvalidCatalogNameError("no database"),
        asyncpg.InvalidPasswordError("no entry"),
        asyncpg.InterfaceError("closed"),
        ConnectionRefusedError(),
        TimeoutError(),
    ):
        problem = problems.known_problem(error)
        assert problem is not None, error
        assert problem.type.status == 503
    assert problems.known_problem(asyncpg.UniqueViolationError("x")) is None


def test_names_far_from_every_known_one_get_the_list() -> None:
    fault = unknown_field("zzzzzz", {"alpha", "beta"})
    assert fault.remedy_en == "Known here: alpha, beta."
    assert unknown_field("x", ()).remedy_en == "Leave it out."
    assert known_names(int, ("a",)) == frozenset()
