"""docs/guide-for-hosts.md works as it is written: its blocks run in order against a real demo, and answer as shown."""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from embedded.child_processes import free_port
from tests.demo.runs import launch

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide-for-hosts.md"
TRANSLATION = ROOT / "docs" / "guide-for-hosts.zh-CN.md"
END_OF_BLOCK = "---- end of block ----"
ANYTHING = "…"
LAST_LINE = "Ctrl-C ends it."
# What the guide names as on a machine that is free; here others may have it.
API, RECEIVER, STATE, PYTHON = "http://127.0.0.1:8080", "9000", ".xunji/demo", ".venv/bin/python"


@dataclass(frozen=True)
class Step:
    """A block of commands, and what the guide shows of their output."""

    commands: str
    shown: tuple[tuple[str, str], ...]


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the content of each block of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)


def steps(text: str) -> list[Step]:
    found: list[Step] = []
    for language, content in blocks(text):
        if language == "sh":
            found.append(Step(content, ()))
        else:
            found[-1] = Step(found[-1].commands, (*found[-1].shown, (language, content)))
    return found


def check(language: str, shown: str, output: str) -> None:
    """What is shown must be in the output: lines in their order, or the fields of a document."""
    if language == "json":
        document, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
        check_part(json.loads(shown), document)
        return
    rest = output
    for line in shown.splitlines():
        found = re.search("^" + re.escape(line).replace(ANYTHING, ".*") + "\r?$", rest, re.M)
        assert found, f"{line!r} is not in\n{rest}"
        rest = rest[found.end() :]


def check_part(shown: Any, document: Any) -> None:
    match shown:
        case dict():
            assert isinstance(document, dict) and set(shown) <= set(document), (shown, document)
            for name, value in shown.items():
                check_part(value, document[name])
        case list():
            # What is shown of a list is its beginning; of plain texts, some of them.
            assert isinstance(document, list) and len(shown) <= len(document), (shown, document)
            if all(isinstance(value, str) for value in shown):
                assert set(shown) <= set(document), (shown, document)
            else:
                for value, item in zip(shown, document, strict=False):
                    check_part(value, item)
        case str() if ANYTHING in shown:
            assert isinstance(document, str | dict) and document, (shown, document)
        case _:
            assert shown == document, (shown, document)


@dataclass
class Stopped:
    """A demo that has stopped on a morning, and all that it has said."""

    state: Path
    said: str

    @property
    def address(self) -> str:
        (found,) = set(re.findall(r"^API docs +(\S+)/docs$", self.said, re.M))
        return str(found)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stopped(session_dir: Path) -> AsyncIterator[Stopped]:
    """The demo of the guide's first block, on a directory of its own and faster."""
    asked = re.search(r'^make demo DEMO="(.*)"$', steps(GUIDE.read_text(encoding="utf-8"))[0].commands, re.M)
    assert asked is not None
    state = session_dir / "guide"
    process = await launch(state, *shlex.split(asked[1]))
    assert process.stdout is not None
    said = ""
    while LAST_LINE not in said:
        line = (await process.stdout.readline()).decode()
        assert line, said
        said += line
    yield Stopped(state, said)
    process.send_signal(signal.SIGINT)
    await process.communicate()


def as_here(text: str, demo: Stopped, receiver_port: int) -> str:
    """The guide's commands with the addresses of this run."""
    return (
        text.replace(API, demo.address)
        .replace(RECEIVER, str(receiver_port))
        .replace(STATE, str(demo.state))
        .replace(PYTHON, sys.executable)
    )


async def run(script: str) -> list[str]:
    """The output of each block of a script, which one shell has run from top to bottom."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    output = (await process.communicate(script.encode()))[0].decode()
    assert process.returncode == 0, output
    return output.split(END_OF_BLOCK + "\n")[:-1]


async def test_every_step_of_the_guide_works(stopped: Stopped) -> None:
    first, *others = steps(GUIDE.read_text(encoding="utf-8"))
    for language, shown in first.shown:
        check(language, as_here(shown, stopped, 0).replace(f"{ANYTHING}{stopped.state}", ANYTHING), stopped.said)
    port = free_port()
    script = "set -euo pipefail\n" + "".join(f"{step.commands}\necho '{END_OF_BLOCK}'\n" for step in others)
    outputs = await run(as_here(script, stopped, port))
    assert len(outputs) == len(others)
    for step, output in zip(others, outputs, strict=True):
        for language, shown in step.shown:
            check(language, as_here(shown, stopped, port), output)


def test_the_translation_has_the_same_commands_and_answers() -> None:
    def without_comments(text: str) -> list[tuple[str, str]]:
        return [(language, re.sub(r" +# .*$", "", content, flags=re.M)) for language, content in blocks(text)]

    original, translation = (path.read_text(encoding="utf-8") for path in (GUIDE, TRANSLATION))
    assert without_comments(translation) == without_comments(original)
