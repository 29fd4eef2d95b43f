"""What the exit code of an `xunji` command says, so that a script need not read its words.

| Code | Name | What it says |
|---|---|---|
| 0 | OK | It was done, or everything is as it should be. |
| 1 | WRONG | Something was checked and is wrong: a changed event, a forged proof, a drift, a parked event. |
| 2 | MISUSED | The command, an argument or a setting is wrong. Nothing was tried. |
| 3 | REFUSED | It is not there, or its state or the rights of this login do not allow it. Nothing was changed. |
| 4 | UNAVAILABLE | PostgreSQL or Temporal cannot be used at the moment. Try again. |
| 130 | INTERRUPTED | It was ended from the keyboard. |

A command answers with an error's code through `command_line.run`; `code_of` is the one place that knows which.
"""

from typing import Final

import asyncpg
from temporalio.service import RPCError

from database import LoginRefused
from embedded.child_processes import StackError
from ledger.archive import ArchiveRejected, BookDamaged
from ledger.errors import (
    CheckpointError,
    ExportDiffers,
    InvalidKey,
    InvalidProcedure,
    InvalidProofInput,
    LedgerError,
    LedgerUnavailable,
    SealBroken,
)
from ledger.proofs import LeavesMissing, MalformedProof, ProofRejected
from ledger.vault import InvalidReason
from settings import SettingsError

OK: Final = 0
WRONG: Final = 1
MISUSED: Final = 2
REFUSED: Final = 3
UNAVAILABLE: Final = 4
INTERRUPTED: Final = 130

# In this order, because the later ones are the roots of the earlier ones.
_CODES: Final[tuple[tuple[int, tuple[type[BaseException], ...]], ...]] = (
    (MISUSED, (SettingsError, InvalidKey, InvalidProcedure, InvalidReason)),
    (UNAVAILABLE, (LedgerUnavailable,)),
    (WRONG, (CheckpointError, ArchiveRejected, BookDamaged, ExportDiffers, SealBroken)),
    (WRONG, (InvalidProofInput, ProofRejected, MalformedProof, LeavesMissing)),
    (REFUSED, (LedgerError, LoginRefused, asyncpg.InsufficientPrivilegeError)),
    (UNAVAILABLE, (StackError, asyncpg.PostgresError, asyncpg.InterfaceError, RPCError, TimeoutError)),
    (INTERRUPTED, (KeyboardInterrupt,)),
)


def code_of(error: BaseException) -> int | None:
    """The exit code that an error of a command stands for; None for one that is a defect."""
    for code, kinds in _CODES:
        if isinstance(error, kinds):
            return code
    if isinstance(error, OSError):
        # What concerns a file names it; what does not is a server that cannot be reached.
        return UNAVAILABLE if error.filename is None else REFUSED
    if isinstance(error, RuntimeError):
        # Temporal's client raises nothing more exact when it cannot connect.
        return UNAVAILABLE if type(error) is RuntimeError else REFUSED
    return None
