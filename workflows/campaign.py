"""The workflow of a campaign: the cut-offs and reminders that thousands of cases share."""

from typing import ClassVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.messages import CommandMessage, ProcessKind, ProcessStart, Receipt
    from workflows.process import ProcessWorkflow


@workflow.defn(name="Campaign")
class CampaignWorkflow(ProcessWorkflow):
    """A campaign from its opening to its bulletins."""

    kind: ClassVar[ProcessKind] = "campaign"

    @workflow.init
    def __init__(self, start: ProcessStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: ProcessStart) -> Receipt | None:
        """From the opening to the closing."""
        await self.open()
        await self.while_in("selecting")
        await self.while_in("training")
        await self.while_in("closed")
        await self.finish()
        return self._receipt

    @workflow.query(description="The last receipt: version, phase, deadline and what is waited for.")
    def case(self) -> Receipt | None:
        return self._receipt

    @workflow.update(name="open", description="Open the campaign by its plan.")
    async def open_campaign(self, message: CommandMessage) -> Receipt:
        return await self.handle("open", message)

    @workflow.update(name="reopen", description="Reopen the selection for one county (补报).")
    async def reopen(self, message: CommandMessage) -> Receipt:
        return await self.handle("reopen", message)

    @workflow.update(name="remove-host", description="Remove a host, with one that takes over (取消承训资格).")
    async def remove_host(self, message: CommandMessage) -> Receipt:
        return await self.handle("remove-host", message)
