"""Staff sign in by a provider, whose answer is believed only when all of it is right, or with a local account;
and a session may do what a key of the same organisation may.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx2
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from api.oidc import KEYS_PAUSE_S, KEYS_S
from api.sessions import CACHE_S
from database import operator_pool
from services.accounts import add_account
from tests.api.front_door import API, BUREAU, COUNTY, SCHOOL, own_plan, running, settings_for
from tests.api.providers import CLIENT, SECRET, LyingProvider, lying_provider, real_provider

ORIGIN = {"Origin": "http://xunji.test"}
PASSWORD = "a long enough password"
STAFF = [
    {"value": "bureau-staff", "organisation": BUREAU},
    {"value": "readers", "organisation": COUNTY, "scopes": ["trainees:read", "clock:read", "clock:write"]},
    {"value": "ghosts", "organisation": "nobody"},
]


@asynccontextmanager
async def signing_in(database_url: str, state_dir: Path, issuer: str = "", **changes: Any) -> AsyncIterator[API]:
    settings = settings_for(
        database_url,
        state_dir,
        **{
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            "oidc_staff": STAFF,
            **changes,
        },
    )
    async with running(settings, own_plan()) as api:
        yield api


@pytest_asyncio.fixture
async def liar() -> AsyncIterator[LyingProvider]:
    async with lying_provider() as provider:
        yield provider


@pytest_asyncio.fixture
async def here(database_url: str, tmp_path: Path, liar: LyingProvider) -> AsyncIterator[API]:
    """The API with the provider that can be told to lie, and one local account."""
    async with signing_in(database_url, tmp_path, liar.issuer) as api:
        async with operator_pool(api.settings, min_size=1, max_size=1) as pool:
            await add_account(pool, "anna", COUNTY, PASSWORD)
        yield api


async def by_provider(api: API, path: str = "/sign-in/provider") -> httpx2.Response:
    """The browser's way over the provider and back."""
    begun = await api.http.get(path)
    assert begun.status_code == 303, begun.text
    async with httpx2.AsyncClient() as browser:
        sent_back = await browser.get(begun.headers["location"])
    return await api.http.get(sent_back.headers["location"])


async def by_password(api: API, name: str = "anna", password: str = PASSWORD, **fields: str) -> httpx2.Response:
    return await api.http.post("/sign-in", data={"name": name, "password": password, **fields}, headers=ORIGIN)


async def who(api: API) -> dict[str, Any]:
    response = await api.http.get("/v1/session")
    shown: dict[str, Any] = response.json() if response.status_code == 200 else {}
    return shown


# ------------------------------------------------------------------------------------------------- the provider


async def test_a_real_provider_signs_somebody_in(database_url: str, tmp_path: Path) -> None:
    person = {"sub": "li-na", "groups": ["readers", "chess"], "name": "李娜"}
    async with real_provider(person) as issuer, signing_in(database_url, tmp_path, issuer) as api:
        begun = await api.http.get("/sign-in/provider?next=/docs%23top")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert asked["redirect_uri"] == "http://xunji.test/sign-in/callback"
        async with httpx2.AsyncClient() as browser:
            agreed = await browser.post(begun.headers["location"], data={"sub": "li-na"})
        assert agreed.status_code == 302, agreed.text
        back = await api.http.get(agreed.headers["location"])
        assert (back.status_code, back.headers["location"]) == (303, "/docs#top"), back.text
        shown = await who(api)
        assert (shown["organisation"], shown["role"]) == (COUNTY, "county")
        # What no county's key may carry is not given to its staff either.
        assert shown["scopes"] == ["clock:read", "trainees:read"]
        assert (await api.http.get("/v1/trainees")).status_code == 200
        assert api.problem(await api.http.get("/v1/institutions")) == "scope-missing"
        kept = str([dict(row) for row in await api.services.pool.fetch("SELECT * FROM app.sessions")])
        assert "li-na" not in kept and "李娜" not in kept
        # The code is used up, and so is the attempt.
        assert (await api.http.get(agreed.headers["location"])).status_code == 400


