"""What has happened to a nomination, in every phase and in what sets situations apart within a phase."""

from dataclasses import replace
from datetime import date
from typing import Final

from docgen.lifecycles.exploring import Label, Situation
from docgen.lifecycles.plan import CAMPAIGN, NUMBER, THE_PLAN, on
from docgen.lifecycles.trainee_events import (
    ABSENT,
    ACCEPTED,
    CITY_CUT_OFF,
    COMPLETED,
    COUNTY_APPROVED,
    ENDS,
    ENROLLED,
    FOLLOWING_UP,
    FROZEN,
    IN_CLASS,
    IN_TRAINING,
    LEAVE,
    NOMINATED,
    OFFERED,
    OTHER_CLASS,
    PERSON,
    RESTRICTION,
    RETURNED,
    SELECTED,
    STARTS,
    SUBMITTED,
    WAITLISTED,
    WITHDRAWN,
)
from domain.decision import Event
from domain.restriction_messages import (
    RestrictionImposed,
    RestrictionProposed,
    RestrictionServed,
    RestrictionWaived,
)
from domain.restriction_state import fold as fold_restriction
from domain.seat_rules import offers_end
from domain.trainee_context import Facts
from domain.trainee_messages import (
    AbsenceExcused,
    ExcuseWindowClosed,
    NominationRejected,
)
from domain.trainee_outcome_messages import (
    FollowUpLapsed,
    FollowUpOverdue,
    TraineeDismissed,
    TrainingNotCompleted,
)
from domain.trainee_seat_messages import (
    ImpersonationReported,
    SubstituteNamed,
)
from domain.training_class import (
    CheckInConfirmed,
    ClassCancelled,
    ClassMerged,
    ClassMoved,
    ClassPlanned,
    ClassPostponed,
    RegistrationOpened,
)
from domain.training_class import fold as fold_class
from domain.training_class_state import TrainingClass

PLANNED = ClassPlanned(
    campaign=CAMPAIGN,
    host="h001",
    project_type="gp5",
    starts=STARTS,
    ends=ENDS,
    place="1 号楼",
    mode="centralised",
    capacity=20,
    reminders=(),
    opens_at=on(10, 9, 16),
    closes_at=on(10, 16, 16),
    outcomes_due=on(10, 23, 16),
)


def a_class(*more: Event) -> TrainingClass:
    """The class that the trainee is in, after what has become of it."""
    state = fold_class((PLANNED, *more))
    assert state is not None, "a planned class exists"
    return state


CHECKED_IN = a_class(RegistrationOpened(), CheckInConfirmed(by="host:h001", at=on(10, 10, 10)))
POSTPONED = a_class(
    ClassPostponed(
        by="host:h001",
        reason="repairs",
        starts=date(2022, 10, 24),
        ends=date(2022, 10, 30),
        reminders=(),
        opens_at=on(10, 23, 16),
        closes_at=on(10, 30, 16),
        outcomes_due=on(11, 6, 16),
    )
)
MOVED = a_class(ClassMoved(by="host:h001", reason="repairs", place="2 号楼"))
MISSING = (*IN_CLASS, ABSENT)
NO_TASK = (NOMINATED.model_copy(update={"project_type": "sp4"}), *IN_TRAINING[1:])
OVERDUE = (*FOLLOWING_UP, FollowUpOverdue(last_date=on(11, 22, 16)))
A_RESTRICTION = (
    RestrictionProposed(
        campaign=CAMPAIGN,
        trainee=NUMBER,
        person=PERSON,
        county="410181",
        school="410181-s01",
        host="h001",
        ground="absent",
        incident_on=STARTS,
        proposed_at=on(10, 18),
        serve_by=on(10, 25, 16),
    ),
    RestrictionServed(by="bureau:zzedu", via="mail", served_at=on(10, 19), objection_until=on(11, 2, 16)),
    RestrictionImposed(
        by="bureau:zzedu",
        decided_by="b7",
        reasons="no good reason was shown",
        starts=date(2022, 11, 3),
        until=date(2025, 11, 3),
        policy="3 years from decision",
    ),
    RestrictionWaived(
        by="bureau:zzedu",
        decided_by="b7",
        reasons="needed for the examination",
        document="letter 8",
        campaign=CAMPAIGN,
        project_type="gp5",
    ),
)

# --------------------------------------------------------------------------------------------------- situations

