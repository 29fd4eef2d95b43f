"""What goes in and out of the workflows: one input and one result per message, and the ids beside their inverse.

Nothing personal is in any of them: people are random ids, their fields are sealed before a command is formed.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from domain.decision import Actor, Refusal
from domain.numbers import parse_stream_name, stream_name

TASK_QUEUE = "xunji"
ProcessKind = Literal["trainee", "class", "campaign", "restriction", "quota"]
WORKFLOW_TYPES: dict[ProcessKind, str] = {
    "trainee": "Trainee",
    "class": "TrainingClass",
    "campaign": "Campaign",
    "restriction": "Restriction",
    "quota": "Quota",
}
MAILBOX_WORKFLOW_TYPE = "Mailbox"
BULLETINS_WORKFLOW_TYPE = "Bulletins"
REFUSED = "Refused"
"""The `type` of the ApplicationError that carries a refusal to the caller; its first detail is a `Refusal`."""


class WorkflowMessage(BaseModel):
    """A frozen message; a new field needs a default, so that old histories still replay."""

    model_config = ConfigDict(frozen=True)


def workflow_id(kind: str, number: str) -> str:
    """`trainee`, `zz22-410181-00123` → `trainee/zz22-410181-00123`: the stream's name, seen in the Temporal UI."""
    return stream_name(kind, number)


def parse_workflow_id(id_: str) -> tuple[str, str]:
    """The inverse of `workflow_id`. Raises ValueError."""
    return parse_stream_name(id_)


class ProcessStart(WorkflowMessage):
    """Start a process's workflow. `new` says that its stream is created by the Update that comes with the start."""

    number: str
    campaign: str
    new: bool = False


class CommandMessage(WorkflowMessage):
    """A command for a process, as the argument of the Update that has the command's name.

    The Update's id is the command's id. `body` is the command's fields as JSON; `digest` is the hex SHA-256 of what
    the caller sent, so that one id is never used for two contents. `expected_versions` are those of the stream on
    which the sender has decided; empty when any will do.
    """

    actor: Actor
    body: dict[str, Any]
    digest: str
    correlation_id: str = ""
    expected_versions: tuple[int, ...] = ()


class Receipt(WorkflowMessage):
    """What became of a command, and what the case waits for now.

    `wait_seconds` is the real time until `deadline`, given when the case keeps a timer of its own; `sequence` is the
    last ledger sequence of the append in the campaign's book; `reach` is what the process owes to trainees.
    """

    number: str
    version: int
    phase: str
    closed: bool
    deadline: datetime | None = None
    wait_seconds: float | None = None
    summary: str = ""
    waiting_for: str = ""
    attributes: dict[str, str] = {}
    reach: dict[str, Any] | None = None
    sequence: int = 0


class UpdateLedger(WorkflowMessage):
    """The input of the activity `update_ledger`: decide one command on one stream and append what follows."""

    kind: ProcessKind
    number: str
    campaign: str
    command: str
    command_id: UUID
    message: CommandMessage


class Outcome(WorkflowMessage):
    """The result of `update_ledger`: a receipt, or a refusal with every reason."""

    receipt: Receipt | None = None
    refusal: Refusal | None = None


class LoadCase(WorkflowMessage):
    """The input of the activity `load_case`: read a stream and say what it waits for."""

    kind: ProcessKind
    number: str
    campaign: str


class ReachTrainees(WorkflowMessage):
    """The input of the activity `reach_trainees`: send commands to every trainee that is found in certain phases."""

    campaign: str
    command_by_phase: dict[str, str]
    causation: str
    training_class: str = ""


class Reached(WorkflowMessage):
    """How many trainees were found, and how many of them the command still applied to."""

    found: int
    changed: int


class FillSeats(WorkflowMessage):
    """The input of the activity `fill_seats`: offer the free seats of a quota line to those who wait, in order."""

    campaign: str
    line: str


class SeatsFilled(WorkflowMessage):
    """How many seats were offered."""

    offered: int


class MailboxStart(WorkflowMessage):
    """Start the mailbox of an organisation; it drains the outbox in order and ends when nothing is left."""

    organisation: str
    attempt: int = 0


class DeliverBatch(WorkflowMessage):
    """The input of `deliver_batch`: an organisation's next notices, in order; `attempt` counts failures in a row."""

    organisation: str
    attempt: int = 0


class BatchResult(WorkflowMessage):
    """What `deliver_batch` did. `problem` names the failure that stopped it, without personal data.

    `problems` names every failing way. `paused` says by whom, when and why the mailbox was stopped. `held` notices wait
    for nothing but the end of the quiet hours: `held_until` in words, in `held_seconds` of real time.
    """

    delivered: int
    left: int
    problem: str = ""
    retry_after_seconds: float | None = None
    problems: tuple[str, ...] = ()
    paused: str = ""
    held: int = 0
    held_until: str = ""
    held_seconds: float | None = None


LONG_NUMBER = 7
"""So many digits in a row, spaces and hyphens aside, may be somebody's telephone or identity number."""


class MailboxCommand(WorkflowMessage):
    """What an operator tells a mailbox, from the Temporal UI or by the API: the argument of each of its Updates.

    Sent from the UI, only `reason` need be given (and what the Update is about). `reason` names nobody.
    """

    reason: str = Field(min_length=1, max_length=200)
    actor: str = Field(default="operator:temporal", min_length=1, max_length=400)
    command_id: UUID | None = None

    @field_validator("reason")
    @classmethod
    def _names_nobody(cls, reason: str) -> str:
        run = 0
        for character in reason:
            run = run + 1 if character.isdigit() else run if character in " -" else 0
            if run >= LONG_NUMBER:
                raise ValueError("the reason holds a long number: telephone and identity numbers have no place here")
        return reason


class SkipNotice(MailboxCommand):
    """The notice, by its id (`webhook-id`), is not sent any more."""

    notice: UUID


class Redeliver(MailboxCommand):
    """Notices are posted once more to an endpoint: one by its id, or those from `since` and before `before`.

    With `missing_only` those that the endpoint has taken are left out.
    """

    endpoint: str = Field(max_length=100)
    notice: UUID | None = None
    since: datetime | None = None
    before: datetime | None = None
    missing_only: bool = False


class MailboxOrder(WorkflowMessage):
    """The input of `carry_out_mailbox_order`: one command, under the id that makes a repetition harmless."""

    kind: Literal["pause", "resume", "skip", "redeliver"]
    organisation: str
    command_id: UUID
    actor: str
    reason: str
    notice: UUID | None = None
    endpoint: str = ""
    since: datetime | None = None
    before: datetime | None = None
    missing_only: bool = False


class MailboxAnswer(WorkflowMessage):
    """What became of an operator's command. `known` is false when what it is about is not there; `count` is how many
    notices it is about.
    """

    known: bool = True
    count: int = 0


class BulletinRun(WorkflowMessage):
    """What a run of the schedule did: campaigns looked at, and what was published (`campaign:period:version`)."""

    campaigns: int
    published: tuple[str, ...] = ()
