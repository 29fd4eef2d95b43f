"""The workflow of a quota line: commands, windows of offers, and free seats to those who wait.

    woken or changed ─► offer every free seat ─┬─► an offer to another recipient is open: wait for its window
                             ▲                 └─► nothing to wait for: ended (the next freed seat starts it again)
                             └──────────────────────────────┘

Who waits and in which order is the ledger's knowledge; there is one such workflow per line, so seats are offered one
after the other. It can be lost at any moment: `recover` wakes the line of everybody who waits.
"""

from typing import ClassVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.numbers import parse_quota_number
    from workflows.messages import CommandMessage, FillSeats, ProcessKind, ProcessStart, Receipt, SeatsFilled
    from workflows.process import REACH_HEARTBEAT, REACH_TIMEOUT, REMOTE_RETRY, ProcessWorkflow


@workflow.defn(name="Quota")
class QuotaWorkflow(ProcessWorkflow):
    """A quota line for as long as something about it is under way."""

    kind: ClassVar[ProcessKind] = "quota"

    @workflow.init
    def __init__(self, start: ProcessStart) -> None:
        super().__init__(start)
        # Whatever has started the workflow may have freed a seat.
        self._seats_may_be_free = True

    @workflow.signal(name="wake", description="A seat of this line was freed, or a window has ended.")
    def wake(self) -> None:
        self._woken = True
        self._seats_may_be_free = True

    @workflow.run
    async def run(self, start: ProcessStart) -> Receipt | None:
        """Until no offer is open and every free seat was offered to whoever waits."""
        await self.open()
        while self._has_work() and not workflow.info().is_continue_as_new_suggested():
            if self._seats_may_be_free:
                self._seats_may_be_free = False
                await self._fill_seats()
            else:
                # For the window of the next offer, or for anything that changes the line.
                await self._wait(("offering",))
            await workflow.wait_condition(workflow.all_handlers_finished)
        await self.finish()
        return self._receipt

    def _has_work(self) -> bool:
        return self._receipt is not None and (self._seats_may_be_free or not self._closed)

    async def _fill_seats(self) -> None:
        campaign, line = parse_quota_number(self._start.number)
        await workflow.execute_activity(
            "fill_seats",
            FillSeats(campaign=campaign, line=line),
            result_type=SeatsFilled,
            start_to_close_timeout=REACH_TIMEOUT,
            heartbeat_timeout=REACH_HEARTBEAT,
            retry_policy=REMOTE_RETRY,
            summary=f"offer the free seats of {line}",
        )

    async def change(self, command: str, message: CommandMessage) -> Receipt:
        """Handle a command that may leave seats free."""
        receipt = await self.handle(command, message)
        self._seats_may_be_free = True
        # `_wait` looks at what is woken; the case itself may look as before.
        self._woken = True
        return receipt

    @workflow.query(description="The last receipt: version, phase, deadline and what is waited for.")
    def case(self) -> Receipt | None:
        return self._receipt

    @workflow.update(name="delegate", description="Hand seats down to an organisation below (下达).")
    async def delegate(self, message: CommandMessage) -> Receipt:
        return await self.change("delegate", message)

    @workflow.update(name="return-seats", description="Give seats back to the line above (交回).")
    async def return_seats(self, message: CommandMessage) -> Receipt:
        return await self.change("return-seats", message)

    @workflow.update(name="offer-seats", description="Offer seats left over to other recipients (调剂).")
    async def offer_seats(self, message: CommandMessage) -> Receipt:
        return await self.change("offer-seats", message)

    @workflow.update(name="accept-seats", description="Take the seats that are offered.")
    async def accept_seats(self, message: CommandMessage) -> Receipt:
        return await self.change("accept-seats", message)

    @workflow.update(name="decline-seats", description="Leave the offered seats to the next recipient.")
    async def decline_seats(self, message: CommandMessage) -> Receipt:
        return await self.change("decline-seats", message)

    @workflow.update(name="recall-offer", description="Take an open offer back.")
    async def recall_offer(self, message: CommandMessage) -> Receipt:
        return await self.change("recall-offer", message)

    @workflow.update(name="report-shortfall", description="Say that seats can't be filled, and why (缺额上报).")
    async def report_shortfall(self, message: CommandMessage) -> Receipt:
        return await self.change("report-shortfall", message)

    @workflow.update(name="override", description="The bureau sets the seats, with reason and document.")
    async def override(self, message: CommandMessage) -> Receipt:
        return await self.change("override", message)
