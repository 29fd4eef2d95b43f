"""The committed description keeps to the rules of .ci/openapi-lint/ruleset.yaml. Skipped where Spectral is missing."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

import orjson
import pytest

from api.openapi import COMMITTED

PLACE: Final = Path(__file__).parent.parent.parent / ".ci" / "openapi-lint"
SPECTRAL: Final = shutil.which("spectral", path=str(PLACE / "node_modules" / ".bin")) or shutil.which("spectral")
SHOWN: Final = 20


@pytest.mark.skipif(SPECTRAL is None, reason="Spectral is missing: npm ci --prefix .ci/openapi-lint")
async def test_the_description_keeps_to_the_rules(tmp_path: Path) -> None:
    assert SPECTRAL is not None
    found = tmp_path / "found.json"
    process = await asyncio.create_subprocess_exec(
        SPECTRAL,
        "lint",
        COMMITTED,
        f"--ruleset={PLACE / 'ruleset.yaml'}",
        "--format=json",
        f"--output={found}",
        "--quiet",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert found.exists(), output.decode(errors="replace")
    faults = [
        f"{each['code']}: {each['message']} at {'/'.join(each['path'])}" for each in orjson.loads(found.read_bytes())
    ]
    assert not faults, faults[:SHOWN]