KNOWN = Facts(
    THE_PLAN,
    person_version=1,
    training_class=a_class(),
    restriction=fold_restriction(A_RESTRICTION),
    restriction_version=4,
)


def _at(
    month: int, day: int, hour: int, events: tuple[Event, ...], zh: str = "", en: str = "", facts: Facts = KNOWN
) -> Situation:
    return Situation(events, on(month, day, hour), facts, Label(zh, en) if zh else None)


def _with_class(training_class: TrainingClass) -> Facts:
    return replace(KNOWN, training_class=training_class)


def _without_task(*after_registration: Event) -> tuple[Event, ...]:
    """The same for a project type that has no follow-up task."""
    return (NO_TASK[0], *after_registration[1:])


def _nominated(**changes: object) -> tuple[Event, ...]:
    return (NOMINATED.model_copy(update=changes),)


SITUATIONS: Final = (
    _at(8, 26, 2, ()),
    _at(9, 2, 2, (), "学校截止后", "after the schools' cut-off"),
    _at(8, 27, 2, (NOMINATED,)),
    _at(8, 27, 2, (NOMINATED, RETURNED), "已退回", "returned"),
    _at(8, 27, 2, _nominated(identity_review=True), "身份待核实", "its identity is under review"),
    _at(
        8,
        27,
        2,
        _nominated(self_nominated=True, nominated_by="county"),
        "由市级审核",
        "the county's own official, so the city approves",
    ),
    _at(8, 27, 2, (NOMINATED, FROZEN), "已冻结", "frozen by a restriction"),
    _at(8, 30, 16, (NOMINATED,), "区县截止后", "after the county's cut-off"),
    _at(
        9,
        20,
        2,
        _nominated(substitutes="zz22-410181-00009", deadline=on(10, 10, 16)),
        "替换他人",
        "a substitute, with the seat",
    ),
    _at(10, 10, 16, _nominated(substitutes="zz22-410181-00009", deadline=on(10, 10, 16)), "替换逾期", "too late"),
    _at(9, 10, 2, (NOMINATED, WAITLISTED)),
    _at(9, 10, 2, (NOMINATED, WAITLISTED, FROZEN), "已冻结", "frozen by a restriction"),
    _at(12, 30, 2, (NOMINATED, WAITLISTED), "候补截止后", "after the last useful day"),
    _at(9, 10, 12, (NOMINATED, WAITLISTED, OFFERED)),
    _at(9, 10, 12, (NOMINATED, WAITLISTED, OFFERED, FROZEN), "已冻结", "frozen by a restriction"),
    _at(9, 11, 2, (NOMINATED, WAITLISTED, OFFERED), "答复期满", "the answer is due"),
    _at(8, 31, 2, (NOMINATED, COUNTY_APPROVED)),
    _at(8, 31, 2, (NOMINATED, COUNTY_APPROVED, FROZEN), "已冻结", "frozen by a restriction"),
    _at(
        8,
        31,
        2,
        (*_nominated(identity_review=True), COUNTY_APPROVED),
        "身份待核实",
        "its identity is under review",
    ),
    Situation((NOMINATED, COUNTY_APPROVED), CITY_CUT_OFF, KNOWN, Label("市级截止后", "after the city's cut-off")),
    _at(9, 12, 2, (NOMINATED, WAITLISTED, OFFERED, ACCEPTED), "接受候补名额", "with a seat from the waiting list"),
    Situation(
        (NOMINATED, WAITLISTED, OFFERED, ACCEPTED),
        offers_end(THE_PLAN, "gp5"),
        KNOWN,
        Label("候补名额逾期", "its last useful day has passed"),
    ),
    _at(9, 20, 2, SELECTED),
    _at(9, 20, 2, (*SELECTED, FROZEN), "已冻结", "frozen by a restriction"),
    _at(
        9,
        20,
        2,
        SELECTED,
        "承训单位被取消",
        "its host was removed",
        replace(KNOWN, removed_hosts={"h001": "h002"}),
    ),
    _at(9, 25, 2, (*SELECTED, ENROLLED)),
    _at(9, 25, 2, (*SELECTED, ENROLLED, FROZEN), "已冻结", "frozen by a restriction", _with_class(MOVED)),
    _at(9, 25, 2, (*SELECTED, ENROLLED), "班次有变", "its class was changed", _with_class(MOVED)),
    _at(10, 10, 11, (*SELECTED, ENROLLED), "报到名单已确认", "the check-in list is confirmed", _with_class(CHECKED_IN)),
    _at(10, 1, 2, IN_CLASS),
    _at(10, 1, 2, IN_CLASS, "班次延期", "its class was postponed", _with_class(POSTPONED)),
    _at(
        10,
        1,
        2,
        IN_CLASS,
        "班次取消",
        "its class was cancelled",
        _with_class(a_class(ClassCancelled(by="host:h001", reason="flood"))),
    ),
    _at(
        10,
        1,
        2,
        IN_CLASS,
        "班次并入他班",
        "its class was merged into another",
        replace(_with_class(a_class(ClassMerged(by="h", reason="few", into=OTHER_CLASS))), destination=a_class()),
    ),
    _at(10, 1, 2, (*IN_CLASS, FROZEN), "已冻结", "frozen by a restriction", _with_class(MOVED)),
    _at(10, 10, 2, IN_CLASS, "开班首日", "on the first day"),
    _at(
        10,
        10,
        2,
        (*IN_CLASS, ImpersonationReported(by="host:h001", evidence="e")),
        "有人顶替",
        "somebody else turned up",
    ),
    _at(10, 10, 11, IN_CLASS, "报到名单已确认", "the check-in list is confirmed", _with_class(CHECKED_IN)),
    _at(10, 12, 2, IN_TRAINING),
    _at(10, 12, 2, (*IN_TRAINING, LEAVE), "已请假", "leave was requested"),
    _at(10, 12, 2, IN_TRAINING, "班次有变", "its class was changed", _with_class(MOVED)),
    _at(
        10,
        12,
        2,
        IN_TRAINING,
        "班次取消",
        "its class was cancelled",
        _with_class(a_class(ClassCancelled(by="host:h001", reason="flood"))),
    ),
    _at(10, 16, 2, IN_TRAINING, "最后一天", "on the last day"),
    _at(10, 16, 2, NO_TASK, "最后一天,无跟踪任务", "on the last day, without a follow-up task"),
    _at(10, 12, 2, MISSING),
    _at(10, 17, 16, MISSING, "说明期满", "the excuse window has ended"),
    _at(10, 18, 2, (*MISSING, ExcuseWindowClosed(restriction=RESTRICTION)), "无正当理由", "unexcused"),
    _at(10, 18, 2, (*MISSING, AbsenceExcused(by="county:410181", reason="hospital", document="d"))),
    _at(
        10,
        18,
        2,
        (*IN_TRAINING, TraineeDismissed(by="host:h001", reason="r", evidence="e", restriction=RESTRICTION)),
    ),
    _at(
        10,
        18,
        2,
        (*IN_TRAINING, TrainingNotCompleted(by="host:h001", reasons=("attendance",), restriction=RESTRICTION)),
    ),
    *(
        _at(10, 18, 2, _without_task(*before), "无跟踪任务", "without a follow-up task")
        for before in (
            MISSING,
            (*MISSING, AbsenceExcused(by="county:410181", reason="hospital", document="d")),
            (*IN_TRAINING, TraineeDismissed(by="host:h001", reason="r", evidence="e", restriction=RESTRICTION)),
            (
                *IN_TRAINING,
                TrainingNotCompleted(by="host:h001", reasons=("attendance",), restriction=RESTRICTION),
            ),
        )
    ),
    _at(10, 18, 2, (*NO_TASK, COMPLETED)),
    _at(11, 1, 2, FOLLOWING_UP),
    _at(11, 15, 16, FOLLOWING_UP, "任务到期", "the task is due"),
    _at(11, 2, 2, (*FOLLOWING_UP, SUBMITTED), "任务已提交", "the task was submitted"),
    _at(11, 17, 2, OVERDUE, "任务逾期", "the task is overdue"),
    _at(11, 22, 16, OVERDUE, "最后期限已过", "the last date has passed"),
    _at(11, 23, 2, (*OVERDUE, FollowUpLapsed())),
    _at(9, 1, 2, (NOMINATED, NominationRejected(by="county:410181", reasons=("weak_file",), seat_freed=False))),
    _at(9, 20, 2, (*SELECTED, WITHDRAWN)),
    _at(
        10,
        10,
        2,
        (
            *IN_CLASS,
            SubstituteNamed(by="county:410181", substitute="zz22-410181-00002", reason="ill"),
            WITHDRAWN.model_copy(update={"seat_freed": False, "place_freed": True}),
        ),
        "已被替换",
        "substituted",
    ),
)
