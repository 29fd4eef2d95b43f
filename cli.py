"""The `xunji` command: run the parts, look after them, and check what they say. `xunji COMMAND --help` tells more."""

import gc
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from command_line.accounts import account_app
from command_line.explain import explain
from command_line.inbox import inbox
from command_line.ledger import ledger_app
from command_line.ledger_books import attach, books, close, detach
from command_line.ledger_keys import rotate_index_key, rotate_master_key
from command_line.ledger_privacy import erase, person
from command_line.ledger_trust import add_trust_commands
from command_line.mail import mail_app
from command_line.shared import FAILED, AsJSON, State, configured, err, fail, out, print_json, run
from command_line.views import add_to as add_view_commands
from demo.run import demo
from domain.plan import Plan
from domain.plan_loader import PlanError, load_plan
from settings import SettingsError

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
plan_app = typer.Typer(help="Check the plan of a campaign.", no_args_is_help=True)
add_trust_commands(ledger_app)
app.add_typer(ledger_app, name="ledger")
app.add_typer(plan_app, name="plan")
app.add_typer(account_app, name="account")
app.add_typer(mail_app, name="mail")
app.command()(demo)
for each in (person, erase, books, close, detach, attach, rotate_master_key, rotate_index_key):
    ledger_app.command()(each)
add_view_commands(ledger_app)
app.command()(explain)
app.command()(inbox)

# ------------------------------------------------------------------------------------------------------- parts


@app.command()
def worker(state: State = None) -> None:
    """Run a worker: workflows, activities, views, mailboxes and seals."""
    from observability import configure_logging
    from worker import run_until_signalled

    async def work() -> int:
        settings = configured(state)
        configure_logging("worker", settings.log_format, settings.log_level)
        await run_until_signalled(settings)
        return 0

    run(work())


@app.command()
def api(state: State = None) -> None:
    """Run the HTTP API."""
    import uvicorn

    from api.app import create_app
    from observability import configure_logging

    try:
        settings = configured(state)
    except SettingsError as error:
        fail(str(error))
    configure_logging("api", settings.log_format, settings.log_level)
    application = create_app(settings)
    # What the start has made stays: to look through it for garbage again and again would slow every request down.
    gc.collect()
    gc.freeze()
    uvicorn.run(application, host=settings.api_host, port=settings.api_port, log_config=None, access_log=False)


@app.command()
def migrate(state: State = None) -> None:
    """Bring the database up to this release."""
    from migrations import migrate as migrate_database

    async def work() -> int:
        settings = configured(state)
        await migrate_database(settings.owner_database_url(), settings.database_url.get_secret_value())
        out.print("The database is up to date.")
        return 0

    run(work())


@app.command()
def key(
    plan: Annotated[Path, typer.Argument(help="The plan whose bureau gets the key.")],
    state: State = None,
) -> None:
    """Issue the bureau's first API key. It is shown once; only its hash is kept. All other keys come from the API."""
    from api.permissions import scopes_of
    from api.registry import bureau_of, issue_key
    from database import application_pool
    from event_schemas import SCHEMAS
    from ledger.store import Ledger

    bureau = bureau_of(read_plan(plan))

    async def work() -> int:
        settings = configured(state)
        async with application_pool(settings, min_size=1, max_size=3) as pool:
            ledger = Ledger(pool, SCHEMAS)
            try:
                issued = await issue_key(
                    pool, ledger, bureau.id, "bureau", scopes_of("bureau"), "operator", institution=bureau
                )
            finally:
                await ledger.close()
        sys.stdout.write(issued.text + "\n")
        return 0

    run(work())


# ------------------------------------------------------------------------------------------------- looking after


@app.command()
def recover(state: State = None, as_json: AsJSON = False) -> None:
    """Make every unfinished case's workflow run again, from the ledger alone."""
    from services.recovery import recover as recover_all

    async def work() -> int:
        report = await recover_all(configured(state))
        if as_json:
            print_json(asdict(report))
        else:
            for kind, count in report.running.items():
                out.print(f"{kind:12} {count:6} running")
        return 0

    run(work())


@app.command()
def reconcile(state: State = None, as_json: AsJSON = False) -> None:
    """Compare every unfinished case with its workflow; exit code 1 when they differ."""
    from services.recovery import reconcile as reconcile_all

    async def work() -> int:
        drifts = await reconcile_all(configured(state))
        if as_json:
            print_json([asdict(each) for each in drifts])
        else:
            for each in drifts:
                out.print(
                    f"{each.workflow_id}: {each.difference}, ledger version {each.stream_version}, "
                    f"workflow version {each.workflow_version}"
                )
            out.print("No drift." if not drifts else f"{len(drifts)} differ; `xunji recover` starts what is missing.")
        return FAILED if drifts else 0

    run(work())


@plan_app.command()
def check(file: Annotated[Path, typer.Argument(help="A plan, e.g. plans/2022-zhengzhou.yaml.")]) -> None:
    """Check a plan; every error comes with line, column, what was expected and what was found."""
    plan = read_plan(file)
    seats = sum(line.seats for line in plan.lines())
    out.print(f"{plan.id}: {len(plan.project_types)} project types, {len(plan.hosts)} hosts, {seats} seats. No errors.")


@plan_app.command()
def schema() -> None:
    """Print the plan's JSON Schema, for editors; plans/plan.schema.json is this."""
    from domain.plan_schema import schema_text

    sys.stdout.write(schema_text())


def read_plan(file: Path) -> Plan:
    """The plan in `file`; ends with every error when it has some."""
    try:
        return load_plan(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}\n  → Give a plan in UTF-8, e.g. plans/2022-zhengzhou.yaml.")
    except PlanError as error:
        for problem in error.problems:
            err.print(
                f"{file}:{problem.line}:{problem.column}: {problem.message_en}\n    {problem.message_zh}",
                highlight=False,
                markup=False,
            )
    raise typer.Exit(FAILED)


if __name__ == "__main__":
    app()
