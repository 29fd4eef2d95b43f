"""Workflow code must be deterministic: nothing in `workflows/` may read a clock, chance, a file or a network itself.

The workflows run without the SDK's sandbox (docs/decisions/0004), which would find this at run time; here it is
found before. The second test keeps the trap shut that made the sandbox crash: asyncpg must never be imported by a
workflow module, not even through another of ours.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"
ALLOWED_IMPORTS = {
    "asyncio",
    "collections",
    "collections.abc",
    "datetime",
    "domain.decision",
    "domain.numbers",
    "pydantic",
    "temporalio",
    "temporalio.common",
    "temporalio.exceptions",
    "typing",
    "uuid",
    "workflows.listing",
    "workflows.messages",
    "workflows.process",
}
FORBIDDEN_CALLS = {
    "asyncio.create_subprocess_exec",
    "asyncio.open_connection",
    "asyncio.sleep",
    "asyncio.to_thread",
    "asyncio.wait",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "date.today",
    "uuid1",
    "uuid4",
    "open",
    "input",
    "print",
}
FORBIDDEN_SETS = (ast.Set, ast.SetComp)


def problems_in(source: str, name: str) -> list[str]:
    """Every line of workflow source that could make a replay differ."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [
                    f"{name}:{node.lineno} imports {each.name}" for each in names if each.name not in ALLOWED_IMPORTS
                ]
            case ast.ImportFrom(module=module) if module not in ALLOWED_IMPORTS:
                found.append(f"{name}:{node.lineno} imports from {module}")
            case ast.Call(func=function) if ast.unparse(function) in FORBIDDEN_CALLS:
                found.append(f"{name}:{node.lineno} calls {ast.unparse(function)}")
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if isinstance(iterated, FORBIDDEN_SETS):
                found.append(f"{name} iterates over a set: its order is not fixed")
            case _:
                pass
    return found


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.py")), ids=lambda path: path.name)
def test_workflow_code_is_deterministic(path: Path) -> None:
    assert problems_in(path.read_text(encoding="utf-8"), path.name) == []


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from time import time",
        "from ledger.store import Ledger",
        "async def f():\n    await asyncio.sleep(1)",
        "x = datetime.now()",
        "for each in {1, 2}:\n    pass",
        "x = [each for each in {1, 2}]",
        "open('x')",
    ],
)
def test_the_lint_finds_what_it_looks_for(source: str) -> None:
    assert problems_in(source, "example")


def test_no_workflow_module_brings_in_asyncpg() -> None:
    modules = ", ".join(f"workflows.{path.stem}" for path in WORKFLOWS.glob("*.py") if path.stem != "__init__")
    found = "', '.join(m for m in ('asyncpg', 'ledger', 'fastapi') if m in sys.modules)"
    check = f"import sys, {modules}; sys.exit({found} or 0)"
    result = subprocess.run(
        [sys.executable, "-c", check], cwd=WORKFLOWS.parent, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
