"""The demo: the whole campaign of 2022 on this machine, with one command.

It starts PostgreSQL, Temporal, a worker and the API, plays every organisation through the API alone, receives the
webhooks and mails, and shows what became of it. Interrupted, it goes on from its state directory at the next start.
"""

import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import asyncpg
import httpx2
import typer

from api.permissions import scopes_of
from api.registry import Recording, bureau_of, issue_key
from clock import create_demo_clock
from demo import report
from demo.screen import Screen
from demo.state import (
    KEYS_FILE,
    REPORT_FILE,
    Asked,
    KeyFile,
    Run,
    as_text,
    chosen_run,
    read,
    with_webhook_port,
    write_private,
)
from domain.calendar import SHANGHAI
from domain.plan import Plan
from domain.plan_loader import load_plan
from embedded.child_processes import LOOPBACK, StackError, cancelled_by, free_port
from embedded.local_stack import LocalStack
from event_schemas import SCHEMAS
from ledger.store import Ledger
from migrations import migrate
from observability import configure_logging
from services.accounts import AccountExists, add_account
from services.recovery import recover
from settings import DEFAULT_STATE_DIR, Settings, SettingsError, load_settings
from simulator import sms_provider
from simulator.allocation import MAX_NOMINATIONS, MIN_NOMINATIONS
from simulator.client import Desk, FrontDoor, UnexpectedAnswer, front_door
from simulator.play import Play, endpoint_name, first_instant, milestone, whole_days
from simulator.population import Population, generate
from simulator.programme import Programme, compose
from simulator.receivers import Faults, MailReceiver, WebhookReceiver
from simulator.scenarios import SCENARIOS, USUAL
from simulator.timetable import days_after, office_hour
from simulator.watch import NotInTime

