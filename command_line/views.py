"""`xunji ledger rebuild | parked | release`: look after the views, which are made of the ledger and can be made anew.

Exit codes: 0 done (and, compared, equal); 1 something differs, is parked, or failed; 2 the command was misused; 3 not
now: another process rebuilds the views, or nothing is kept that one could go back to.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import asyncpg
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from command_line.shared import FAILED, MISUSED, AsJSON, State, configured, err, fail, out, print_json, run
from settings import Settings

NOT_NOW = 3


async def connect(settings: Settings) -> "asyncpg.Connection[Any]":
    """A connection as the owner of the schema."""
    return await asyncpg.connect(settings.database_url.get_secret_value())


def rebuild(
    compare: Annotated[
        bool, typer.Option("--compare", help="Build beside, compare with the live views, and drop it again.")
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Put the build back that was live before.")] = False,
    drop_kept: Annotated[bool, typer.Option("--drop-kept", help="Drop the build that is kept for a rollback.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the builds.")] = False,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Build all views anew beside the live ones, then switch to them; reads go on. The old ones are kept."""
    from projections.builds import BuildUnknown
    from projections.rebuild import RebuildUnderWay, RollbackRefused

    if sum((compare, rollback, drop_kept, list_)) > 1:
        err.print("Give one of --compare, --rollback, --drop-kept and --list, not several.", style="red")
        raise typer.Exit(MISUSED)

    async def work() -> int:
        connection = await connect(configured(state))
        try:
            if compare:
                return await _compare(connection, as_json=as_json)
            if rollback:
                return await _roll_back(connection, as_json=as_json)
            if drop_kept:
                return await _drop_kept(connection, as_json=as_json)
            if list_:
                return await _list(connection, as_json=as_json)
            return await _rebuild(connection, as_json=as_json)
        except (RebuildUnderWay, BuildUnknown, RollbackRefused) as error:
            err.print(f"Not now: {error}.", style="red", highlight=False, markup=False)
            return NOT_NOW
        finally:
            await connection.close()

    run(work())


async def _rebuild(connection: "asyncpg.Connection[Any]", *, as_json: bool) -> int:
    from projections.rebuild import rebuild as rebuild_views

    with _bar() as bar:
        rebuilt = await rebuild_views(connection, await _progress(connection, bar))
    assert rebuilt is not None, "asked for without a condition"
    if as_json:
        print_json(asdict(rebuilt))
        return 0
    out.print(
        f"Build {rebuilt.build} is live: {rebuilt.events} events, {rebuilt.events_per_second} a second. "
        f"Build {rebuilt.replaced} is kept; `xunji ledger rebuild --rollback` goes back to it.",
        highlight=False,
    )
    if rebuilt.parked:
        out.print(f"{rebuilt.parked} events are parked; look at `xunji ledger parked`.", highlight=False)
    return 0


async def _compare(connection: "asyncpg.Connection[Any]", *, as_json: bool) -> int:
    from projections.rebuild import compare as compare_builds

    with _bar() as bar:
        compared = await compare_builds(connection, await _progress(connection, bar))
    if as_json:
        print_json(asdict(compared) | {"differing": compared.differing})
    else:
        for table, (live, anew) in sorted(compared.hashes.items()):
            verdict = "equal" if live == anew else f"DIFFERS, made anew {anew[:16]}"
            out.print(f"{table:16} {live[:16]}  {verdict}", highlight=False)
    return FAILED if compared.differing else 0


async def _roll_back(connection: "asyncpg.Connection[Any]", *, as_json: bool) -> int:
    from projections.rebuild import roll_back

    build = await roll_back(connection)
    if as_json:
        print_json(asdict(build))
    else:
        out.print(f"Build {build.number} is live again, up to date; the other is kept.", highlight=False)
    return 0


async def _drop_kept(connection: "asyncpg.Connection[Any]", *, as_json: bool) -> int:
    from projections.rebuild import drop_kept

    build = await drop_kept(connection)
    if as_json:
        print_json(asdict(build))
    else:
        out.print(f"Build {build.number} is dropped.", highlight=False)
    return 0


async def _list(connection: "asyncpg.Connection[Any]", *, as_json: bool) -> int:
    from projections.builds import builds

    found = await builds(connection)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        for each in found:
            out.print(f"{each.number:4}  {each.state:8}  {each.schema:10}  {each.versions}", highlight=False)
    return 0


def parked(
    book: Annotated[str | None, typer.Argument(help="One book; all when left out.")] = None,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """List the events that the views could not take in, and why; exit code 1 when there are some."""
    from projections.checkpoints import parked as parked_events

    async def work() -> int:
        connection = await connect(configured(state))
        try:
            found = await parked_events(connection, book)
        finally:
            await connection.close()
        if as_json:
            print_json([asdict(each) for each in found])
        else:
            for each in found:
                out.print(
                    f"{each.book:20} {each.sequence:8}  {each.stream}  {each.type}: {each.reason}",
                    highlight=False,
                    markup=False,
                )
            if not found:
                out.print("No event is parked.")
        return FAILED if found else 0

    run(work())


def release(
    book: Annotated[str | None, typer.Argument(help="The event's book; with --all, only this book's.")] = None,
    sequence: Annotated[int | None, typer.Argument(help="The sequence of a parked event.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Release every parked event.")] = False,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Try parked events again, each with the rest of its stream; exit code 1 when some are parked again."""
    from projections.parking import NotParked, ReleaseRefused, release_all
    from projections.parking import release as release_stream

    if all_ == (sequence is not None) or (sequence is not None and book is None):
        err.print("Give a book and the sequence of a parked event, or --all.", style="red", highlight=False)
        raise typer.Exit(MISUSED)

    async def work() -> int:
        connection = await connect(configured(state))
        try:
            if book is not None and sequence is not None:
                released = [await release_stream(connection, book, sequence)]
            else:
                released = await release_all(connection, book)
        except (NotParked, ReleaseRefused) as error:
            fail(f"{error}\n  → `xunji ledger parked` lists what is parked.")
        finally:
            await connection.close()
        if as_json:
            print_json([asdict(each) for each in released])
        else:
            for each in released:
                again = f", {each.parked} still parked: {each.reason}" if each.parked else ""
                out.print(f"{each.book}  {each.stream}: {each.applied} applied{again}", highlight=False, markup=False)
        return FAILED if any(each.parked for each in released) else 0

    run(work())


def add_to(app: typer.Typer) -> None:
    """Make these commands of `xunji ledger`."""
    for command in (rebuild, parked, release):
        app.command()(command)


def _bar() -> Progress:
    columns = (TextColumn("building"), BarColumn(), MofNCompleteColumn(), TextColumn("events"), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True)


async def _progress(connection: "asyncpg.Connection[Any]", bar: Progress) -> Callable[[int], None]:
    """What tells the bar how far a build is."""
    from projections.advance import heads

    task = bar.add_task("building", total=sum((await heads(connection)).values()))
    return lambda read: bar.update(task, completed=read)
