"""`xunji ledger rotate-master-key | rotate-index-key`: as `docs/runbooks/rotating-keys.md` tells it."""

from dataclasses import asdict

from command_line.exit_codes import OK, WRONG
from command_line.ledger import database
from command_line.progress import progress
from command_line.shared import AsJSON, State, configured, out, print_json, run


def rotate_master_key(state: State = None, as_json: AsJSON = False) -> None:
    """Bring every person's key and every sealed secret under the current master key; exit code 1 when some is left."""
    from services.key_rotation import master_keys_to_do
    from services.key_rotation import rotate_master_key as rotate

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            with progress("Wrapping keys", await master_keys_to_do(pool, settings)) as advance:
                done = await rotate(pool, settings, advance)
        if as_json:
            print_json(asdict(done) | {"finished": done.finished})
        else:
            persons = done.persons
            out.print(
                f"{persons.rewrapped} keys of persons and {done.resealed} secrets are under the current key now; "
                f"{persons.remaining} keys and {done.unreadable} secrets are not.",
                highlight=False,
            )
        return OK if done.finished else WRONG

    run(work())


def rotate_index_key(state: State = None, as_json: AsJSON = False) -> None:
    """Bring everybody under the current index key; exit code 1 when the former one is still needed."""
    from services.key_rotation import index_keys_to_do
    from services.key_rotation import rotate_index_key as rotate

    async def work() -> int:
        settings = configured(state)
        async with database(settings) as pool:
            with progress("Indexing persons", await index_keys_to_do(pool, settings)) as advance:
                done = await rotate(pool, settings, advance)
        if as_json:
            print_json(asdict(done) | {"finished": done.finished})
        else:
            out.print(
                f"{done.reindexed} persons are under the current key now; {done.remaining} are not "
                f"({done.unknown} without a number that can be opened, {done.wrong + done.taken} with another's).",
                highlight=False,
            )
        return OK if done.finished else WRONG

    run(work())