async def test_the_provider_is_believed_when_everything_is_right(here: API, liar: LyingProvider) -> None:
    response = await by_provider(here)
    assert response.status_code == 303, response.text
    cookies = response.headers.get_list("set-cookie")
    (session,) = [each for each in cookies if each.startswith("xunji_session=")]
    assert all(word in session for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    shown = await who(here)
    assert (shown["organisation"], shown["role"]) == (BUREAU, "bureau")
    assert "clock:write" in shown["scopes"]
    liar.claims = {"aud": [CLIENT, "another"], "azp": CLIENT, "groups": "bureau-staff"}
    assert (await by_provider(here)).status_code == 303


def a_lie(**claims: Any) -> dict[str, Any]:
    return {"claims": claims}


NOW_S = int(time.time())
LIES: dict[str, dict[str, Any]] = {
    "another issuer": a_lie(iss="http://127.0.0.1:9/"),
    "another audience": a_lie(aud="another"),
    "no audience": a_lie(aud=None),
    "several audiences and no party": a_lie(aud=[CLIENT, "another"]),
    "another party": a_lie(azp="another"),
    "over": a_lie(exp=NOW_S - 120),
    "no end": a_lie(exp=None),
    "from the future": a_lie(iat=NOW_S + 3_600),
    "not yet": a_lie(nbf=NOW_S + 3_600),
    "another nonce": a_lie(nonce="x" * 43),
    "no nonce": a_lie(nonce=None),
    "nobody": a_lie(sub=None),
    "signed by somebody else": {"token_key": generate_private_key(65_537, 2_048)},
    "a symmetric signature": {"token_key": SECRET * 2, "header": {"alg": "HS256"}},
    "no signature": {"token_answer": {"id_token": jwt.encode({"sub": "u-17"}, "", algorithm="none")}},
    "another algorithm than the key's": {"header": {"alg": "PS256"}},
    "an unknown key": {"header": {"kid": "k9"}},
    "no token": {"token_answer": {"access_token": "a"}},
    "a token that is none": {"token_answer": {"id_token": "a.b.c"}},
    "no object": {"token_answer": ["id_token"]},
    "too long": {"token_answer": {"id_token": "a", "more": "x" * 300_000}},
}


async def test_a_wrong_answer_signs_nobody_in(here: API, liar: LyingProvider) -> None:
    for name, lie in LIES.items():
        for field, value in lie.items():
            setattr(liar, field, value)
        response = await by_provider(here)
        assert response.status_code == 502, name
        assert "xunji_session=" not in response.headers.get("set-cookie", ""), name
        assert await who(here) == {}, name
        liar.claims, liar.header, liar.token_key, liar.token_answer = {}, {}, None, None
    assert (await by_provider(here)).status_code == 303, "the same without a lie is believed"


async def test_clocks_may_differ_by_a_minute(here: API, liar: LyingProvider) -> None:
    liar.claims = {"iat": int(time.time()) + 40, "exp": int(time.time()) - 20}
    assert (await by_provider(here)).status_code == 303


async def test_somebody_whom_no_organisation_has_is_told_so(here: API, liar: LyingProvider) -> None:
    for groups, words in (
        ([], "no organisation here is yours"),
        (["ghosts"], "no organisation here is yours"),
        ({"bureau-staff": 1}, "no organisation here is yours"),
        (["readers", "bureau-staff"], "more than one organisation"),
    ):
        liar.claims = {"groups": groups}
        response = await by_provider(here)
        assert response.status_code == 403 and words in response.text, groups
        assert await who(here) == {}


async def test_keys_of_the_provider_change_and_are_asked_for_at_most_twice_a_minute(
    here: API, liar: LyingProvider
) -> None:
    provider, now = here.services.provider, [1_000.0]
    assert provider is not None
    provider._monotonic = lambda: now[0]
    assert (await by_provider(here)).status_code == 303
    liar.key, liar.kid = generate_private_key(65_537, 2_048), "k2"
    for _ in range(3):
        assert (await by_provider(here)).status_code == 502, "asked for a moment ago"
    assert liar.asked == ["keys"]
    now[0] += KEYS_PAUSE_S
    assert (await by_provider(here)).status_code == 303
    assert liar.asked == ["keys"] * 2
    # A key that was withdrawn is not believed for ever.
    old, liar.kid = liar.key, "k3"
    now[0] += KEYS_S
    liar.token_key, liar.header = old, {"kid": "k2"}
    assert (await by_provider(here)).status_code == 502


async def test_only_the_browser_that_began_can_end_it(here: API, liar: LyingProvider) -> None:
    begun = await here.http.get("/sign-in/provider")
    async with httpx2.AsyncClient() as browser:
        back = (await browser.get(begun.headers["location"])).headers["location"]
    here.http.cookies.clear()
    assert (await here.http.get(back)).status_code == 400
    await here.http.get("/sign-in/provider")
    assert (await here.http.get(back)).status_code == 400, "the state is another attempt's"
    assert (await here.http.get("/sign-in/callback?error=access_denied&state=x")).status_code == 400
    begun = await here.http.get("/sign-in/provider")
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    denied = await here.http.get(f"/sign-in/callback?error=access_denied&state={state}")
    assert denied.status_code == 403
    other = await here.http.get("/sign-in/provider")
    state = parse_qs(urlsplit(other.headers["location"]).query)["state"][0]
    mixed = await here.http.get(f"/sign-in/callback?code=c&state={state}&iss=http%3A%2F%2Fevil.invalid")
    assert mixed.status_code == 502


async def test_a_provider_that_is_away_or_points_elsewhere(here: API, liar: LyingProvider) -> None:
    liar.description = {"authorization_endpoint": "http://evil.invalid/authorize"}
    assert (await here.http.get("/sign-in/provider")).status_code == 502
    liar.description = {"issuer": "http://evil.invalid"}
    here.services.provider._described = None  # type: ignore[union-attr]
    assert (await here.http.get("/sign-in/provider")).status_code == 502


async def test_without_a_provider_there_is_only_the_form(database_url: str, tmp_path: Path) -> None:
    async with signing_in(database_url, tmp_path) as api:
        assert "/sign-in/provider" not in (await api.http.get("/sign-in")).text
        assert (await api.http.get("/sign-in/provider")).status_code == 404


# ------------------------------------------------------------------------------------------------ local accounts


async def test_a_name_and_its_password_sign_somebody_in_and_out(here: API) -> None:
    response = await by_password(here, next="/docs?x=1")
    assert (response.status_code, response.headers["location"]) == (303, "/docs?x=1")
    assert response.headers["cache-control"] == "no-store"
    assert (await who(here))["organisation"] == COUNTY
    me = (await here.http.get("/v1/me")).json()
    assert (me["organisation"], me["role"], me["created_at"]) == (COUNTY, "county", None)
    token = here.http.cookies["xunji_session"]
    stored = await here.services.pool.fetchval("SELECT token_hash FROM app.sessions")
    assert token.encode() not in bytes(stored)
    # Signing in anew gives a new token, and the one before is worth nothing.
    await by_password(here)
    assert here.http.cookies["xunji_session"] != token
    old = await here.http.get("/v1/clock", headers={"Cookie": f"xunji_session={token}"})
    assert old.status_code == 401
    assert (await here.http.post("/sign-out", headers=ORIGIN)).status_code == 303
    assert await who(here) == {}


async def test_every_wrong_attempt_is_answered_in_the_same_words(here: API) -> None:
    async with operator_pool(here.settings, min_size=1, max_size=1) as pool:
        await add_account(pool, "old", COUNTY, PASSWORD)
        await add_account(pool, "lost", "nobody", PASSWORD)
        await pool.execute("UPDATE app.accounts SET disabled_at = now() WHERE name = 'old'")
    answers = [
        await by_password(here, name, password)
        for name, password in (
            ("anna", "another password"),
            ("anna", ""),
            ("nobody", PASSWORD),
            ("old", PASSWORD),
            ("lost", PASSWORD),
            ("ANNA", PASSWORD),
            ("", ""),
        )
    ]
    assert {each.status_code for each in answers} == {401}
    assert len({each.text for each in answers}) == 1
    assert await who(here) == {}


async def test_one_is_never_sent_to_another_site(here: API) -> None:
    for elsewhere in ("//evil.invalid", "https://evil.invalid", "/\\evil.invalid", "x", "/a\r\nb", "/" + "a" * 600):
        response = await by_password(here, next=elsewhere)
        assert (response.status_code, response.headers["location"]) == (303, "/docs"), elsewhere


async def test_failing_too_often_locks_for_a_while(database_url: str, tmp_path: Path) -> None:
    async with signing_in(database_url, tmp_path, failed_sign_ins_per_minute=3) as api:
        async with operator_pool(api.settings, min_size=1, max_size=1) as pool:
            await add_account(pool, "anna", COUNTY, PASSWORD)
            await add_account(pool, "berta", COUNTY, PASSWORD)
        wrong = [await by_password(api, password="another password") for _ in range(4)]
        assert [each.status_code for each in wrong] == [401, 401, 401, 429]
        assert int(wrong[-1].headers["retry-after"]) >= 1
        right = await by_password(api)
        assert right.status_code == 429, "not even the right password now"
        elsewhere = httpx2.ASGITransport(api.app, client=("127.0.0.9", 1))
        async with httpx2.AsyncClient(transport=elsewhere, base_url="http://xunji.test") as http:
            locked = await http.post("/sign-in", data={"name": "anna", "password": PASSWORD}, headers=ORIGIN)
            other = await http.post("/sign-in", data={"name": "berta", "password": PASSWORD}, headers=ORIGIN)
        assert (locked.status_code, other.status_code) == (429, 303)


async def test_a_session_ends_with_its_account_and_with_time(here: API) -> None:
    pool, sessions, now = here.services.pool, here.services.sessions, [1_000.0]
    sessions._monotonic = lambda: now[0]
    async with operator_pool(here.settings, min_size=1, max_size=1) as owner:
        for change, back in (
            ("UPDATE app.accounts SET disabled_at = now()", "UPDATE app.accounts SET disabled_at = NULL"),
            ("UPDATE app.sessions SET last_seen_at = last_seen_at - interval '61 minutes'", ""),
            ("UPDATE app.sessions SET expires_at = clock_timestamp()", ""),
            ("UPDATE app.sessions SET ended_at = clock_timestamp()", ""),
        ):
            assert (await by_password(here)).status_code == 303
            assert await who(here)
            await owner.execute(change)
            now[0] += CACHE_S
            assert await who(here) == {}, change
            if back:
                await owner.execute(back)
    with pytest.raises(Exception, match="permission denied"):
        await pool.execute("UPDATE app.accounts SET organisation = 'zzedu'")


# ------------------------------------------------------------------------------------------- what a session may do


async def test_a_session_may_do_what_a_key_may_and_only_from_our_own_pages(here: API) -> None:
    await by_password(here)
    staff = (await who(here))["reader"]
    path, body = f"/v1/institutions/{COUNTY}/contact", {"email": "new@example.invalid"}
    for headers in ({}, {"Origin": "http://evil.invalid"}, {"Origin": "null"}, {"Origin": "http://xunji.test:81"}):
        refused = await here.http.post(path, json=body, headers={"Idempotency-Key": str(uuid4()), **headers})
        assert (refused.status_code, here.problem(refused)) == (403, "cross-site-request"), headers
    await here.seen()
    tag = (await here.http.get(f"/v1/institutions/{COUNTY}")).headers["etag"]
    meant = {"Idempotency-Key": str(uuid4()), "If-Match": tag, **ORIGIN}
    done = await here.http.post(path, json=body, headers=meant)
    assert done.status_code == 200, done.text
    recorded = await here.services.ledger.read_stream("institutions", f"institution/{COUNTY}")
    assert recorded[-1].actor == f"county:{COUNTY}:{staff}"
    meant = {"Idempotency-Key": str(uuid4()), "If-Match": '"1"', **ORIGIN}
    other = await here.http.post(f"/v1/institutions/{BUREAU}/contact", json=body, headers=meant)
    assert other.status_code == 404
    assert here.problem(await here.http.get("/v1/mailboxes")) == "scope-missing"
    # A key goes before a session, and needs no page.
    assert (await here.post(BUREAU, f"/v1/institutions/{COUNTY}/contact", body)).status_code == 200
    for forged in ("/sign-out", "/sign-in"):
        assert (await here.http.post(forged, headers={"Origin": "http://evil.invalid"})).status_code == 403
    assert await who(here)


async def test_nobody_of_a_closed_school_is_or_gets_signed_in(here: API) -> None:
    async with operator_pool(here.settings, min_size=1, max_size=1) as pool:
        await add_account(pool, "otto", SCHOOL, PASSWORD)
    assert (await by_password(here, "otto")).status_code == 303
    assert (await who(here))["role"] == "school"
    await here.seen()
    successor = {"id": f"{COUNTY}-s02", "name_zh": "第二小学", "email": "s02@example.invalid"}
    assert (await here.post(COUNTY, "/v1/institutions", successor)).status_code == 201
    body = {"successor": successor["id"], "document": "文件 3"}
    projecting = asyncio.create_task(here.projector.run(stop := asyncio.Event()))
    closed = await here.post(COUNTY, f"/v1/institutions/{SCHOOL}/close", body)
    stop.set()
    await projecting
    assert closed.status_code == 200, closed.text
    assert await who(here) == {}
    await here.seen()
    assert (await by_password(here, "otto")).status_code == 401


async def test_with_tls_the_cookie_is_for_this_host_alone(database_url: str, tmp_path: Path) -> None:
    async with signing_in(database_url, tmp_path, public_url="https://xunji.test") as api:
        async with operator_pool(api.settings, min_size=1, max_size=1) as pool:
            await add_account(pool, "anna", COUNTY, PASSWORD)
        form = {"name": "anna", "password": PASSWORD}
        response = await api.http.post("/sign-in", data=form, headers={"Origin": "https://xunji.test"})
        assert response.headers["set-cookie"].startswith("__Host-xunji_session=")
        assert "Secure" in response.headers["set-cookie"]


async def test_who_am_i_by_key(here: API) -> None:
    shown = (await here.get(COUNTY, "/v1/session")).json()
    assert (shown["organisation"], shown["expires_at"]) == (COUNTY, None)
    assert shown["reader"] == here.keys[COUNTY].split("_")[1]
