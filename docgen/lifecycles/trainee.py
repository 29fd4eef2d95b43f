"""A nomination's phases and commands by name, and an attempt at every command."""

from datetime import date
from typing import Final
from uuid import UUID

from docgen.lifecycles.exploring import NOT_YET, Label, Lifecycle, View, attempts_of, phase_of
from docgen.lifecycles.plan import ACTORS, NUMBER
from docgen.lifecycles.trainee_events import CLASS, OTHER_CLASS, PERSON, RESTRICTION
from docgen.lifecycles.trainee_situations import SITUATIONS
from domain import trainee
from domain.decision import Command
from domain.trainee_class_messages import ChangeClass, FollowClass
from domain.trainee_correction_messages import Correct, RecordLateAnswer, ReissueCertificate, Resume
from domain.trainee_messages import (
    Approve,
    Confirm,
    Decline,
    Enroll,
    Excuse,
    GrantLeave,
    Lapse,
    Nominate,
    PassDeadline,
    PersonReference,
    RecordNoShow,
    RefuseLeave,
    Register,
    Reject,
    RequestLeave,
    Resubmit,
    Return,
    Withdraw,
)
from domain.trainee_outcome_messages import Complete, Dismiss, Fail, ReviewFollowUp, SubmitFollowUp
from domain.trainee_review_messages import ChangeSchool, ReviewIdentity
from domain.trainee_seat_messages import (
    AcceptSeat,
    DeclineSeat,
    OfferSeat,
    ReassignHost,
    ReportImpersonation,
    Substitute,
    SubstitutePerson,
    Waitlist,
)
from domain.trainee_state import ENDED, fold

