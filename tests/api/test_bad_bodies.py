"""A body that two readers might understand differently, or that never ends, is refused with the way out; nothing is
changed, and nothing of it is logged.
"""

import asyncio
import contextlib
import gzip
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from api import edge
from tests.api.connections import connected
from tests.api.front_door import API, BUREAU, COUNTY, HOST, SCHOOL, check_problem
from tests.api.nominations import identity_number, nomination
from tests.api.test_idempotency import school
from tests.serving import served

PATH = "/v1/institutions"
HUNDRED_MB = 100 * 1024 * 1024


async def sent(api: API, content: bytes, **headers: str) -> tuple[int, str, dict[str, Any]]:
    """Status, problem and first fault of a registration with this body."""
    more = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    response = await api.call(COUNTY, "POST", PATH, content=content, headers=more)
    return response.status_code, api.problem(response), response.json()["errors"][0]


async def written(api: API) -> list[int]:
    """How long every book is, and how many answers are kept."""
    rows = await api.services.pool.fetch("SELECT sequence FROM ledger.books ORDER BY book")
    kept = await api.services.pool.fetchval("SELECT count(*) FROM app.idempotency WHERE status < 400")
    return [*(row["sequence"] for row in rows), kept]


def with_field(text: str) -> bytes:
    return json.dumps(school()).encode()[:-1] + b", " + text.encode() + b"}"


async def test_json_that_has_two_readings_is_refused(api: API) -> None:
    before = await written(api)
    for content, code in (
        (with_field('"name_zh": "另一所学校"'), "repeated_field"),
        (b'[{"a": 1, "b": {"c": 1, "c": 1}}]', "repeated_field"),
        (with_field('"x": NaN'), "not_a_number"),
        (b"-Infinity", "not_a_number"),
        (b"{" + b'"\\ud800": 1' + b"}", "odd_name"),
        (b'{"\\u0000": 1}', "odd_name"),
        (b'{"a\\u202e": 1}', "odd_name"),
        (json.dumps(school(), ensure_ascii=False).encode("utf-16"), "not_utf8"),
        (json.dumps(school(), ensure_ascii=False).encode("gbk"), "not_utf8"),
        (b'{"a": "\xed\xa0\x80"}', "not_utf8"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"{'id': 1}", "not_json"),
        (json.dumps(school()).encode() + b" {}", "not_json"),
        (b"\x00", "not_json"),
    ):
        status, slug, fault = await sent(api, content)
        assert (status, slug, fault["code"]) == (400, "malformed-request", code), content[:60]
    assert await written(api) == before


async def test_a_byte_order_mark_is_no_reason_to_refuse(api: API) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(school(), ensure_ascii=False).encode()
    response = await api.call(COUNTY, "POST", PATH, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 201


async def test_values_that_cannot_be_kept_are_named(api: API) -> None:
    before = await written(api)
    for field, value, code in (
        ("name_zh", "\ud800校", "wrong_text"),
        ("name_zh", "学校\u0000", "nul_character"),
        ("name_zh", 10**400, "wrong_text"),
        ("name_zh", ["学校"], "wrong_text"),
        ("id", "410181-s9" + "9" * 9_000, "too_long"),
    ):
        status, slug, fault = await sent(api, json.dumps(school() | {field: value}).encode())
        assert (status, slug, fault["code"]) == (422, "invalid-request", code), (field, str(value)[:20])
    for until in ("1989-12-31T00:00:00Z", "2100-01-02T00:00:00Z", "2022-02-30T00:00:00Z", "9" * 400, 10**400, -1e300):
        response = await api.post(COUNTY, f"{PATH}/{SCHOOL}/keys", {"expires_at": until})
        assert response.status_code == 422, (until, response.text)
        assert response.json()["errors"][0]["pointer"] == "/expires_at", until
    for number in (10**30, -(10**30), "1e999", "1.5", "ten"):
        response = await api.get(COUNTY, f"/v1/trainees?limit={number}")
        assert (response.status_code, response.json()["errors"][0]["parameter"]) == (422, "limit"), number
    assert await written(api) == before


async def test_a_parameter_with_one_value_is_given_once(api: API) -> None:
    response = await api.get(COUNTY, "/v1/trainees?phase=selected&phase=enrolled")
    assert (response.status_code, api.problem(response)) == (422, "invalid-request")
    (fault,) = response.json()["errors"]
    assert (fault["code"], fault["parameter"]) == ("repeated_parameter", "phase")


async def test_a_body_in_another_coding_is_refused_as_such(api: API) -> None:
    plain = json.dumps(school()).encode()
    for content, headers, parameter in (
        (gzip.compress(plain), {"Content_Encoding": "gzip"}, "Content-Encoding"),
        (plain, {"Content_Encoding": "br"}, "Content-Encoding"),
        (gzip.compress(b"0" * 10**8), {"Content_Encoding": "identity, gzip"}, "Content-Encoding"),
        (plain, {"Content_Type": "application/json; charset=gb18030"}, "Content-Type"),
        (plain, {"Content_Type": "application/merge-patch+json"}, "Content-Type"),
    ):
        status, slug, fault = await sent(api, content, **headers)
        assert (status, slug, fault["parameter"]) == (415, "unsupported-media-type", parameter)
    response = await api.call(
        COUNTY,
        "POST",
        PATH,
        content=plain,
        headers={"Content-Type": 'Application/JSON; Charset="UTF-8"', "Content-Encoding": "identity"},
    )
    assert response.status_code == 201


async def test_nothing_of_a_refused_body_is_logged(api: API) -> None:
    body = nomination(api, 9, odd="x")
    with capture_logs() as logs:
        for content in (json.dumps(body).encode(), json.dumps(body).encode()[:-1], b'{"a": 1, ' + with_field('"a": 1')):
            headers = {"Content-Type": "application/json"}
            response = await api.call(SCHOOL, "POST", "/v1/nominations", content=content, headers=headers)
            assert response.status_code in (400, 422)
            assert identity_number(9) not in response.text
    assert [each["event"] for each in logs] == ["request"] * 3
    assert identity_number(9) not in repr(logs) and "138" + "0" * 7 not in repr(logs)


async def test_a_key_that_has_expired_or_starts_later_is_no_key(api: API) -> None:
    issued = (await api.post(COUNTY, f"{PATH}/{SCHOOL}/keys", {})).json()
    headers = {"Authorization": f"Bearer {issued['key']}"}
    assert (await api.http.get("/v1/trainees", headers=headers)).status_code == 200
    for moment in (
        "starts_at = clock_timestamp() + interval '1 hour'",
        "starts_at = NULL, expires_at = clock_timestamp() - interval '1 second'",
    ):
        await api.services.pool.execute(
            f"UPDATE app.api_keys SET created_at = clock_timestamp() - interval '1 day', {moment} WHERE key_id = $1",
            issued["key_id"],
        )
        api.services.keys.forget(issued["key_id"])
        response = await api.http.get("/v1/trainees", headers=headers)
        assert (response.status_code, api.problem(response)) == (401, "unauthenticated")
        assert response.headers["www-authenticate"].startswith("Bearer")


# ---------------------------------------------------------------------------------------------- over a real connection


def request_head(api: API, path: str, *headers: str, organisation: str = COUNTY) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: xunji.test",
        f"Authorization: Bearer {api.keys[organisation]}",
        "Idempotency-Key: k1",
        "Content-Type: application/json",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """The whole answer of a connection that is closed after it."""
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body)


