"""A real browser signs in and out: its cookies, its redirects, and what it sends as `Origin`."""

import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from api.app import create_app
from database import operator_pool
from embedded.child_processes import LOOPBACK, free_port
from services.accounts import add_account
from tests.api.front_door import COUNTY, own_plan, running, settings_for
from tests.api.providers import CLIENT, SECRET, lying_provider
from tests.serving import served

CHROMIUM = shutil.which("chromium")
PASSWORD = "a long enough password"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
async def test_a_browser_signs_in_and_out(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://{LOOPBACK}:{port}"
    async with lying_provider() as provider:
        settings = settings_for(
            database_url,
            tmp_path,
            public_url=origin,
            oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT,
            oidc_client_secret=SECRET,
            oidc_staff=[{"value": "bureau-staff", "organisation": COUNTY}],
        )
        async with running(settings, own_plan()), operator_pool(settings, min_size=1, max_size=1) as pool:
            await add_account(pool, "anna", COUNTY, PASSWORD)
        async with served(create_app(settings), port, "on"), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await browser.new_page()
            await page.goto(f"{origin}/sign-in?next=/problems")
            await page.fill("input[name=name]", "anna")
            await page.fill("input[name=password]", PASSWORD)
            await page.click("button")
            assert page.url == f"{origin}/problems"
            session = await (await page.request.get(f"{origin}/v1/session")).json()
            assert session["organisation"] == COUNTY
            assert await page.evaluate("document.cookie") == "", "no script reads it"
            written = await page.evaluate(
                """async path => (await fetch(path, {method: "POST", body: '{"email": "new@example.invalid"}',
                   headers: {"Content-Type": "application/json", "Idempotency-Key": "k1",
                             "If-Match": '"1", "2", "3"'}})).status""",
                f"/v1/institutions/{COUNTY}/contact",
            )
            assert written == 200, "our own page may change something"
            await page.goto(f"{provider.issuer}/keys")
            await page.set_content(
                f'<form method="post" action="{origin}/sign-out"><button>click here for a prize</button></form>'
            )
            await page.click("button")
            assert (await page.request.get(f"{origin}/v1/session")).status == 200, "another site signs nobody out"
            await page.context.clear_cookies()
            await page.goto(f"{origin}/sign-in?next=/problems")
            await page.click("a[href^='/sign-in/provider']")
            assert page.url == f"{origin}/problems"
            assert (await page.request.get(f"{origin}/v1/session")).status == 200
            await browser.close()
