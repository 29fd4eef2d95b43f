"""Every recorded history replays on today's workflows: a case that began under an older release goes on under this one.

The histories are real runs of every branch (`tests/histories/branches.py` lists them). That a replay can fail is shown
too, and that no changed rule is a reason for it.
"""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory

from activities.processes import PROCESSES
from domain.decision import Command, Context, Decision, Refusal
from domain.refusals import refuse
from settings import Settings
from temporal_client import data_converter
from tests.clear_text import found_in
from tests.histories import replaying
from tests.histories.branches import BRANCHES, CONTINUED, DIRECTORY, ENDED, NOTHING, OPEN, SUFFIX, names, read
from tests.histories.replaying import problems
from tests.histories.stage import TEACHER
from tests.workflows.conftest import COUNTY, SCHOOL, CoreFactory, Refused, SetClock, at, nomination, open_campaign
from worker import WORKFLOWS, workflow_runner
from workflows.messages import Receipt, workflow_id
from workflows.process import READ_WHEN_WOKEN

ROOT = Path(__file__).resolve().parents[2]
FILES_MAX_BYTES = 1024 * 1024
ENDS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: ENDED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: CONTINUED,
}


def runner() -> Any:
    """What the worker runs workflows in unless it is told otherwise."""
    return workflow_runner(Settings.model_fields["workflow_runner"].default)


def updates_of(history: WorkflowHistory) -> list[str]:
    """The names of the Updates that were accepted."""
    return [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    ]


def begun_as(history: WorkflowHistory) -> str:
    """The workflow type."""
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def end_of(history: WorkflowHistory) -> str:
    """How the run ended: the phase of the last receipt, or one of the words of `branches.py`."""
    last = history.events[-1]
    end = ENDS.get(last.event_type, OPEN)
    payloads = last.workflow_execution_completed_event_attributes.result.payloads
    if end != ENDED or begun_as(history) in ("Mailbox", "Bulletins"):
        return end
    receipt = data_converter.payload_converter.from_payloads(payloads, [Receipt])[0]
    return receipt.phase if isinstance(receipt, Receipt) else NOTHING


# ------------------------------------------------------------------------------------------------------- the files


def test_there_is_a_history_of_every_branch_and_no_other() -> None:
    assert sorted(path.name.removesuffix(SUFFIX) for path in DIRECTORY.glob(f"*{SUFFIX}")) == sorted(names())
    assert set(WORKFLOWS) == set(replaying.WORKFLOWS)
    assert set(BRANCHES) == {str(workflow._Definition.must_from_class(each).name) for each in WORKFLOWS}


@pytest.mark.parametrize("kind", BRANCHES)
def test_a_history_is_what_its_name_says(kind: str) -> None:
    for name, end in BRANCHES[kind].items():
        assert (begun_as(read(name)), end_of(read(name))) == (kind, end), name


@pytest.mark.parametrize("definition", WORKFLOWS, ids=lambda each: each.__name__)
def test_every_update_of_every_workflow_stands_in_a_history(definition: type) -> None:
    known = workflow._Definition.must_from_class(definition)
    sent = Counter(update for name in BRANCHES[str(known.name)] for update in updates_of(read(name)))
    assert set(sent) == {str(each) for each in known.updates}


def test_the_histories_hold_both_sides_of_the_patch() -> None:
    marked = {name for name in BRANCHES["Trainee"] if READ_WHEN_WOKEN in _patches(read(name))}
    assert marked == {"trainee-frozen", "trainee-continued-1"}
    woken = read("trainee-woken-by-an-older-release").events
    assert any(each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED for each in woken)


def _patches(history: WorkflowHistory) -> str:
    return " ".join(
        str(each.marker_recorded_event_attributes.details)
        for each in history.events
        if each.marker_recorded_event_attributes.marker_name == "core_patch"
    )


