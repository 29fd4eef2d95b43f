"""The workflow of a restriction: service, the objection window, and three years on one timer."""

from typing import ClassVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.messages import CommandMessage, ProcessKind, ProcessStart, Receipt
    from workflows.process import ProcessWorkflow


@workflow.defn(name="Restriction")
class RestrictionWorkflow(ProcessWorkflow):
    """A restriction from its proposal to its end."""

    kind: ClassVar[ProcessKind] = "restriction"

    @workflow.init
    def __init__(self, start: ProcessStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: ProcessStart) -> Receipt | None:
        """From the proposal to the day it ends."""
        await self.open()
        await self.while_in("proposed")
        await self.while_in("served", "objected")
        await self.while_in("imposed")
        await self.finish()
        return self._receipt

    @workflow.query(description="The last receipt: version, phase, deadline and what is waited for.")
    def case(self) -> Receipt | None:
        return self._receipt

    @workflow.update(name="record", description="Enter an earlier restriction from its document.")
    async def record(self, message: CommandMessage) -> Receipt:
        return await self.handle("record", message)

    @workflow.update(name="serve", description="The notice reaches the teacher (送达).")
    async def serve(self, message: CommandMessage) -> Receipt:
        return await self.handle("serve", message)

    @workflow.update(name="object", description="File the teacher's objection (异议).")
    async def object_(self, message: CommandMessage) -> Receipt:
        return await self.handle("object", message)

    @workflow.update(name="impose", description="Decide for the restriction, with reasons.")
    async def impose(self, message: CommandMessage) -> Receipt:
        return await self.handle("impose", message)

    @workflow.update(name="drop", description="Decide against the restriction, with reasons.")
    async def drop(self, message: CommandMessage) -> Receipt:
        return await self.handle("drop", message)

    @workflow.update(name="object-by-link", description="The teacher objects himself, through his signed link (异议).")
    async def object_by_link(self, message: CommandMessage) -> Receipt:
        return await self.handle("object-by-link", message)

    @workflow.update(name="fail-service", description="The notice did not reach the teacher (未能送达).")
    async def fail_service(self, message: CommandMessage) -> Receipt:
        return await self.handle("fail-service", message)

    @workflow.update(name="record-bounce", description="The mail that was to serve the notice came back (退信).")
    async def record_bounce(self, message: CommandMessage) -> Receipt:
        return await self.handle("record-bounce", message)

    @workflow.update(name="waive", description="Let the teacher be nominated once in spite of it (豁免).")
    async def waive(self, message: CommandMessage) -> Receipt:
        return await self.handle("waive", message)

    @workflow.update(name="reverse", description="Take the decision back (撤销限制).")
    async def reverse(self, message: CommandMessage) -> Receipt:
        return await self.handle("reverse", message)