PHASES: Final = {
    "nominated": Label("已提名", "nominated"),
    "waitlisted": Label("候补", "waitlisted"),
    "offered": Label("名额待答复", "offered a seat"),
    "county-approved": Label("区县已审核", "county-approved"),
    "selected": Label("已选定", "selected"),
    "enrolled": Label("已编班", "enrolled"),
    "confirmed": Label("已确认参训", "confirmed"),
    "in-training": Label("培训中", "in training"),
    "absent": Label("未报到", "absent"),
    "excused": Label("已准予缺席", "excused"),
    "dismissed": Label("已劝退", "dismissed"),
    "not-completed": Label("未结业", "not completed"),
    "completed": Label("已结业", "completed"),
    "following-up": Label("跟踪任务中", "following up"),
    "closed": Label("已办结", "closed"),
    "rejected": Label("未通过", "rejected"),
    "withdrawn": Label("已撤回", "withdrawn"),
}
COMMANDS: Final = {
    "nominate": Label("提名", "nominate"),
    "approve": Label("审核通过", "approve"),
    "return": Label("退回", "return"),
    "resubmit": Label("重新提交", "resubmit"),
    "reject": Label("不予通过", "reject"),
    "waitlist": Label("列入候补", "waitlist"),
    "offer-seat": Label("提供名额", "offer a seat"),
    "accept-seat": Label("接受名额", "accept the seat"),
    "decline-seat": Label("放弃名额", "decline the seat"),
    "review-identity": Label("核实身份", "review the identity"),
    "lapse": Label("逾期失效", "lapse"),
    "withdraw": Label("撤回", "withdraw"),
    "substitute": Label("替换", "substitute"),
    "reassign-host": Label("改派承训单位", "reassign the host"),
    "enroll": Label("编班", "enroll"),
    "change-class": Label("调班", "change class"),
    "follow-class": Label("随班变更", "follow the class"),
    "confirm": Label("确认参训", "confirm"),
    "decline": Label("说明不能参训", "decline"),
    "register": Label("报到", "register"),
    "report-impersonation": Label("举报顶替", "report an impersonation"),
    "record-no-show": Label("登记未报到", "record a no-show"),
    "excuse": Label("准予缺席", "excuse"),
    "request-leave": Label("请假", "request leave"),
    "grant-leave": Label("准假", "grant leave"),
    "refuse-leave": Label("不准假", "refuse leave"),
    "dismiss": Label("劝退", "dismiss"),
    "complete": Label("结业", "complete"),
    "fail": Label("不予结业", "fail"),
    "submit-follow-up": Label("提交跟踪任务", "submit the follow-up"),
    "review-follow-up": Label("评审跟踪任务", "review the follow-up"),
    "pass-deadline": Label("到期处理", "pass the deadline"),
    "change-school": Label("变更学校", "change school"),
    "resume": Label("恢复提名", "resume"),
    "correct": Label("更正结果", "correct"),
    "reissue-certificate": Label("换发证书", "reissue the certificate"),
    "record-late-answer": Label("登记迟到的答复", "record a late answer"),
}
EXAMPLES: Final[tuple[Command, ...]] = (
    Nominate(
        project_type="gp5",
        county="410181",
        school="410181-s01",
        person=PersonReference(id=PERSON, sealed="sealed"),
        stage="primary",
        subject="chinese",
        years_of_service=5,
    ),
    Approve(host="h001"),
    Return(reason="the subject is missing"),
    Resubmit(),
    Reject(reasons=("weak_file",)),
    Waitlist(),
    OfferSeat(),
    AcceptSeat(),
    DeclineSeat(),
    ReviewIdentity(finding="same-person", decided_by="b7", reasons="a misprint"),
    ReviewIdentity(finding="other-person", decided_by="b7", reasons="another teacher's number"),
    Lapse(),
    Withdraw(reason="ill"),
    Substitute(
        number="zz22-410181-00002",
        reason="ill",
        school="410181-s01",
        person=SubstitutePerson(id=UUID(int=2), sealed="sealed"),
        stage="primary",
        subject="chinese",
        years_of_service=5,
    ),
    ReassignHost(),
    Enroll(training_class=CLASS),
    ChangeClass(training_class=OTHER_CLASS),
    FollowClass(),
    Confirm(),
    Decline(reason="ill"),
    Register(),
    ReportImpersonation(evidence="photograph 3"),
    RecordNoShow(),
    Excuse(reason="hospital", document="certificate 12"),
    RequestLeave(first_day=date(2022, 10, 14), last_day=date(2022, 10, 14), reason="family", document="letter 4"),
    GrantLeave(leave=1),
    RefuseLeave(leave=1, reason="examination day"),
    Dismiss(reason="misconduct", evidence="record 3"),
    Complete(centralised_days=7, hours=50),
    Fail(reasons=("attendance",)),
    SubmitFollowUp(evidence="lesson 7"),
    ReviewFollowUp(accepted=True),
    ReviewFollowUp(accepted=False),
    PassDeadline(),
    ChangeSchool(school="410181-s02", document="merger 2022-9"),
    Resume(waiver=RESTRICTION),
    *(
        Correct(
            becomes=becomes,
            decided_by="staff-07",
            reason="the list was wrong",
            document="letter 9",
            centralised_days=7,
            hours=50,
            reasons=("attendance",),
        )
        for becomes in ("in-training", "completed", "not-completed", "excused", "absent")
    ),
    ReissueCertificate(reason="name", document="letter 10"),
    RecordLateAnswer(answer="completed", said_on=date(2022, 8, 26), document="letter 11"),
)
VIEWS: Final = (
    View(
        Label("遴选", "Selection"),
        phases=frozenset({NOT_YET, "nominated", "waitlisted", "offered", "county-approved"}),
    ),
    View(Label("参训", "Until registration"), phases=frozenset({"selected", "enrolled", "confirmed"})),
    View(Label("培训与结果", "Training and outcome"), commands=frozenset(COMMANDS) - {"correct"}),
    View(Label("更正", "Corrections"), commands=frozenset({"correct"})),
)

TRAINEE: Final = Lifecycle(
    kind="trainee",
    title=Label("提名", "A nomination"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts=attempts_of(trainee.LIFECYCLE, EXAMPLES, ACTORS, NUMBER, trainee.decide),
    situations=SITUATIONS,
    ended=ENDED,
    views=VIEWS,
)
