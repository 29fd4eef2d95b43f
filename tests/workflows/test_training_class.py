"""A class's workflow on real parts: changes reach its trainees, also backwards, after a loss, and in a replay."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from domain.training_class import ClassCancelled
from ledger.types import Append, Appended, NewEvent, StreamWrite
from temporal_client import data_converter
from tests.workflows.conftest import HOST, SCHOOL, Core, CoreFactory, SetClock, at, open_campaign, until
from tests.workflows.test_trainee import plan_class, select
from workflows.messages import Receipt, workflow_id
from workflows.training_class import TrainingClassWorkflow

LATER = {"starts": "2022-11-14", "ends": "2022-11-20", "reason": "疫情"}


async def confirmed(core: Core, clock: SetClock, training_class: str) -> str:
    """A trainee who has said that he will come to the class."""
    number = core.number("t1")
    await select(core, clock, number)
    await plan_class(core, clock, training_class)
    await core.send("trainee", number, "enroll", HOST, {"training_class": training_class})
    await core.send("trainee", number, "confirm", SCHOOL)
    return number


def last_event(core: Core, kind: str, number: str, type_: str) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return (await core.events(kind, number))[-1] == type_

    return reached


async def test_a_class_that_steps_back_to_new_dates_goes_on_and_takes_its_trainees_along(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number = core.number("c1")
        trainee = await confirmed(core, clock, number)
        handle = temporal_client.get_workflow_handle(workflow_id("class", number))
        clock.at = at(10, 10)
        await handle.signal("wake")
        await until(last_event(core, "class", number, "class.registration_opened"))
        receipt = await core.send("class", number, "postpone", HOST, LATER)
        assert (receipt.phase, receipt.reach is not None) == ("announced", True)
        await until(last_event(core, "class", number, "class.change_told"))
        assert (await core.events("trainee", trainee))[-1] == "trainee.class_changed"
        clock.at = at(11, 14)
        await handle.signal("wake")
        await until(last_event(core, "class", number, "class.registration_opened"))
        await core.send("class", number, "cancel", HOST, {"reason": "疫情"})
        assert (await handle.result()) is not None
        assert (await core.events("class", number))[-2:] == ["class.cancelled", "class.change_told"]
        assert (await core.events("trainee", trainee))[-1] == "trainee.place_lost"
        counter = await core.ledger.counter(f"class-seat:{number}")
        assert counter.used == 0


async def test_changes_one_after_the_other_are_all_told(temporal_client: Client, core_on: CoreFactory) -> None:
    clock = SetClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number = core.number("c1")
        trainee = await confirmed(core, clock, number)
        await core.send("class", number, "postpone", HOST, LATER)
        for place in ("B", "C"):
            await core.send("class", number, "move", HOST, {"place": place, "reason": "疫情"})
        handle = temporal_client.get_workflow_handle(workflow_id("class", number))

        async def all_told() -> bool:
            receipt = await handle.query("case", result_type=Receipt)
            return receipt.reach is None

        await until(all_told)
        stream = await core.ledger.read_stream(core.book, f"trainee/{trainee}")
        seen = [each.data["revision"] for each in stream if each.type == "trainee.class_changed"]
        assert seen == sorted(set(seen)), "each change is followed once"
        assert seen[-1] == 3
        told = [each.data for each in await core.ledger.read_stream(core.book, f"class/{number}")][-1]
        assert (told["revision"], told["left"]) == (3, 0)


async def test_what_a_lost_class_still_owes_is_paid_when_it_is_started_again(
    temporal_client: Client, core_on: CoreFactory
) -> None:
    clock = SetClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number = core.number("c1")
        trainee = await confirmed(core, clock, number)
        handle = temporal_client.get_workflow_handle(workflow_id("class", number))
        await handle.terminate("lost with its cluster")
        cancelled = ClassCancelled(by="host:h001", reason="疫情")
        version = len(await core.events("class", number))
        write = StreamWrite(
            core.book, f"class/{number}", version, (NewEvent(cancelled.type, cancelled.model_dump(mode="json")),)
        )
        appended = await core.ledger.append(Append(uuid4(), b"\0" * 32, "host:h001", (write,), recorded_at=clock.at))
        assert isinstance(appended, Appended)
        await core.start("class", number)
        await until(last_event(core, "trainee", trainee, "trainee.place_lost"))
        await until(last_event(core, "class", number, "class.change_told"))


async def test_a_history_with_changes_replays(temporal_client: Client, core_on: CoreFactory) -> None:
    clock = SetClock(at(8, 25))
    async with core_on(temporal_client, clock) as core:
        await open_campaign(core)
        number = core.number("c1")
        await confirmed(core, clock, number)
        await core.send("class", number, "postpone", HOST, LATER)
        await until(last_event(core, "class", number, "class.change_told"))
        await core.send("class", number, "cancel", HOST, {"reason": "疫情"})
        handle = temporal_client.get_workflow_handle(workflow_id("class", number))
        await handle.result()
        history = await handle.fetch_history()
    replayer = Replayer(
        workflows=[TrainingClassWorkflow],
        data_converter=data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(history)