def test_no_history_names_the_teacher_whose_fields_were_sealed_into_it() -> None:
    seen = 0
    for name in names():
        text = read(name).to_json().encode()
        assert found_in(text, TEACHER.values()) == [], name
        seen += b"sealed" in text or bool(found_in(text, ["sealed"]))
    assert seen > len(BRANCHES["Trainee"]) / 2, "the sealed fields are in them"
    assert found_in(read("trainee-completed").to_json().encode(), ["410181-s01"]), "what stands in clear is found"


def test_the_histories_stay_small() -> None:
    assert sum(path.stat().st_size for path in DIRECTORY.glob(f"*{SUFFIX}")) <= FILES_MAX_BYTES


# ------------------------------------------------------------------------------------------------------ the replays


async def test_every_history_replays() -> None:
    assert await problems(WORKFLOWS, names(), runner()) == {}


def refuses(state: object, command: Command, context: Context[Any]) -> Decision | Refusal:
    """A rule under which nothing is allowed any more."""
    return refuse("not_your_part", roles="nobody")


async def test_a_changed_rule_breaks_no_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan says otherwise, and every decision comes out otherwise: what has happened stays what it was."""
    asked: list[str] = []

    def other(state: object, command: Command, context: Context[Any]) -> Decision | Refusal:
        asked.append(command.name)
        return refuses(state, command, context)

    for kind, process in PROCESSES.items():
        monkeypatch.setitem(PROCESSES, kind, _with(process, other))
    assert await problems(WORKFLOWS, names(), runner()) == {}
    assert asked == []


def _with(process: Any, decide: Any) -> Any:
    return replace(process, decide=decide)


def test_a_replay_needs_no_rule_at_all() -> None:
    """In a process of its own, in which neither the domain's rules nor the activities nor the ledger are loaded."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.histories.replaying"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{len(names())} replayed, rules imported: []\n"), done.stderr


async def test_a_rule_that_changes_while_a_case_runs_holds_from_the_next_command_on(
    temporal_client: Client, core_on: CoreFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing cached, each command replays all that was decided by the old rule before the new one decides."""
    clock = SetClock(at(8, 26))
    async with core_on(temporal_client, clock, max_cached_workflows=0) as core:
        await open_campaign(core)
        number = core.number("t1")
        await core.send("trainee", number, "nominate", SCHOOL, nomination(), new=True)
        await core.send("trainee", number, "return", COUNTY, {"reason": "the form"})
        with monkeypatch.context() as patch:
            patch.setitem(PROCESSES, "trainee", _with(PROCESSES["trainee"], refuses))
            with pytest.raises(Refused) as refused:
                await core.send("trainee", number, "resubmit", SCHOOL)
            assert refused.value.code == "not_your_part"
        assert (await core.send("trainee", number, "resubmit", SCHOOL)).version == 3
        history = await temporal_client.get_workflow_handle(workflow_id("trainee", number)).fetch_history()
    failed = [each for each in history.events if each.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    assert failed == []


# ------------------------------------------------------------------------------------------- that a replay can fail


async def test_a_workflow_that_waits_a_moment_longer_is_found_in_every_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer before each activity is one command more than was recorded."""
    for kind in ("execute_activity", "execute_local_activity"):
        monkeypatch.setattr(workflow, kind, _slower(getattr(workflow, kind)))
    found = await problems(WORKFLOWS, names(), runner())
    assert sorted(found) == sorted(names())
    assert all("ondeterminis" in each for each in found.values()), found


def _slower(execute: Any) -> Any:
    async def later(*arguments: Any, **named: Any) -> Any:
        await workflow.sleep(timedelta(seconds=1))
        return await execute(*arguments, **named)

    return later


async def test_an_update_that_was_renamed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a running case was told yesterday must be understood tomorrow."""
    definition = workflow._Definition.must_from_class(WORKFLOWS[0])
    handlers = dict(definition.updates)
    monkeypatch.setitem(definition.updates, "withdraw-nomination", handlers["withdraw"])
    monkeypatch.delitem(definition.updates, "withdraw")
    assert "trainee-withdrawn" in await problems(WORKFLOWS, names(), runner())
