"""What a finished demo has come to: gathered from the API, the ledger and the receivers, and checked to add up."""

import asyncio
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg
import psutil

from database import application_pool
from demo.screen import Screen
from domain.plan import Plan
from embedded.child_processes import StackError
from ledger.verify import BookReport, verify
from ledger_trust import checkpoint_directory, keyring_of
from services.recovery import reconcile
from settings import Settings
from simulator.client import Desk, JSONObject
from simulator.programme import Programme
from simulator.receivers import MailReceiver, WebhookReceiver

DRAIN_PATIENCE_S: Final = 180.0
LOOK_EVERY_S: Final = 0.2
SHOWN_COLUMNS: Final = (
    "organisation",
    "assigned",
    "selected",
    "selection_rate",
    "confirmed",
    "registered",
    "registration_rate",
    "completed",
    "completion_rate",
)
"""What fits on a screen of a bulletin's columns."""

MASKED_ROWS: Final = 40
"""So many restrictions are shown; the rest is counted."""

# Entries for processes are not notices. Nobody has to be told of them.
_NOTICES: Final = """
SELECT count(*) AS sent, count(delivered_at) AS delivered FROM ledger.outbox WHERE recipient NOT LIKE 'process:%'
"""
_EVENT_TYPES: Final = "SELECT type, count(*) AS count FROM ledger.events GROUP BY type ORDER BY type"
_INTERIM: Final = "SELECT count(*) FROM ledger.events WHERE type = 'bulletin.published'"
_UNSEALED: Final = """
SELECT b.book FROM ledger.books b
WHERE b.sequence > coalesce((SELECT max(c.size) FROM ledger.checkpoints c WHERE c.book = b.book), 0) LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Notices:
    """Notices to organisations and teachers; every one is sent to its recipient in as many ways as he has."""

    sent: int
    delivered: int

    @property
    def undelivered(self) -> int:
        return self.sent - self.delivered


@dataclass(frozen=True, slots=True)
class Line:
    """What arrived at the other ends. `repeated` counts what came a second time; it must be 0."""

    webhooks: int
    mails: int
    repeated: int
    unsigned: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the demo reports.

    `interim_bulletins` depends on the run: the schedule publishes for the newest date of the grid that has begun, so a
    date that passes between two of its runs, or while the system is down, has none. At 15 days a second and more a
    month may pass between two runs without any interruption.
    `story` counts what only some stories have. `event_types` says how often each type of event was recorded.
    """

    figures: JSONObject
    bulletins: JSONObject
    restrictions: list[JSONObject]
    notices: Notices
    line: Line
    books: list[BookReport]
    drift: list[str]
    interim_bulletins: int = 0
    story: Mapping[str, int] = field(default_factory=dict)
    event_types: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The figures in the form that `--json` writes."""
        return {
            "nominated": self.figures["nominated"],
            "phases": self.figures["phases"],
            "restrictions": self.figures["restrictions_ever"],
            "notices": {**asdict(self.notices), "undelivered": self.notices.undelivered},
            "books": {
                each.book: {"size": each.size, "root": each.root_hex, "verified": each.verified} for each in self.books
            },
            "drift": len(self.drift),
            "interim_bulletins": self.interim_bulletins,
            "event_types": dict(self.event_types),
            "bulletins_sha256": self.bulletins["sha256"],
            "classes": self.figures["classes"],
            "received": asdict(self.line),
        }


async def gather(
    settings: Settings, bureau: Desk, campaign: str, *, webhooks: WebhookReceiver, mails: MailReceiver
) -> Outcome:
    """Wait until everything is delivered and sealed, and count. Raises StackError when that does not come about."""
    async with application_pool(settings, min_size=1, max_size=2) as pool:
        await _wait_until_quiet(pool, bureau)
        notices = await _notices(pool)
        interim_bulletins: int = await pool.fetchval(_INTERIM)
        event_types = {row["type"]: row["count"] for row in await pool.fetch(_EVENT_TYPES)}
        books = await verify(pool, keyring_of(settings), directory=checkpoint_directory(settings))
    path = f"/v1/campaigns/{campaign}/figures"
    return Outcome(
        figures=await bureau.get(path),
        bulletins=await bureau.get("/v1/bulletins", campaign=campaign),
        restrictions=await bureau.all("/v1/restrictions", campaign=campaign),
        notices=notices,
        line=_line(webhooks, mails),
        books=books,
        drift=[f"{each.workflow_id}: {each.difference}" for each in await reconcile(settings)],
        interim_bulletins=interim_bulletins,
        story=await _story(bureau, campaign),
        event_types=event_types,
    )


async def _story(bureau: Desk, campaign: str) -> dict[str, int]:
    """What the named stories are about, as the API has it."""
    listed = await bureau.all("/v1/classes", campaign=campaign)
    classes = [await bureau.get(f"/v1/classes/{each['number']}") for each in listed if each["revision"]]
    lines = [each for each in await bureau.all("/v1/quotas", campaign=campaign) if each["level"] == "county"]
    restrictions = await bureau.all("/v1/restrictions", campaign=campaign)
    closed = (await bureau.get(f"/v1/campaigns/{campaign}"))["city_deadline"]
    selected = await bureau.all("/v1/trainees", campaign=campaign, phase="selected")
    return {
        "classes_postponed": sum("postponed" in each["changes"] for each in classes),
        "classes_online": sum(each["mode"] == "online" for each in classes),
        "shortfall_reported": sum(each["shortfall"] for each in lines),
        "seats_reallocated": sum(max(0, each["seats"] - each["issued"]) for each in lines),
        "restrictions_reversed": sum(each["phase"] == "reversed" for each in restrictions),
        "selected_after_the_selection": sum(
            datetime.fromisoformat(each["submitted_at"]) > datetime.fromisoformat(closed) for each in selected
        ),
    }


def _line(webhooks: WebhookReceiver, mails: MailReceiver) -> Line:
    return Line(
        webhooks=len(webhooks.accepted),
        mails=len(mails.accepted),
        repeated=webhooks.duplicates + mails.duplicates,
        unsigned=sum(webhooks.refused.values()),
    )


async def _notices(pool: "asyncpg.Pool[Any]") -> Notices:
    """Read where they wait: the API counts cases, not letters."""
    row = await pool.fetchrow(_NOTICES)
    assert row is not None, "a count is always answered"
    return Notices(row["sent"], row["delivered"])


async def _wait_until_quiet(pool: "asyncpg.Pool[Any]", bureau: Desk) -> None:
    """Until the mailboxes are empty, the views have read everything, and every book is sealed to its end."""
    gives_up = time.monotonic() + DRAIN_PATIENCE_S
    while True:
        left = (await _notices(pool)).undelivered
        unsealed = await pool.fetchval(_UNSEALED)
        lag = sum((await bureau.get("/v1/readyz"))["lag"].values())
        if not left and unsealed is None and not lag:
            return
        if time.monotonic() > gives_up:
            raise StackError(
                f"After {DRAIN_PATIENCE_S:.0f} s {left} notices are not delivered, the views are {lag} events behind, "
                f"and {unsealed or 'no book'} is not sealed.",
                "See the worker's log in the state directory, and the mailboxes in the Temporal UI.",
            )
        await asyncio.sleep(LOOK_EVERY_S)


# ------------------------------------------------------------------------------------------------------ checking


def faults(outcome: Outcome, programme: Programme) -> Iterator[str]:
    """Everything that does not add up; nothing when all is well."""
    population = programme.population
    expected, figures = population.figures(), outcome.figures
    phases, ever = figures["phases"], figures["restrictions_ever"]
    total = sum(phases.values())
    if not figures["nominated"] == total == expected.nominated:
        yield f"{expected.nominated} were nominated, {figures['nominated']} are known, the phases sum up to {total}"
    barring = phases.get("absent", 0) + phases.get("dismissed", 0) + phases.get("not-completed", 0)
    if ever["proposed"] != barring:
        yield f"{ever['proposed']} restrictions were proposed, but {barring} ended absent, dismissed or not completed"
    completed = phases.get("completed", 0) + phases.get("following-up", 0) + phases.get("closed", 0)
    for name, found, wanted in (
        ("completed", completed, expected.completed),
        ("restrictions imposed", ever["imposed"], expected.restrictions_imposed),
        ("restrictions dropped", ever["dropped"], expected.restrictions_dropped),
        ("earlier restrictions recorded", ever["recorded"], len(population.earlier_restrictions)),
        *(
            (name.replace("_", " "), outcome.story.get(name, 0), count)
            for name, count in in_the_story(programme).items()
        ),
    ):
        if found != wanted:
            yield f"{name}: {found}, where the script has {wanted}"
    if outcome.notices.undelivered:
        yield f"{outcome.notices.undelivered} notices were not delivered"
    if outcome.line.repeated:
        yield f"{outcome.line.repeated} notices came twice"
    if outcome.line.unsigned:
        yield f"{outcome.line.unsigned} webhooks were not signed as they must be"
    for drift in outcome.drift:
        yield f"drift: {drift}"
    for book in outcome.books:
        if not book.verified:
            yield f"the book {book.book} is not as it was recorded: {book.problem} ({book.detail})"


def in_the_story(programme: Programme) -> dict[str, int]:
    """What the script has of that which only some stories have."""
    given, again = programme.population.reallocation, programme.population.again
    return {
        "classes_postponed": sum(each.first_starts is not None for each in programme.classes),
        "classes_online": sum(each.online for each in programme.classes),
        "shortfall_reported": given.seats if given is not None else 0,
        "seats_reallocated": given.seats if given is not None else 0,
        "restrictions_reversed": int(again is not None),
        "selected_after_the_selection": int(again is not None),
    }


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // (1024 * 1024),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


# ------------------------------------------------------------------------------------------------------- showing


async def show(outcome: Outcome, screen: Screen, bureau: Desk, plan: Plan) -> None:
    """Both bulletins as they may be published, the restrictions masked, and the state of every book."""
    names = {each.id: each.name_zh for each in plan.recipients} | {each.id: each.name_zh for each in plan.hosts}
    for kind, title in (("counties", "通报（区县）· counties"), ("hosts", "通报（承训单位）· hosts")):
        header, rows = _cells(outcome.bulletins[kind], SHOWN_COLUMNS, names)
        screen.table(title, header, rows)
    screen.say(f"All columns: GET /v1/bulletins; * stands for 1 or 2 people. sha256 {outcome.bulletins['sha256']}")
    header = ("restriction", "teacher", "identity number", "ground", "phase", "until")
    shown = [_restriction_row(each) for each in outcome.restrictions[:MASKED_ROWS]]
    screen.table("限制参训（内部，不公布）· restrictions, internal", header, shown)
    if len(outcome.restrictions) > MASKED_ROWS:
        screen.say(f"… and {len(outcome.restrictions) - MASKED_ROWS} more: GET /v1/restrictions")
    rows = [(each.book, str(each.size), _verdict(each), each.root_hex) for each in outcome.books]
    screen.table("账本 · ledger", ("book", "events", "", "root"), rows)
    checkpoint = await bureau.get(f"/v1/ledger/{plan.id}/checkpoint")
    screen.say("The campaign's signed root:\n" + "\n".join(f"    {line}" for line in checkpoint["note"].splitlines()))


def _cells(
    bulletin: JSONObject, keys: Sequence[str], names: Mapping[str, str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Some columns of a bulletin as it may be published, with the organisations' names."""
    known = {column["key"]: place for place, column in enumerate(bulletin["columns"])}
    places = [known[key] for key in keys if key in known]
    header = tuple(bulletin["columns"][place]["zh"] for place in places)
    rows = []
    for row in bulletin["published"]:
        named = [f"{row[0]} {names.get(row[0], '')}", *row[1:]]
        rows.append(tuple(named[place] for place in places))
    return header, rows


def _restriction_row(item: JSONObject) -> tuple[str, ...]:
    person = item["person"]
    return (
        item["number"],
        person["name"] or "—",
        person["identity_number"] or "—",
        item["ground"] or "earlier",
        item["phase"],
        str(item["until"] or "—"),
    )


def _verdict(book: BookReport) -> str:
    return "verified" if book.verified else f"WRONG: {book.problem}"
