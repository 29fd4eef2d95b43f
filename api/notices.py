"""What a notice looks like, posted or pulled, and the `webhooks` section of the API's description.

The types and their words stand in one file, from which mails are written too. It is read as text: the API calls
nothing of the activities.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from pydantic import BaseModel, Field

WORDS: Final = Path(__file__).parent.parent / "activities" / "templates" / "words.yaml"
_HEADERS: Final = (
    ("webhook-id", "The notice's id, the same in every attempt and in the feed.", "string"),
    ("webhook-timestamp", "When this attempt was made, in seconds since 1970.", "integer"),
    (
        "webhook-signature",
        "`v1,` and the base64 HMAC-SHA256; several, separated by spaces, during a rotation.",
        "string",
    ),
)


class NoticeOut(BaseModel):
    """A notice as it was posted, with its id, which is the `webhook-id` header there."""

    id: str
    type: str = Field(examples=["trainee.selected"])
    timestamp: datetime = Field(description="When it happened.")
    data: dict[str, Any] = Field(description="References and dates; nothing personal.")


def notice_of(row: Any) -> NoticeOut | None:
    """A row of the outbox as a notice; None for one that cannot be read."""
    try:
        data = orjson.loads(row["body"]).get("data", {})
    except (AttributeError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    return NoticeOut(id=str(row["id"]), type=row["topic"], timestamp=row["created_at"].astimezone(UTC), data=data)


@cache
def notice_types() -> dict[str, dict[str, str]]:
    """Every type with its words: `zh` and `en`."""
    words: dict[str, dict[str, str]] = yaml.safe_load(WORDS.read_text(encoding="utf-8"))["notices"]
    return words


def notice_schema() -> dict[str, Any]:
    """The schema of a webhook's body."""
    return {
        "title": "Notice",
        "description": "A Standard Webhooks payload. It is thin: read what you may see through the API.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "examples": ["trainee.selected"]},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": {
                "type": "object",
                "description": "References and dates; nothing personal.",
                "additionalProperties": True,
            },
        },
        "required": ["type", "timestamp", "data"],
    }


def webhooks_described() -> dict[str, Any]:
    """The `webhooks` section: one entry per type of notice."""
    return {type_: {"post": _operation(type_, words)} for type_, words in notice_types().items()}


def _operation(type_: str, words: dict[str, str]) -> dict[str, Any]:
    return {
        "operationId": f"on_{type_.replace('.', '_')}",
        "tags": ["webhooks"],
        "summary": words["en"],
        "description": f"{words['zh']}\n\nSigned by Standard Webhooks 1.0; see `docs/webhooks.md`.",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": kind},
            }
            for name, description, kind in _HEADERS
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Notice"},
                            {"type": "object", "properties": {"type": {"const": type_}}},
                        ]
                    }
                }
            },
        },
        "responses": {
            "2XX": {"description": "Taken. Anything else, redirects included, is a failure and is tried again."},
            "410": {"description": "Nothing more is wanted: the endpoint is disabled."},
        },
    }
