"""The process that reads or writes one file and ends: `python -m spreadsheets.child read|write`.

Standard input is one line of JSON and then the content; standard output is the answer. What a file does to it, it does
to nobody else: its memory is bounded, it yields to the processes that answer people, and its parent ends it in time.
"""

import os
import resource
import sys
from typing import Any, Final

import orjson

from spreadsheets.errors import SpreadsheetError
from spreadsheets.reading import read_table
from spreadsheets.table import Headings
from spreadsheets.writing import Sheet, written

MEMORY_BYTES: Final = 1024 * 1024 * 1024
NICENESS: Final = 10


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # No dump of memory with personal data.
    os.nice(NICENESS)
    task: dict[str, Any] = orjson.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read()
    answer = _read(task, content) if sys.argv[1] == "read" else _write(task, content)
    sys.stdout.buffer.write(answer)


def _read(task: dict[str, Any], content: bytes) -> bytes:
    try:
        table = read_table(content, Headings.from_json(task["headings"]), task["max_rows"])
    except SpreadsheetError as error:
        return orjson.dumps({"error": {"code": error.code, "names": error.names, "row": error.row}})
    return orjson.dumps({"table": table.as_json()})


def _write(task: dict[str, Any], content: bytes) -> bytes:
    return written(task["format"], Sheet.from_json(orjson.loads(content)), task["delimiter"])


if __name__ == "__main__":
    main()
