"""`xunji ledger person | erase`: a request for access, and one to be forgotten, as `docs/runbooks` tells it."""

import getpass
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import typer

from command_line.exit_codes import MISUSED, OK, REFUSED
from command_line.ledger import database
from command_line.shared import AsJSON, State, configured, fail, out, print_json, run
from ledger.store import Ledger
from ledger.vault import Vault
from projections.checkpoints import ViewBehind
from settings import Settings
from vaults import vault_of


def person(
    who: Annotated[str, typer.Argument(help="The person's id, or - to be asked for the identity number.")],
    state: State = None,
    as_json: AsJSON = True,
) -> None:
    """Print everything known about a person as JSON: the answer to a request for access. Hand it to nobody else."""
    assert as_json, "there is no other form"
    from domain.identity import IdentityNumberError
    from services.person_export import PersonExportError, export_person
    from services.personal_reads import record

    async def work() -> int:
        settings = configured(state)
        wanted = _person(who) if who != "-" else typer.prompt("Identity number", hide_input=True)
        async with database(settings) as pool:
            vault = vault_of(settings, pool)
            try:
                found = await export_person(pool, vault, wanted)
                await record(pool, _read_by_operator(UUID(found["person"])))
                print_json(found)
            except PersonExportError as error:
                fail(str(error), REFUSED)
            except IdentityNumberError as error:
                fail(str(error), MISUSED)
        return OK

    run(work())


def erase(
    who: Annotated[str, typer.Argument(help="The person's id.")],
    reason: Annotated[str, typer.Option(help="A code, e.g. requested or retention.")] = "requested",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. There is no way back.")] = False,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Destroy a person's key: what is sealed under it can never be read again; hashes and statistics still hold.

    While a restriction of the person runs, the data are only stored; the wish is kept, and met when it has ended.
    """

    async def work() -> int:
        settings = configured(state)
        subject = _person(who)
        async with database(settings) as pool:
            vault = vault_of(settings, pool)
            if not yes and not typer.confirm(f"Erase {subject} for ever?", err=True):
                return REFUSED
            if await _is_held(settings, pool, vault, subject, reason):
                if as_json:
                    print_json({"held": True})
                else:
                    out.print(f"{subject} is barred still: the data are only stored, and erased when that has ended.")
                return REFUSED
            tombstone = await vault.erase(subject, reason)
        if as_json:
            print_json(asdict(tombstone))
        else:
            out.print(
                f"{subject} was erased at {tombstone.erased_at:%Y-%m-%d %H:%M}Z ({tombstone.reason}).", highlight=False
            )
        return OK

    run(work())


async def _is_held(settings: Settings, pool: "asyncpg.Pool[Any]", vault: Vault, subject: UUID, reason: str) -> bool:
    """Ask for the erasure as the API does, by the domain's rules; whether it has to wait. Ends when it is refused."""
    from clock import clock_for
    from domain.decision import SYSTEM, Refusal
    from event_schemas import SCHEMAS
    from projections.checkpoints import Checkpoints
    from services.person_records import PersonRecords, Recording

    ledger, checkpoints = Ledger(pool, SCHEMAS), Checkpoints(pool)
    try:
        records = PersonRecords(pool, ledger, vault, checkpoints)
        if await records.find(subject) is None:
            # Known to the vault alone: nothing of his is in the ledger.
            return False
        recording = Recording(uuid4(), f"erase {subject}", SYSTEM, await clock_for(settings.clock, pool).now())
        outcome = await records.erase(subject, recording, reason)
    except ViewBehind as error:
        fail(f"{error}\n  → Start a worker: what still needs the person is read from the views.")
    finally:
        await checkpoints.close()
        await ledger.close()
    if isinstance(outcome, Refusal):
        if outcome.code == "erasure_held":
            return True
        fail(f"{outcome.reasons[0].en}\n  → {outcome.reasons[0].remedy_en}")
    return outcome.erasure == "held"


def _read_by_operator(person: UUID) -> Any:
    from services.personal_reads import Read

    return Read("", "operator", getpass.getuser(), "xunji ledger person", "", [person], 1, "")


def _person(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        fail("That is no person's id.\n  → Give the id that the API shows as `person`.", MISUSED)