ACCOUNT: Final = "bureau"
ACCOUNT_SECRET: Final = "account bureau"  # noqa: S105 - the name that its password is kept under
ACCOUNT_PASSWORD_BYTES: Final = 18
ROOT: Final = Path(__file__).resolve().parent.parent
PLAN: Final = ROOT / "plans" / "2022-zhengzhou.yaml"
DEFAULT_RUN: Final = Run(trainees=600, seed=2022)
STORY_TRAINEES: Final = 60
"""So many nominations has a named story, or another plan, unless it is asked for more: it is there to be looked at."""
DEFAULT_SPEED: Final = 8.0
PREFERRED_API_PORT: Final = 8080
FAILED: Final = 1
INTERRUPTED: Final = 130
KEY_NAMESPACE: Final = UUID("3c0a4f83-8e5e-4a0f-9a57-0b51d6f6b1c3")
OPEN_PHASE: Final = "registration-open"
WORKER_READY: Final = b"worker.ready"
MILESTONES: Final = (
    "nominated",
    "selected",
    "enrolled",
    "registered",
    "completed",
    "followed up",
    "restrictions decided",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    state: Path
    speed: float
    asked: Asked = field(default_factory=Asked)
    exit: bool = False
    json_file: Path | None = None
    lose_temporal_at: date | None = None
    until: date | None = None
    port: int = PREFERRED_API_PORT


@dataclass(slots=True)
class House:
    """Everything that runs: the servers and the receivers."""

    stack: LocalStack
    settings: Settings
    webhooks: WebhookReceiver
    mails: MailReceiver
    api_url: str


class Demo:
    """One start of the demo. `run` is the whole of it."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self.options = options
        self.screen = screen
        self.began = time.monotonic()
        asked = options.asked
        is_usual = asked.scenario in (None, USUAL.name) and asked.plan is None
        default = DEFAULT_RUN if is_usual else replace(DEFAULT_RUN, trainees=STORY_TRAINEES)
        self.run_ = chosen_run(options.state, asked, default)
        self.plan_text = _plan_text(Path(self.run_.plan) if self.run_.plan else PLAN)
        plan = load_plan(self.plan_text)
        if options.until is not None and not plan.dates.opens <= options.until <= plan.dates.closes:
            raise StackError(
                f"{options.until} lies outside the campaign.",
                f"It goes from {plan.dates.opens} to {plan.dates.closes}; name one of its days, or leave --until out.",
            )
        self.programme: Programme = compose(plan, _population(plan, self.run_))
        self.keys = KeyFile(options.state)
        self.recovered: dict[str, Any] | None = None
        self.account_to_tell = ""

    @property
    def plan(self) -> Plan:
        return self.programme.plan

    async def run(self) -> int:
        """Play, report, and stay until somebody ends it; the exit code. Raises StackError or the simulator's errors."""
        async with self._house() as house:
            self.screen.say(f"Ready after {time.monotonic() - self.began:.1f} s.")
            self._say_addresses(house)
            async with front_door(house.api_url, self.run_.name) as door:
                code = await _unless_something_dies(house.stack, self._play_and_report(house, door))
            if not self.options.exit:
                self._say_addresses(house)
                self.screen.say("Ctrl-C ends it.")
                with contextlib.suppress(asyncio.CancelledError):
                    await _unless_something_dies(house.stack, _for_ever())
        return code

    # -------------------------------------------------------------------------------------------- what has to run

    @asynccontextmanager
    async def _house(self) -> AsyncIterator[House]:
        """Start everything. The receivers end last, so that nothing is sent to nobody."""
        async with AsyncExitStack() as exits:
            webhooks = WebhookReceiver(self._faults())
            await webhooks.start(self._webhook_port())
            self._tell_secrets(webhooks)
            exits.push_async_callback(webhooks.stop)
            mails = MailReceiver()
            await mails.start()
            exits.push_async_callback(mails.stop)
            texts = sms_provider.SmsProvider()
            await texts.start()
            exits.push_async_callback(texts.stop)
            stack = await exits.enter_async_context(LocalStack(self.options.state, say=self.screen.say))
            await self._prepare_database(stack)
            port = free_port(self.options.port)
            if port != self.options.port:
                self.screen.say(f"Port {self.options.port} is taken; the API listens on {port}.")
            api_url = f"http://{LOOPBACK}:{port}"
            environment = {
                "XUNJI_CLOCK": "demo",
                "XUNJI_API_HOST": LOOPBACK,
                "XUNJI_API_PORT": str(port),
                "XUNJI_PUBLIC_URL": api_url,
                "XUNJI_SMTP_HOST": mails.host,
                "XUNJI_SMTP_PORT": str(mails.port),
                "XUNJI_SMS_URL": texts.url,
                "XUNJI_SMS_KEY_ID": sms_provider.KEY_ID,
                "XUNJI_SMS_KEY_SECRET": sms_provider.KEY_SECRET,
                "XUNJI_SMS_SIGN_NAME": sms_provider.SIGN_NAME,
                "XUNJI_SMS_TEMPLATE_CODE": sms_provider.TEMPLATE_CODE,
                "XUNJI_WEBHOOK_ALLOW_LOOPBACK": "true",
                "XUNJI_LOG_FORMAT": "json",
                # A whole city in one process sends more than any organisation ever would.
                "XUNJI_RATE_LIMIT_PER_MINUTE": "0",
            }
            await asyncio.gather(_start_worker(stack, environment), _start_api(stack, environment, api_url))
            yield House(stack, load_settings(stack.state_dir), webhooks, mails, api_url)

    def _webhook_port(self) -> int:
        """The port of the first start if it can be had: the endpoints that the API knows lead there."""
        port = free_port(self.run_.webhook_port or None)
        if port != self.run_.webhook_port:
            self.run_ = with_webhook_port(self.options.state, self.run_, port)
        return port

    def _tell_secrets(self, webhooks: WebhookReceiver) -> None:
        """What an interrupted run has left in the outbox comes as soon as a worker runs, and must be known by then."""
        for organisation in {self.plan.bureau, *(each.host for each in self.programme.classes)}:
            secret = self.keys.get(endpoint_name(organisation, webhooks.url(organisation)))
            if secret is not None:
                webhooks.set_secret(organisation, secret)

    def _faults(self) -> Faults:
        """One host's endpoint fails once, so that a repetition under the same webhook-id is seen."""
        return Faults(failures={min(each.host for each in self.programme.classes): 1})

    async def _prepare_database(self, stack: LocalStack) -> None:
        """The schema, the clock at the campaign's beginning, and the key with which the bureau begins."""
        await migrate(stack.database_url, stack.application_url)
        first = first_instant(self.programme)
        async with asyncpg.create_pool(stack.database_url, min_size=1, max_size=2) as pool:
            async with pool.acquire() as connection:
                await create_demo_clock(connection, first, self.options.speed)
            if self.keys.get(self.plan.bureau) is None:
                self.keys.put({self.plan.bureau: await _first_key(pool, self.plan, first)})
            await self._make_account(pool)

    async def _make_account(self, pool: "asyncpg.Pool[Any]") -> None:
        """The bureau's member of staff, told once. The password is kept first, in case the start is interrupted."""
        kept = self.keys.get(ACCOUNT_SECRET)
        password = kept or secrets.token_urlsafe(ACCOUNT_PASSWORD_BYTES)
        if kept is None:
            self.keys.put({ACCOUNT_SECRET: password})
            self.account_to_tell = password
        with contextlib.suppress(AccountExists):
            await add_account(pool, ACCOUNT, self.plan.bureau, password)

    def _say_addresses(self, house: House) -> None:
        self.screen.say(f"API docs     {house.api_url}/docs")
        if self.account_to_tell:
            self.screen.say(f"Sign in      {house.api_url}/sign-in as {ACCOUNT}, password {self.account_to_tell}")
            self.screen.say(f"             told this once; it is kept in {self.options.state / KEYS_FILE}")
            self.account_to_tell = ""
        if house.stack.temporal_ui_url:
            self.screen.say(f"Temporal UI  {house.stack.temporal_ui_url}")

    # -------------------------------------------------------------------------------------------------- the play

    async def _play_and_report(self, house: House, door: FrontDoor) -> int:
        report_file = self.options.state / REPORT_FILE
        key = self.keys.get(self.plan.bureau)
        assert key is not None, "the bureau was given its key before anything else"
        bureau = door.desk(self.plan.bureau, key)
        if report_file.exists() and await self._is_over(bureau):
            self.screen.say(f"The campaign {self.plan.id} is over; this is what it came to.")
            door.counts.refused.update(read(report_file)["refused"])
        else:
            await self._play(house, door)
        if self.options.until is not None:
            await self._hand_over(bureau)
            return 0
        await self._wait_for_morning(bureau)
        outcome = await report.gather(house.settings, bureau, self.plan.id, webhooks=house.webhooks, mails=house.mails)
        await report.show(outcome, self.screen, bureau, self.plan)
        figures = {
            **outcome.as_json(),
            "scenario": {"name": self.run_.scenario, **outcome.story},
            "seconds": round(time.monotonic() - self.began, 1),
            "peak_rss_mib": round(house.stack.peak_rss_mib),
            "refused": dict(sorted(door.counts.refused.items())),
            "ready_seconds": round(house.stack.ready_seconds, 1),
            "speed": self.options.speed,
            "recovered": self.recovered,
            "machine": report.machine(),
        }
        write_private(report_file, figures)
        if self.options.json_file is not None:
            self.options.json_file.write_text(as_text(figures), encoding="utf-8")
        return self._verdict(list(report.faults(outcome, self.programme)), figures)

    async def _wait_for_morning(self, bureau: Desk) -> None:
        """The campaign ends at midnight, and what came about in the evening is mailed after the quiet hours."""
        morning = office_hour(days_after(self.plan.dates.closes, 1))
        await bureau.post(f"advance:{morning.isoformat()}", "/v1/clock/advance", {"until": morning.isoformat()})

    async def _is_over(self, bureau: Desk) -> bool:
        campaigns = await bureau.all("/v1/campaigns")
        return any(item["id"] == self.plan.id and item["phase"] == "closed" for item in campaigns)

    async def _play(self, house: House, door: FrontDoor) -> None:
        play = Play(door, self.programme, self.keys, house.webhooks, days_per_second=self.options.speed)
        done = [milestone(deed) for deed in self.programme.every_deed() if not deed.refused_with]
        totals = {name: done.count(name) for name in MILESTONES}
        async with self.screen.progress(play, totals, whole_days(self.programme), self.plan.dates.opens):
            await play.run(self.plan_text, partial(self._after_work, house), until=self.options.until)

    async def _hand_over(self, bureau: Desk) -> None:
        """Say what somebody who goes on by hand needs to begin with."""
        now = datetime.fromisoformat((await bureau.get("/v1/clock"))["now"]).astimezone(SHANGHAI)
        self.screen.say(f"It is {now:%Y-%m-%d, %H:%M}, and time stands still: the rest is yours.")
        self.screen.say(f"Keys         {self.keys.path}")
        async for each in bureau.pages("/v1/classes", campaign=self.plan.id, phase=OPEN_PHASE):
            self.screen.say(f"Class        {each['number']} of {each['host']} ({each['project_type']}) begins today.")

    async def _after_work(self, house: House, day: date) -> None:
        """The day's work is done and the clock stands still: the moment for the recovery proof."""
        if day != self.options.lose_temporal_at:
            return
        began = time.monotonic()
        self.screen.say(f"{day}: the Temporal server is killed and its state deleted.")
        await house.stack.lose_temporal()
        await house.stack.start_temporal()
        report = await recover(house.settings)
        seconds = round(time.monotonic() - began, 1)
        self.recovered = {"on": day.isoformat(), "running": report.running, "seconds": seconds}
        self.screen.say(f"{day}: {report.total} workflows run again from the ledger, after {seconds} s.")

    def _verdict(self, faults: list[str], figures: dict[str, Any]) -> int:
        for fault in faults:
            self.screen.say(f"DOES NOT ADD UP: {fault}")
        notices = figures["notices"]
        self.screen.say(
            f"{figures['nominated']} nominations, {notices['delivered']} of {notices['sent']} notices delivered, "
            f"drift {figures['drift']}, {figures['seconds']} s, {figures['peak_rss_mib']} MiB."
        )
        return FAILED if faults else 0


def _plan_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        said = f"The plan {path} cannot be read: {error.strerror}."
        raise StackError(said, "Name another one (--plan FILE).") from error


def _population(plan: Plan, run: Run) -> Population:
    try:
        return generate(plan, run.trainees, run.seed, SCENARIOS[run.scenario])
    except ValueError as error:
        remedy = "Choose another seed, number or story, and another directory (--state DIR)."
        raise StackError(f"{run.options}: {error}.", remedy) from error


async def _first_key(pool: "asyncpg.Pool[Any]", plan: Plan, now: datetime) -> str:
    """The only key that does not come through the API: whoever issues keys needs one first."""
    ledger = Ledger(pool, SCHEMAS)
    try:
        issued = await issue_key(
            pool,
            ledger,
            plan.bureau,
            "bureau",
            scopes_of("bureau"),
            "operator",
            institution=bureau_of(plan),
            recording=Recording(uuid5(KEY_NAMESPACE, plan.id), "", "operator", now),
        )
    finally:
        await ledger.close()
    return issued.text


async def _start_worker(stack: LocalStack, environment: dict[str, str]) -> None:
    log = stack.state_dir / "logs" / "worker.log"
    seen = log.stat().st_size if log.exists() else 0

    async def ready() -> bool:
        return WORKER_READY in _tail(log, seen)

    argv = [sys.executable, str(ROOT / "worker.py")]
    await stack.run_child("worker", argv, environment, ready=ready, cwd=ROOT)


def _tail(log: Path, seen: int) -> bytes:
    # The log is set aside and begun anew when it has grown too long.
    content = log.read_bytes() if log.exists() else b""
    return content[seen if len(content) >= seen else 0 :]


async def _start_api(stack: LocalStack, environment: dict[str, str], url: str) -> None:
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:

        async def ready() -> bool:
            try:
                response = await http.get("/v1/readyz")
            except httpx2.TransportError:
                return False
            return response.status_code == httpx2.codes.OK

        argv = [sys.executable, str(ROOT / "cli.py"), "api"]
        await stack.run_child("api", argv, environment, ready=ready, cwd=ROOT)


async def _unless_something_dies(stack: LocalStack, work: Coroutine[Any, Any, int]) -> int:
    """The result of `work`, or a StackError as soon as a process dies that nobody has stopped."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(stack.supervisor.wait_for_death())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            dead = watch.result()
            raise StackError(f"{dead.name} has ended by itself:\n{dead.last_words()}", f"The whole log: {dead.log}.")
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _for_ever() -> int:
    await asyncio.Event().wait()
    return 0


# -------------------------------------------------------------------------------------------------- command line


def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="End when the campaign is over.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    trainees: Annotated[
        int | None, typer.Option(min=MIN_NOMINATIONS, max=MAX_NOMINATIONS, help="Nominations that are accepted.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, max=1_000, help="Campaign days per second.")] = DEFAULT_SPEED,
    seed: Annotated[int | None, typer.Option(help="Another seed, other people and events.")] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            help=f"The story: {', '.join(SCENARIOS)}. A named one has {STORY_TRAINEES} nominations unless you say so."
        ),
    ] = None,
    plan: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Another city's plan.")] = None,
    state: Annotated[Path, typer.Option(help="Where everything is kept.")] = DEFAULT_STATE_DIR / "demo",
    port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Where the API listens; on another port if it is taken.")
    ] = PREFERRED_API_PORT,
    lose_temporal_at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="On this day kill Temporal, delete its state, and recover."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Stop on this day's morning and leave the rest to you."),
    ] = None,
) -> None:
    """Play a campaign to its bulletins: that of 2022 or another plan's, as it usually goes or as a named story."""
    configure_logging("demo", level="warning")
    if until is not None and json_file is not None:
        raise typer.BadParameter("the figures are those of a whole campaign: leave out --until or --json")
    if scenario is not None and scenario not in SCENARIOS:
        raise typer.BadParameter(f"there is no story {scenario!r}; there are: {', '.join(SCENARIOS)}")
    options = Options(
        state=state.absolute(),
        speed=speed,
        asked=Asked(trainees, seed, scenario, str(plan.absolute()) if plan else None),
        exit=exit_,
        json_file=json_file,
        lose_temporal_at=lose_temporal_at.date() if lose_temporal_at else None,
        until=until.date() if until else None,
        port=port,
    )
    screen = Screen()

    async def work() -> int:
        with cancelled_by(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            return await Demo(options, screen).run()

    try:
        code = asyncio.run(work())
    except (StackError, SettingsError, UnexpectedAnswer, NotInTime) as error:
        screen.say(str(error))
        code = FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.say("Stopped. The next start goes on from here.")
        code = INTERRUPTED
    raise typer.Exit(code)
