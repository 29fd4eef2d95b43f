"""The plan's JSON Schema, for editors: `plans/plan.schema.json`, named in the first line of every plan.

An editor checks one value at a time. What needs more than one section is found by `xunji plan check`.
"""

import json
from typing import Any

from domain.plan import Plan

SCHEMA_ID = "plan.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_ID}"


def schema() -> dict[str, Any]:
    """The schema of a plan as it is written."""
    document = Plan.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **document}


def schema_text() -> str:
    """The committed file."""
    return json.dumps(schema(), ensure_ascii=False, indent=2) + "\n"
