"""Programs in Go that tests build and run: they share no code with us.

Modules are those that a program's go.sum pins. Where Go is missing or its modules cannot be had, a user's machine skips
the test with the reason, and CI fails.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def not_here(reason: str) -> NoReturn:
    """Something is missing that a user's machine may lack."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def built(source: Path, directory: Path, oldest: tuple[int, int]) -> Path:
    """The program of a directory of Go, built into another one with a Go of at least this version."""
    go = shutil.which("go")
    if go is None:
        not_here("Go is not installed (Debian: apt install golang-go)")

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        return subprocess.run(
            [go, *arguments], cwd=source, env=environment, capture_output=True, text=True, check=False
        )

    version = run("env", "GOVERSION").stdout.strip().removeprefix("go")
    if tuple(int(part) for part in version.split(".")[:2]) < oldest:
        pytest.skip(f"the library needs Go {oldest[0]}.{oldest[1]}; this is Go {version}")
    fetched = run("mod", "download")
    if fetched.returncode:
        not_here(f"Go's modules cannot be had: {fetched.stderr.strip()[-300:]}")
    program = directory / source.name
    made = run("build", "-o", str(program), ".")
    assert made.returncode == 0, made.stderr
    return program
