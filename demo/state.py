"""What the demo keeps in its state directory between two starts: which run it is, and the organisations' secrets."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from embedded.child_processes import StackError

RUN_FILE: Final = "demo.json"
KEYS_FILE: Final = "demo-keys.json"
REPORT_FILE: Final = "demo-report.json"
OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Run:
    """A run: so many nominations from a seed, in a story, under a plan. Everything in it follows from these.

    `plan` is the plan's file, empty for that of the notice. `webhook_port` is where its hosts' endpoints are; 0 before
    the first start.
    """

    trainees: int
    seed: int
    webhook_port: int = 0
    scenario: str = "usual"
    plan: str = ""

    @property
    def name(self) -> str:
        """Its name within Idempotency-Keys. The plan is in it by the numbers that the keys' requests hold."""
        return f"{self.seed}/{self.trainees}" + ("" if self.scenario == "usual" else f"/{self.scenario}")

    @property
    def options(self) -> str:
        """What asks for it on the command line."""
        words = f"--trainees {self.trainees} --seed {self.seed}"
        words += "" if self.scenario == "usual" else f" --scenario {self.scenario}"
        return words + (f" --plan {self.plan}" if self.plan else "")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of a run; None is whatever the directory holds, or the default."""

    trainees: int | None = None
    seed: int | None = None
    scenario: str | None = None
    plan: str | None = None


def chosen_run(directory: Path, asked: Asked, default: Run) -> Run:
    """The run that the directory holds, else a new one. Raises StackError when another one was asked for."""
    path = directory / RUN_FILE
    said = {name: value for name, value in asdict(asked).items() if value is not None}
    if not path.exists():
        run = replace(default, **said)
        write_private(path, asdict(run))
        return run
    run = Run(**read(path))
    if run != replace(run, **said):
        raise StackError(
            f"{directory} holds a run with {run.options}.",
            "Leave these options out to go on with it, or choose another directory (--state DIR).",
        )
    return run


def with_webhook_port(directory: Path, run: Run, port: int) -> Run:
    """The same run with its endpoints on another port, kept for the next start."""
    moved = replace(run, webhook_port=port)
    write_private(directory / RUN_FILE, asdict(moved))
    return moved


class KeyFile:
    """The secrets that organisations were given, in the file `path`, which only its owner may read."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / KEYS_FILE
        self._secrets: dict[str, str] = read(self.path) if self.path.exists() else {}

    def get(self, name: str) -> str | None:
        """The secret of this name, None if there is none yet."""
        return self._secrets.get(name)

    def put(self, secrets: dict[str, str]) -> None:
        """Keep more secrets; they are on the disk when this returns."""
        if secrets:
            self._secrets |= secrets
            write_private(self.path, self._secrets)


def read(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises StackError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StackError(
            f"{path} is not what the demo wrote: {error}.", "Choose another directory (--state DIR)."
        ) from error
    assert isinstance(value, dict), f"{path} holds an object"
    return value


def write_private(path: Path, value: object) -> None:
    """Replace the file in one step; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        output.write(as_text(value))
        output.flush()
        os.fsync(output.fileno())
    draft.replace(path)


def as_text(value: object) -> str:
    """JSON for a person to read."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
