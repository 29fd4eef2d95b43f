"""Every branch of every workflow of which a history must be kept, and where its run ends.

`tests/workflows/test_replay.py` replays them all and holds this list against the files, the workflows and their
Updates. `python -m tests.histories.record` plays the branches again and writes the files; see CONTRIBUTING.
"""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from temporalio.client import WorkflowHistory

DIRECTORY: Final = Path(__file__).parent
SUFFIX: Final = ".json.gz"
OPEN, CONTINUED, ENDED, NOTHING = "(still open)", "(continued as new)", "(ended)", "(ended without a case)"

BRANCHES: Final[dict[str, dict[str, str]]] = {
    "Trainee": {
        "trainee-completed": "closed",
        "trainee-corrected": OPEN,
        "trainee-refused": NOTHING,
        "trainee-without-stream": NOTHING,
        "trainee-rejected": "rejected",
        "trainee-lapsed": "rejected",
        "trainee-withdrawn": "withdrawn",
        "trainee-declined": "withdrawn",
        "trainee-excused": "excused",
        "trainee-absent": "absent",
        "trainee-dismissed": "dismissed",
        "trainee-not-completed": "not-completed",
        "trainee-follow-up-lapsed": "closed",
        "trainee-offer-declined": "withdrawn",
        "trainee-offer-lapsed": "rejected",
        "trainee-offer-accepted": "withdrawn",
        "trainee-substituted": "withdrawn",
        "trainee-substitute": OPEN,
        "trainee-impersonated": OPEN,
        "trainee-host-removed": OPEN,
        "trainee-class-changed": OPEN,
        "trainee-split-off": OPEN,
        "trainee-merged": OPEN,
        "trainee-frozen": "withdrawn",
        "trainee-woken-by-an-older-release": OPEN,
        "trainee-recovered": "closed",
        "trainee-ledger-away": "withdrawn",
        "trainee-ledger-failing": "withdrawn",
        "trainee-ledger-failing-in-an-older-release": "withdrawn",
        "trainee-continued-1": CONTINUED,
        "trainee-continued-2": "withdrawn",
    },
    "TrainingClass": {
        "class-run": "reported",
        "class-cancelled": "cancelled",
        "class-merged": "merged",
        "class-recovered": "cancelled",
    },
    "Campaign": {"campaign-closed": "closed"},
    "Restriction": {
        "restriction-recorded": "expired",
        "restriction-expired": "expired",
        "restriction-service-failed": CONTINUED,
        "restriction-bounced": CONTINUED,
        "restriction-dropped": "dropped",
        "restriction-reversed": "reversed",
    },
    "Quota": {
        "quota-delegated": "issued",
        "quota-returned": "issued",
        "quota-accepted": "issued",
        "quota-offer-lapsed": "issued",
        "quota-filled": "issued",
    },
    "Mailbox": {
        "mailbox-delivered": ENDED,
        "mailbox-redelivered": ENDED,
        "mailbox-paused": ENDED,
        "mailbox-held": ENDED,
        "mailbox-retried": ENDED,
        "mailbox-continued-1": CONTINUED,
        "mailbox-continued-2": ENDED,
    },
    "Bulletins": {"bulletins-published": ENDED, "bulletins-nothing-due": ENDED},
}


def names() -> list[str]:
    """Every history that must be there."""
    return [name for branches in BRANCHES.values() for name in branches]


def path_of(name: str) -> Path:
    return DIRECTORY / f"{name}{SUFFIX}"


def read(name: str) -> WorkflowHistory:
    """A recorded history."""
    content: dict[str, Any] = json.loads(gzip.decompress(path_of(name).read_bytes()))
    return WorkflowHistory.from_json(content.pop("workflowId"), content)


def write(name: str, history: WorkflowHistory) -> None:
    """Keep a history. The file holds no time of its own, so that the same history is the same file."""
    content = {"workflowId": history.workflow_id, **json.loads(history.to_json())}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    path_of(name).write_bytes(gzip.compress(text, mtime=0))
