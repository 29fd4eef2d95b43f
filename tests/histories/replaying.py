"""Replaying recorded histories as the worker would run them.

`python -m tests.histories.replaying` replays everything and fails when one of the domain's rules, an activity or the
ledger was so much as imported for it: what a workflow does follows from its history alone.
"""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner

from temporal_client import data_converter
from tests.histories.branches import names, read
from workflows.bulletins import Bulletins
from workflows.campaign import CampaignWorkflow
from workflows.mailbox import Mailbox
from workflows.quota import QuotaWorkflow
from workflows.restriction import RestrictionWorkflow
from workflows.trainee import TraineeWorkflow
from workflows.training_class import TrainingClassWorkflow

WORKFLOWS: Final = (
    TraineeWorkflow,
    TrainingClassWorkflow,
    CampaignWorkflow,
    RestrictionWorkflow,
    QuotaWorkflow,
    Mailbox,
    Bulletins,
)
"""The worker's, without the worker: importing it would bring in everything."""
RULES: Final = ("domain", "ledger", "activities", "projections", "services", "api", "worker")
NO_RULES: Final = frozenset({"domain", "domain.decision", "domain.numbers"})
"""The messages' types, and how numbers are built: neither decides anything."""


async def problems(workflows: Sequence[type], named: Iterable[str], runner: WorkflowRunner) -> dict[str, str]:
    """Replay the named histories by these workflows: what is wrong with each that does not replay."""
    replayer = Replayer(workflows=workflows, data_converter=data_converter, workflow_runner=runner)
    found: dict[str, str] = {}
    for name in named:
        result = await replayer.replay_workflow(read(name), raise_on_replay_failure=False)
        if result.replay_failure is not None:
            found[name] = str(result.replay_failure)
    return found


def rules_imported() -> list[str]:
    """The modules of rules that this process has loaded."""
    return sorted(each for each in sys.modules if each.partition(".")[0] in RULES and each not in NO_RULES)


def main() -> int:
    """Replay everything in this process."""
    found = asyncio.run(problems(WORKFLOWS, names(), UnsandboxedWorkflowRunner()))
    for name, problem in found.items():
        sys.stderr.write(f"{name}: {problem}\n")
    sys.stdout.write(f"{len(names()) - len(found)} replayed, rules imported: {rules_imported()}\n")
    return 1 if found or rules_imported() else 0


if __name__ == "__main__":
    sys.exit(main())
