"""The workflow of a class: its dates, its reminders, and reaching its trainees after check-in."""

from typing import ClassVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.messages import CommandMessage, ProcessKind, ProcessStart, Receipt
    from workflows.process import ProcessWorkflow


@workflow.defn(name="TrainingClass")
class TrainingClassWorkflow(ProcessWorkflow):
    """A class from its plan to its report; its one timer serves all its trainees."""

    kind: ClassVar[ProcessKind] = "class"

    @workflow.init
    def __init__(self, start: ProcessStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: ProcessStart) -> Receipt | None:
        """From the plan to the report."""
        await self.open()
        await self.while_in("planned", "announced")
        await self.while_in("registration-open")
        await self.while_in("running", "closed")
        await self.finish()
        return self._receipt

    @workflow.query(description="The last receipt: version, phase, deadline and what is waited for.")
    def case(self) -> Receipt | None:
        return self._receipt

    @workflow.update(name="plan", description="The host plans the class.")
    async def plan(self, message: CommandMessage) -> Receipt:
        return await self.handle("plan", message)

    @workflow.update(name="announce", description="The host announces time and place.")
    async def announce(self, message: CommandMessage) -> Receipt:
        return await self.handle("announce", message)

    @workflow.update(name="confirm-check-in", description="The host closes and confirms its check-in list.")
    async def confirm_check_in(self, message: CommandMessage) -> Receipt:
        return await self.handle("confirm-check-in", message)

    @workflow.update(name="report", description="Every outcome is in.")
    async def report(self, message: CommandMessage) -> Receipt:
        return await self.handle("report", message)
