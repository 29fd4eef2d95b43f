"""Takes the pictures in docs/images from a running demo: `.venv/bin/python docs/take_screenshots.py`.

Start it beside `make demo` when the campaign begins: it waits until a county has cases before a cut-off, and again
until a class runs and a restriction is imposed.
"""

import argparse
import asyncio
import shutil
from pathlib import Path
from urllib.parse import quote

from playwright.async_api import Page, async_playwright
from temporalio.client import Client

IMAGES = Path(__file__).parent / "images"
COUNTY = "410181"
WEEK = 'BETWEEN "2022-08-29T00:00:00Z" AND "2022-09-05T00:00:00Z"'
WAITING = f'XunjiCounty = "{COUNTY}" AND XunjiNextDeadline {WEEK} AND ExecutionStatus = "Running"'
TRAINEE = f'WorkflowType = "Trainee" AND XunjiCounty = "{COUNTY}" AND XunjiPhase = "following-up"'
CLASS = 'WorkflowType = "TrainingClass" AND XunjiPhase = "running"'
RESTRICTION = 'WorkflowType = "Restriction" AND XunjiPhase = "imposed" AND XunjiCounty != ""'
ENOUGH = 5
POLL_S = 0.3
RENDER_MS = 1_500
LOAD_MS = 60_000
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


async def first(client: Client, query: str, at_least: int = 1) -> tuple[str, str]:
    """The id and run id of a workflow that matches, as soon as `at_least` do."""
    while True:
        found = [(each.id, each.run_id) async for each in client.list_workflows(query, limit=at_least)]
        if len(found) >= at_least:
            return found[0]
        await asyncio.sleep(POLL_S)


async def shoot(page: Page, url: str, text: str, name: str) -> None:
    """One picture, once the page shows `text` and has come to rest."""
    await page.goto(url, wait_until="domcontentloaded")
    await page.get_by_text(text).first.wait_for(timeout=LOAD_MS)
    await page.wait_for_timeout(RENDER_MS)
    await page.screenshot(path=IMAGES / f"{name}.png")


async def main(temporal: str, ui: str, api: str) -> None:
    """Wait for each sight and take it."""
    client = await Client.connect(temporal)
    workflows = f"{ui}/namespaces/default/workflows"
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1440, "height": 1000})
        await page.goto(workflows)  # The first visit loads the UI; the sights should not have to wait for it.
        await first(client, WAITING, ENOUGH)
        await shoot(page, f"{workflows}?query={quote(WAITING)}", f"trainee/zz22-{COUNTY}", "temporal-county")
        await shoot(page, f"{api}/docs", "nominations", "api-docs")
        for name, query in (
            ("temporal-class", CLASS),
            ("temporal-trainee", TRAINEE),
            ("temporal-restriction", RESTRICTION),
        ):
            id_, run_id = await first(client, query)
            path = f"{workflows}/{quote(id_, safe='')}/{run_id}"
            await shoot(page, f"{path}/timeline", id_, name)
            await shoot(page, f"{path}/user-metadata", "Details", f"{name}-details")
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--temporal", default="127.0.0.1:7233")
    parser.add_argument("--ui", default="http://127.0.0.1:8233")
    parser.add_argument("--api", default="http://127.0.0.1:8080")
    options = parser.parse_args()
    asyncio.run(main(options.temporal, options.ui, options.api))
