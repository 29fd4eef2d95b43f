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
        # A merged or cancelled class has nothing left to do but to tell its trainees.
        await self.while_in("reported", "merged", "cancelled")
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

    @workflow.update(name="postpone", description="Other dates (延期).")
    async def postpone(self, message: CommandMessage) -> Receipt:
        return await self.handle("postpone", message)

    @workflow.update(name="move", description="Another place (更换地点).")
    async def move(self, message: CommandMessage) -> Receipt:
        return await self.handle("move", message)

    @workflow.update(name="go-online", description="Online, or the rest of it (转为线上).")
    async def go_online(self, message: CommandMessage) -> Receipt:
        return await self.handle("go-online", message)

    @workflow.update(name="merge", description="Merge into another class (并班).")
    async def merge(self, message: CommandMessage) -> Receipt:
        return await self.handle("merge", message)

    @workflow.update(name="split", description="Some trainees go on in another class (分班).")
    async def split(self, message: CommandMessage) -> Receipt:
        return await self.handle("split", message)

    @workflow.update(name="cancel", description="The class is not held (取消).")
    async def cancel(self, message: CommandMessage) -> Receipt:
        return await self.handle("cancel", message)

    @workflow.update(name="change-capacity", description="More or fewer places.")
    async def change_capacity(self, message: CommandMessage) -> Receipt:
        return await self.handle("change-capacity", message)

    @workflow.update(name="set-timetable", description="Which sessions are held (课表).")
    async def set_timetable(self, message: CommandMessage) -> Receipt:
        return await self.handle("set-timetable", message)

    @workflow.update(name="record-duties", description="Hours and duties of the staff.")
    async def record_duties(self, message: CommandMessage) -> Receipt:
        return await self.handle("record-duties", message)
