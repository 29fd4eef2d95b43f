"""A class: its phases and commands by name, its situations, and an attempt at every command."""

from dataclasses import replace
from datetime import date
from typing import Final

from docgen.lifecycles.exploring import Label, Lifecycle, Situation, attempts_of, phase_of
from docgen.lifecycles.plan import ACTORS, CAMPAIGN, THE_PLAN, on
from docgen.lifecycles.trainee_events import CLASS, OTHER_CLASS
from domain import training_class
from domain.decision import Command, Event
from domain.training_class import (
    AbsencesRecorded,
    Announce,
    Cancel,
    ChangeCapacity,
    ChangeTold,
    CheckInConfirmed,
    ClassAnnounced,
    ClassCancelled,
    ClassClosed,
    ClassMerged,
    ClassMoved,
    ClassPlanned,
    ClassReminderSent,
    ClassReported,
    ConfirmCheckIn,
    Facts,
    GoOnline,
    Merge,
    MovePlace,
    OutcomesOverdue,
    PassClassDeadline,
    PlanClass,
    Postpone,
    RecordAbsences,
    RecordChangeTold,
    RecordDuties,
    RegistrationOpened,
    Report,
    SetTimetable,
    Split,
    fold,
)
from domain.training_class_messages import Session, StaffDuty
from domain.training_class_state import OVER

TRAINEE: Final = "zz22-410181-00001"
PHASES: Final = {
    "planned": Label("已计划", "planned"),
    "announced": Label("已发开班通知", "announced"),
    "registration-open": Label("报到中", "registration open"),
    "running": Label("培训中", "running"),
    "closed": Label("已结束", "over, outcomes due"),
    "reported": Label("已上报结果", "reported"),
    "merged": Label("已并班", "merged"),
    "cancelled": Label("已取消", "cancelled"),
}
COMMANDS: Final = {
    "plan": Label("计划开班", "plan"),
    "announce": Label("发开班通知", "announce"),
    "confirm-check-in": Label("确认报到名单", "confirm the check-in list"),
    "record-absences": Label("登记未报到", "record the absences"),
    "report": Label("上报结果", "report"),
    "pass-deadline": Label("到期处理", "pass the deadline"),
    "postpone": Label("延期", "postpone"),
    "move": Label("更换地点", "move"),
    "go-online": Label("转为线上", "go online"),
    "merge": Label("并班", "merge"),
    "split": Label("分班", "split"),
    "cancel": Label("取消", "cancel"),
    "record-change-told": Label("登记已告知变更", "record that a change was told"),
    "change-capacity": Label("调整容量", "change the capacity"),
    "set-timetable": Label("设置课表", "set the timetable"),
    "record-duties": Label("登记课时职责", "record duties"),
}
EXAMPLES: Final[tuple[Command, ...]] = (
    PlanClass(
        host="h001",
        project_type="gp5",
        starts=date(2022, 10, 10),
        ends=date(2022, 10, 16),
        place="1 号楼",
        capacity=20,
    ),
    Announce(),
    ConfirmCheckIn(),
    RecordAbsences(),
    Report(),
    PassClassDeadline(),
    Postpone(starts=date(2022, 11, 7), ends=date(2022, 11, 13), reason="repairs"),
    MovePlace(place="2 号楼", reason="repairs"),
    GoOnline(centralised_days=2, reason="an epidemic"),
    Merge(into=OTHER_CLASS, reason="too few"),
    Split(into=OTHER_CLASS, trainees=(TRAINEE,), reason="too many"),
    Cancel(reason="flood"),
    RecordChangeTold(revision=1),
    ChangeCapacity(capacity=30),
    SetTimetable(sessions=(Session(day=date(2022, 10, 10), session="morning", units=4),)),
    RecordDuties(duties=(StaffDuty(staff="t-07", duty="head", hours=20),)),
)
PLANNED: Final = ClassPlanned(
    campaign=CAMPAIGN,
    host="h001",
    project_type="gp5",
    starts=date(2022, 10, 10),
    ends=date(2022, 10, 16),
    place="1 号楼",
    mode="centralised",
    capacity=20,
    reminders=(on(10, 2, 16), on(10, 6, 16), on(10, 8, 16)),
    opens_at=on(10, 9, 16),
    closes_at=on(10, 16, 16),
    outcomes_due=on(10, 23, 16),
    escalates_at=on(10, 26, 16),
)
ANNOUNCED: Final = (PLANNED, ClassAnnounced(by="host:h001"))
REMINDED: Final = (*ANNOUNCED, *(ClassReminderSent(key=f"reminder-{each}", stale=False) for each in (1, 2, 3)))
OPENED: Final = (*REMINDED, RegistrationOpened())
LISTED: Final = (*OPENED, CheckInConfirmed(by="host:h001", at=on(10, 10, 10)))
RUNNING: Final = (*LISTED, AbsencesRecorded())
CLOSED: Final = (*RUNNING, ClassClosed())
KNOWN: Final = Facts(THE_PLAN, other=fold((PLANNED,)), members=frozenset({TRAINEE}))


