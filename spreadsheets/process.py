"""Reading and writing files without holding up the process that asks: each in a child of its own.

The child is `spreadsheets.child`. Nothing is written to a disk: content goes through pipes.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from spreadsheets.errors import SpreadsheetError
from spreadsheets.table import Headings, Table
from spreadsheets.writing import Format, Sheet

TIMEOUT_S: Final = 60.0
CHILDREN: Final = 2
"""Files that are read or written at once by one process; the others wait."""

_ROOT: Final = Path(__file__).parent.parent
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV")


class SpreadsheetProcesses:
    """Children of one process, at most CHILDREN at once. `timeout_s` is how long each may take."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._turns = asyncio.Semaphore(CHILDREN)
        self._timeout_s = timeout_s

    async def read(self, content: bytes, headings: Headings, max_rows: int) -> Table:
        """The table in a file. Raises SpreadsheetError, also when the file brought its reader down."""
        answer = await self._run("read", {"headings": headings.as_json(), "max_rows": max_rows}, content)
        data: dict[str, Any] = orjson.loads(answer)
        if "error" in data:
            raise SpreadsheetError(**data["error"])
        return Table.from_json(data["table"])

    async def write(self, format_: Format, sheet: Sheet, delimiter: str = ",") -> bytes:
        """The sheet as a file."""
        task = {"format": format_, "delimiter": delimiter}
        return await self._run("write", task, orjson.dumps(sheet.as_json()))

    async def _run(self, what: str, task: dict[str, Any], content: bytes) -> bytes:
        async with self._turns:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "spreadsheets.child",
                what,
                cwd=_ROOT,
                env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # A traceback may repeat a cell, so nobody reads it.
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer, _ = await process.communicate(orjson.dumps(task) + b"\n" + content)
            except TimeoutError:
                raise SpreadsheetError("file_took_too_long") from None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if process.returncode != 0:
            raise SpreadsheetError("file_unreadable")
        return answer