async def test_100_megabytes_are_refused_unread_and_the_connection_is_closed(api: API) -> None:
    async with served(api.app) as address:
        for organisation, headers, content in (
            (COUNTY, (f"Content-Length: {HUNDRED_MB}",), b"{"),
            (COUNTY, (f"Content-Length: {HUNDRED_MB}", "Expect: 100-continue"), b""),
            (COUNTY, ("Transfer-Encoding: chunked",), (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 4 + b"1\r\n \r\n"),
        ):
            async with connected(address) as (reader, writer):
                writer.write(request_head(api, PATH, *headers, organisation=organisation) + content)
                await writer.drain()
                status, problem = await answer_of(reader)
                assert (status, check_problem(problem)) == (413, "body-too-large")
                assert "4 MiB" in problem["detail"]
        assert (await api.post(COUNTY, PATH, school())).status_code == 201


async def test_a_body_that_does_not_come_is_given_up(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BODY_TIMEOUT_S", 0.2)
    before = await written(api)
    async with served(api.app) as address:
        for content in (b"", b'{"id": '):
            async with connected(address) as (reader, writer):
                writer.write(request_head(api, PATH, "Content-Length: 500") + content)
                status, problem = await answer_of(reader)
                assert (status, check_problem(problem)) == (408, "body-too-slow")
        async with connected(address) as (reader, writer):
            writer.write(request_head(api, PATH, "Transfer-Encoding: chunked"))
            dripping = asyncio.create_task(drip(writer))
            # The bytes that arrive after the answer may take it along; that the connection ends is what counts.
            with contextlib.suppress(ConnectionResetError):
                status, problem = await answer_of(reader)
                assert (status, check_problem(problem)) == (408, "body-too-slow")
            dripping.cancel()
    assert await written(api) == before


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then: each comes in time, the body never does."""
    while True:
        writer.write(b"1\r\n \r\n")
        await asyncio.sleep(0.02)


async def test_a_caller_who_goes_away_in_the_middle_changes_nothing_and_disturbs_nobody(api: API) -> None:
    before = await written(api)
    with capture_logs() as logs:
        async with served(api.app) as address:
            for _ in range(3):
                async with connected(address) as (_, writer):
                    writer.write(request_head(api, PATH, "Content-Length: 500") + b'{"id"')
                    await writer.drain()
            response = await api.get(HOST, "/v1/clock")
            assert response.status_code == 200
    assert await written(api) == before
    assert not [each for each in logs if each["log_level"] in ("error", "critical")], logs


async def test_a_request_that_is_no_http_is_refused(api: API) -> None:
    async with served(api.app) as address:
        for content in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET /\x00 HTTP/1.1"):
            async with connected(address) as (reader, writer):
                writer.write(content + b"\r\n\r\n")
                shown = (await reader.read())[:12]
                assert shown in (b"HTTP/1.1 400", b""), (content, shown)
    assert (await api.get(BUREAU, "/v1/clock")).status_code == 200
