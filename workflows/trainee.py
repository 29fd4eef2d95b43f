"""The workflow of one nomination: `run` is the story, `domain/trainee.py` has the rules.

Selection and class dates are kept by the campaign's and the class's workflow, one timer for all; the only timers here
are the window of an offered seat, the cut-off of a substitute, the excuse window of an absence and the due dates of a
follow-up task: at most one at a time.
"""

from typing import ClassVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.messages import CommandMessage, ProcessKind, ProcessStart, Receipt
    from workflows.process import ProcessWorkflow


@workflow.defn(name="Trainee")
class TraineeWorkflow(ProcessWorkflow):
    """One teacher on the way from nomination to the end of his follow-up."""

    kind: ClassVar[ProcessKind] = "trainee"

    @workflow.init
    def __init__(self, start: ProcessStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: ProcessStart) -> Receipt | None:
        """From nomination to the last thing that is waited for."""
        await self.open()
        await self.while_in("nominated", "waitlisted", "offered", "county-approved")
        await self.while_in("selected", "enrolled", "confirmed")
        await self.while_in("in-training")
        await self.while_in("absent")
        await self.while_in("completed", "following-up")
        await self.finish()
        return self._receipt

    @workflow.query(description="The last receipt: version, phase, deadline and what is waited for.")
    def case(self) -> Receipt | None:
        return self._receipt

    @workflow.update(name="nominate", description="A school or county puts a teacher forward (提名).")
    async def nominate(self, message: CommandMessage) -> Receipt:
        return await self.handle("nominate", message)

    @workflow.update(name="approve", description="The county's or the city's approval (审核通过).")
    async def approve(self, message: CommandMessage) -> Receipt:
        return await self.handle("approve", message)

    @workflow.update(name="return", description="Send the nomination back for a change (退回).")
    async def return_(self, message: CommandMessage) -> Receipt:
        return await self.handle("return", message)

    @workflow.update(name="resubmit", description="Hand a returned nomination in again (重新提交).")
    async def resubmit(self, message: CommandMessage) -> Receipt:
        return await self.handle("resubmit", message)

    @workflow.update(name="waitlist", description="Fit, but no seat is left (候补).")
    async def waitlist(self, message: CommandMessage) -> Receipt:
        return await self.handle("waitlist", message)

    @workflow.update(name="offer-seat", description="A seat became free; sent by the quota line.")
    async def offer_seat(self, message: CommandMessage) -> Receipt:
        return await self.handle("offer-seat", message)

    @workflow.update(name="accept-seat", description="Take the offered seat.")
    async def accept_seat(self, message: CommandMessage) -> Receipt:
        return await self.handle("accept-seat", message)

    @workflow.update(name="decline-seat", description="Leave the offered seat to the next.")
    async def decline_seat(self, message: CommandMessage) -> Receipt:
        return await self.handle("decline-seat", message)

    @workflow.update(name="substitute", description="Another teacher takes the seat (替换).")
    async def substitute(self, message: CommandMessage) -> Receipt:
        return await self.handle("substitute", message)

    @workflow.update(name="report-impersonation", description="Somebody else turned up (顶替).")
    async def report_impersonation(self, message: CommandMessage) -> Receipt:
        return await self.handle("report-impersonation", message)

    @workflow.update(name="reassign-host", description="The host was removed; sent by the campaign.")
    async def reassign_host(self, message: CommandMessage) -> Receipt:
        return await self.handle("reassign-host", message)

    @workflow.update(name="reject", description="The county's or the city's no, with reasons (不予通过).")
    async def reject(self, message: CommandMessage) -> Receipt:
        return await self.handle("reject", message)

    @workflow.update(name="lapse", description="A shared date was missed; sent by the campaign or the class.")
    async def lapse(self, message: CommandMessage) -> Receipt:
        return await self.handle("lapse", message)

    @workflow.update(name="withdraw", description="Take the nomination back before 报到 (撤回).")
    async def withdraw(self, message: CommandMessage) -> Receipt:
        return await self.handle("withdraw", message)

    @workflow.update(name="enroll", description="Place the trainee in a class (编班).")
    async def enroll(self, message: CommandMessage) -> Receipt:
        return await self.handle("enroll", message)

    @workflow.update(name="change-class", description="The host moves the trainee to another class (调班).")
    async def change_class(self, message: CommandMessage) -> Receipt:
        return await self.handle("change-class", message)

    @workflow.update(name="follow-class", description="The class was changed; sent by the class.")
    async def follow_class(self, message: CommandMessage) -> Receipt:
        return await self.handle("follow-class", message)

    @workflow.update(name="confirm", description="The trainee will come (确认参训).")
    async def confirm(self, message: CommandMessage) -> Receipt:
        return await self.handle("confirm", message)

    @workflow.update(name="decline", description="The trainee can't come (不能参训).")
    async def decline(self, message: CommandMessage) -> Receipt:
        return await self.handle("decline", message)

    @workflow.update(name="register", description="The trainee has arrived (报到).")
    async def register(self, message: CommandMessage) -> Receipt:
        return await self.handle("register", message)

    @workflow.update(name="record-no-show", description="Not on the confirmed check-in list (未报到).")
    async def record_no_show(self, message: CommandMessage) -> Receipt:
        return await self.handle("record-no-show", message)

    @workflow.update(name="excuse", description="The absence has a good reason (特殊情况).")
    async def excuse(self, message: CommandMessage) -> Receipt:
        return await self.handle("excuse", message)

    @workflow.update(name="request-leave", description="Ask for days off (请假).")
    async def request_leave(self, message: CommandMessage) -> Receipt:
        return await self.handle("request-leave", message)

    @workflow.update(name="grant-leave", description="Allow a leave (准假).")
    async def grant_leave(self, message: CommandMessage) -> Receipt:
        return await self.handle("grant-leave", message)

    @workflow.update(name="refuse-leave", description="Refuse a leave (不准假).")
    async def refuse_leave(self, message: CommandMessage) -> Receipt:
        return await self.handle("refuse-leave", message)

    @workflow.update(name="dismiss", description="Dismiss from the training (劝退).")
    async def dismiss(self, message: CommandMessage) -> Receipt:
        return await self.handle("dismiss", message)

    @workflow.update(name="complete", description="The training is completed (结业).")
    async def complete(self, message: CommandMessage) -> Receipt:
        return await self.handle("complete", message)

    @workflow.update(name="fail", description="The training is not completed (未结业).")
    async def fail(self, message: CommandMessage) -> Receipt:
        return await self.handle("fail", message)

    @workflow.update(name="submit-follow-up", description="Hand in the follow-up task's evidence.")
    async def submit_follow_up(self, message: CommandMessage) -> Receipt:
        return await self.handle("submit-follow-up", message)

    @workflow.update(name="review-follow-up", description="Accept the evidence or send it back.")
    async def review_follow_up(self, message: CommandMessage) -> Receipt:
        return await self.handle("review-follow-up", message)

    @workflow.update(name="review-identity", description="Decide who is meant under a name that differs (核实身份).")
    async def review_identity(self, message: CommandMessage) -> Receipt:
        return await self.handle("review-identity", message)

    @workflow.update(name="change-school", description="Pass the case to another school (学校撤并).")
    async def change_school(self, message: CommandMessage) -> Receipt:
        return await self.handle("change-school", message)

    @workflow.update(name="resume", description="Let a frozen nomination go on, on a waiver (恢复).")
    async def resume(self, message: CommandMessage) -> Receipt:
        return await self.handle("resume", message)

    @workflow.update(name="correct", description="The city corrects an outcome, also after closing (更正).")
    async def correct(self, message: CommandMessage) -> Receipt:
        return await self.handle("correct", message)

    @workflow.update(name="reissue-certificate", description="Issue the certificate anew, with its date (换发).")
    async def reissue_certificate(self, message: CommandMessage) -> Receipt:
        return await self.handle("reissue-certificate", message)

    @workflow.update(name="record-late-answer", description="Keep an answer that came too late; nothing moves.")
    async def record_late_answer(self, message: CommandMessage) -> Receipt:
        return await self.handle("record-late-answer", message)
