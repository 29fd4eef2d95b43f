"""The whole description against the running app: whatever is sent, it answers as it says it would.

Schemathesis makes requests from docs/openapi.json, good and bad ones, follows its links from one operation to the next,
and holds every answer against it. Each operation is asked by an organisation that may. The same
requests come in every run; `XUNJI_SCHEMATHESIS_EXAMPLES` asks for more requests than the suite has time for.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from api.openapi import COMMITTED
from api.permissions import KeyRole
from docgen.permission_table import operations
from tests.api.front_door import API, BUREAU, COUNTY, HOST, ROLE_OF, SCHOOL
from tests.api.nominations import nominated
from tests.api.test_classes import planned
from tests.serving import served

EXAMPLES: Final = int(os.environ.get("XUNJI_SCHEMATHESIS_EXAMPLES", "2"))
PROGRAM: Final = Path(sys.executable).with_name("schemathesis")
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "ignored_auth",
)
REJECTIONS: Final = ["207", "400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "428", "429"]
"""How what is not right in itself may be answered; a wrong row does not keep the right ones from going through."""

APART: Final = ("advance_clock", "set_clock_speed", "revoke_key", "close_school", "disable_webhook_endpoint")
"""What would take time or keys away from all that comes after it."""

ASKED_BY: Final[dict[KeyRole, str]] = {ROLE_OF[each]: each for each in (BUREAU, COUNTY, SCHOOL, HOST)}


def configuration(api: API) -> str:
    """What Schemathesis runs with, as TOML."""
    return "\n".join(
        (
            "continue-on-failure = true",
            "warnings = false",
            f"generation = {{ max-examples = {EXAMPLES}, deterministic = true, unique-inputs = true }}",
            "[phases]",
            "examples = { enabled = false }",
            f"coverage = {{ enabled = {str(EXAMPLES > 2).lower()} }}",
            "[phases.stateful]",
            "max-steps = 5",
            "inference = { algorithms = [] }",
            f"generation = {{ max-examples = {10 * EXAMPLES} }}",
            "[checks]",
            "enabled = false",
            *(f"{each} = {{ enabled = true }}" for each in CHECKS),
            f"negative_data_rejection = {{ enabled = true, expected-statuses = {json.dumps(REJECTIONS)} }}",
            *_operations(api),
        )
    )


def _operations(api: API) -> Iterator[str]:
    for operation in APART:
        yield from ("[[operations]]", f'include-operation-id = "{operation}"', "enabled = false")
    for route in operations():
        if route.operation_id in APART:
            continue
        role = next(each for each in ASKED_BY if each in route.permission.open_to)
        key = json.dumps(f"Bearer {api.keys[ASKED_BY[role]]}")
        yield "[[operations]]"
        yield f"include-operation-id = {json.dumps(route.operation_id)}"
        yield f"headers = {{ Authorization = {key} }}"


async def run(api: API, address: str, place: Path) -> tuple[int, str]:
    """Run Schemathesis against the app: its exit code, and what it shows."""
    (place / "schemathesis.toml").write_text(configuration(api), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        f"--config-file={place / 'schemathesis.toml'}",
        "run",
        COMMITTED,
        f"--url={address}",
        env={**os.environ, "NO_COLOR": "1"},
        cwd=place,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


async def test_whatever_is_sent_is_answered_as_described(stack: API, tmp_path: Path) -> None:
    number, training_class = await nominated(stack), await planned(stack)
    await stack.seen()
    before: dict[str, Any] = (await stack.get(BUREAU, f"/v1/trainees/{number}")).json()
    async with served(stack.app) as address:
        code, shown = await run(stack, address, tmp_path)
    assert code == 0, shown[-30_000:]
    (tmp_path / "shown.txt").write_text(shown)
    assert (await stack.get(BUREAU, f"/v1/trainees/{number}")).json()["version"] >= before["version"]
    assert (await stack.get(HOST, f"/v1/classes/{training_class}")).status_code == 200