def _at(
    month: int, day: int, hour: int, events: tuple[Event, ...], zh: str = "", en: str = "", facts: Facts = KNOWN
) -> Situation:
    return Situation(events, on(month, day, hour), facts, Label(zh, en) if zh else None)


MOVED: Final = ClassMoved(by="host:h001", reason="repairs", place="3 号楼")
SITUATIONS: Final = (
    _at(9, 10, 2, ()),
    _at(9, 10, 2, (PLANNED,)),
    _at(9, 10, 2, (PLANNED, MOVED), "变更待告知", "a change is to be told"),
    _at(10, 9, 16, (PLANNED,), "首日已到", "its first day has come"),
    _at(9, 20, 2, ANNOUNCED),
    _at(9, 20, 2, (*ANNOUNCED, MOVED), "变更待告知", "a change is to be told"),
    _at(10, 3, 2, ANNOUNCED, "提醒到期", "a reminder is due"),
    _at(10, 9, 16, REMINDED, "首日已到", "its first day has come"),
    _at(10, 10, 2, OPENED),
    _at(10, 10, 2, (*OPENED, MOVED), "变更待告知", "a change is to be told"),
    _at(10, 10, 2, OPENED, "已有人报到", "somebody has arrived", replace(KNOWN, registered=1)),
    _at(10, 16, 16, OPENED, "末日已过,名单未确认", "its last day has passed without a list"),
    _at(10, 10, 11, LISTED, "未报到者待登记", "absences are to be recorded"),
    _at(10, 12, 2, RUNNING),
    _at(10, 12, 2, (*RUNNING, MOVED), "变更待告知", "a change is to be told"),
    _at(10, 16, 16, RUNNING, "末日已过", "its last day has passed"),
    _at(10, 17, 2, CLOSED),
    _at(10, 17, 2, CLOSED, "尚有结果未报", "outcomes are missing", replace(KNOWN, without_outcome=2)),
    _at(10, 17, 2, (*RUNNING, MOVED, ClassClosed()), "变更待告知", "a change is to be told"),
    _at(10, 17, 2, (*OPENED, ClassClosed()), "名单未确认", "without a confirmed list"),
    _at(
        10,
        18,
        2,
        (*OPENED, ClassClosed(), CheckInConfirmed(by="host:h001", at=on(10, 17, 10), late=True)),
        "名单迟确认",
        "its list came late",
    ),
    _at(10, 23, 16, CLOSED, "结果到期", "outcomes are due"),
    _at(10, 26, 16, (*CLOSED, OutcomesOverdue()), "结果逾期", "outcomes are overdue"),
    _at(10, 24, 2, (*CLOSED, ClassReported(by="host:h001"))),
    _at(
        10,
        24,
        2,
        (*RUNNING, MOVED, ClassClosed(), ClassReported(by="host:h001")),
        "变更待告知",
        "a change is to be told",
    ),
    _at(9, 21, 2, (PLANNED, ClassMerged(by="host:h001", reason="too few", into=OTHER_CLASS))),
    _at(9, 21, 2, (PLANNED, ClassCancelled(by="host:h001", reason="flood"))),
    _at(
        9,
        21,
        2,
        (PLANNED, ClassCancelled(by="host:h001", reason="flood"), ChangeTold(revision=1)),
        "已告知所有人",
        "everybody was told",
    ),
)
TRAINING_CLASS: Final = Lifecycle(
    kind="class",
    title=Label("培训班", "A class"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts=attempts_of(training_class.LIFECYCLE, EXAMPLES, ACTORS, CLASS, training_class.decide),
    situations=SITUATIONS,
    ended=OVER,
)
