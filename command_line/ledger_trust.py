"""`xunji ledger seal|rotate-key|witnesses`: sign now, hand over to another key, see how far the witnesses are."""

import base64
import secrets
from dataclasses import asdict
from typing import Annotated

import typer
from dotenv import dotenv_values

from command_line.shared import FAILED, AsJSON, State, configured, fail, out, print_json, run
from settings import KEY_BYTES, SECRETS_FILE, Settings, key_bytes

SIGNING, PREVIOUS = "XUNJI_SIGNING_KEY", "XUNJI_PREVIOUS_SIGNING_KEY"


def add_trust_commands(app: typer.Typer) -> None:
    """Put the commands of this file under `xunji ledger`."""
    app.command()(seal)
    app.command("rotate-key")(rotate_key)
    app.command()(witnesses)


def seal(state: State = None, as_json: AsJSON = False) -> None:
    """Sign every book as it is now, and tell the roots. A worker does this every second by itself."""
    from command_line.ledger import database
    from ledger.seal import seal_now
    from ledger_trust import sealer_of

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            sealed = await seal_now(pool, sealer_of(settings, pool))
        if as_json:
            print_json([asdict(each) for each in sealed])
        else:
            for each in sealed:
                note = "sealed now" if each.is_new else f"sealed {each.sealed_at:%Y-%m-%d %H:%M:%S}Z"
                out.print(f"{each.book:20} {each.size:8} events  {each.root_hex}  {note}", highlight=False)
        return 0

    run(work())


def rotate_key(
    new_key: Annotated[
        bool,
        typer.Option("--new-key", help="Make the new key in the state directory's secrets.env, as the stack does."),
    ] = False,
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Hand the ledger over from XUNJI_PREVIOUS_SIGNING_KEY to XUNJI_SIGNING_KEY. It is verified first.

    Give every worker both keys and restart it, then run this once; docs/ledger-trust.md has the steps.
    """
    from command_line.ledger import database
    from ledger.rotation import rotate
    from ledger.seal import public_key_of
    from ledger.verify import verify
    from ledger_trust import checkpoint_directory, keyring_of, public_key_text, witnesses_of

    async def work() -> int:
        settings = configured(state)
        if settings.previous_signing_key is None and new_key:
            _make_key(settings)
            settings = configured(state)
        if settings.previous_signing_key is None:
            fail(
                f"Only one signing key is set.\n  → Set {PREVIOUS} to the present key and {SIGNING} to a new one "
                "(openssl rand -base64 32), restart the workers with both, and run this again. Where the keys are in "
                f"{settings.state_dir / SECRETS_FILE}, --new-key does so."
            )
        old, new = key_bytes(settings.previous_signing_key), key_bytes(settings.signing_key)
        async with database(settings) as pool:
            directory = checkpoint_directory(settings)
            reports = await verify(pool, keyring_of(settings), directory=directory, witnesses=witnesses_of(settings))
            # The new key will vouch for everything up to here.
            wrong = [f"{each.book}: {each.detail}" for each in reports if not each.verified]
            if wrong:
                fail("Nothing is handed over: " + "; ".join(wrong) + "\n  → See `xunji ledger verify`.")
            succession = await rotate(
                pool, old_key=old, new_key=new, origin=settings.ledger_origin, directory=directory
            )
        key = public_key_text(public_key_of(new))
        if as_json:
            print_json({"number": succession.number, "public_key": key, "note": succession.note})
        else:
            out.print(f"Succession {succession.number}. The public key is now {key}", highlight=False)
            out.print(
                f"Tell it to auditors and witnesses; when they know it, take {PREVIOUS} out. Workers that have only "
                "the old key sign no more: restart them.",
                highlight=False,
            )
        return 0

    run(work())


def witnesses(state: State = None, as_json: AsJSON = False) -> None:
    """How much each witness has countersigned; exit code 1 when a required one is more than five minutes behind."""
    from command_line.ledger import database
    from ledger.outside import WITNESS_GRACE_S
    from ledger.witnessing import lag
    from ledger_trust import witnesses_of

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            found = await lag(pool, witnesses_of(settings))
        if as_json:
            print_json([asdict(each) | {"behind": each.behind} for each in found])
        else:
            for each in found:
                late = f", for {each.behind_s:.0f} s" if each.behind else ""
                out.print(
                    f"{each.witness:30} {each.book:20} {each.cosigned:8} of {each.size:8} events{late}", highlight=False
                )
            if not found:
                out.print("No witness countersigns: set XUNJI_WITNESSES.", highlight=False)
        return FAILED if any(each.required and each.behind and each.behind_s > WITNESS_GRACE_S for each in found) else 0

    run(work())


def _make_key(settings: Settings) -> None:
    # Only where the present key comes from the file; one of the environment would win over what is written here.
    path = settings.state_dir / SECRETS_FILE
    present = base64.b64encode(key_bytes(settings.signing_key)).decode()
    stored = {name: value for name, value in dotenv_values(path).items() if value} if path.exists() else {}
    if stored.get(SIGNING) != present:
        fail(f"The signing key is not in {path}.\n  → Make the new one where the present one comes from.")
    from embedded.local_stack import write_private

    fresh = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    write_private(path, stored | {SIGNING: fresh, PREVIOUS: present})
