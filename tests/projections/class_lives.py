"""One example of every event of a class and of a day of attendance, as lives of classes."""

from datetime import date

from domain import attendance, training_class
from domain.decision import Event
from domain.training_class_messages import Session, StaffDuty
from tests.projections.histories import BOOK, day


def class_planned(host: str = "h001", project: str = "gp1") -> Event:
    return training_class.ClassPlanned(
        campaign=BOOK,
        host=host,
        project_type=project,
        starts=date(2022, 10, 10),
        ends=date(2022, 10, 16),
        place="郑州",
        mode="centralised",
        capacity=50,
        reminders=(day(39), day(43)),
        opens_at=day(45),
        closes_at=day(52),
        outcomes_due=day(62),
    )


CLASS_LIFE: tuple[Event, ...] = (
    training_class.ClassAnnounced(by="host:h001"),
    training_class.ClassReminderSent(key="reminder-1", stale=False),
    training_class.ClassReminderSent(key="reminder-2", stale=True),
    training_class.RegistrationOpened(),
    training_class.CheckInConfirmed(by="host:h001", at=day(46)),
    training_class.AbsencesRecorded(),
    training_class.ClassClosed(),
    training_class.OutcomesOverdue(),
    training_class.ClassReported(by="host:h001"),
)


CHANGED_CLASS_LIFE: tuple[Event, ...] = (
    training_class.ClassAnnounced(by="host:h001"),
    training_class.ClassPostponed(
        by="host:h001",
        reason="疫情",
        starts=date(2022, 11, 10),
        ends=date(2022, 11, 16),
        reminders=(day(70),),
        opens_at=day(76),
        closes_at=day(83),
        outcomes_due=day(90),
        escalates_at=day(93),
    ),
    training_class.ChangeTold(revision=1),
    training_class.ClassMoved(by="host:h001", reason="疫情", place="新郑"),
    training_class.ClassWentOnline(by="host:h001", reason="疫情", mode="online", centralised_days=0),
    training_class.CapacityChanged(by="host:h001", capacity=60),
    training_class.TimetableSet(
        by="host:h001", sessions=(Session(day=date(2022, 11, 10), session="morning", units=4),)
    ),
    training_class.DutiesRecorded(by="host:h001", duties=(StaffDuty(staff="t-07", duty="head", hours=20),)),
    training_class.ClassSplit(by="host:h001", reason="人数", into="zz22-c-h001-03", trainees=("zz22-410181-00001",)),
    training_class.RegistrationOpened(),
    training_class.CheckInConfirmed(by="host:h001", at=day(77), late=True),
    training_class.ClassClosed(),
    training_class.OutcomesOverdue(),
    training_class.OutcomesEscalated(),
)
OTHER_ENDS: dict[str, Event] = {
    "04": training_class.ClassMerged(by="host:h001", reason="人数不足", into="zz22-c-h001-01"),
    "05": training_class.ClassCancelled(by="host:h001", reason="疫情"),
}
ATTENDANCE_LIFE: tuple[Event, ...] = (
    attendance.AttendanceMarked(
        by="host:h001",
        marks=(attendance.Mark(trainee="zz22-410181-00001", session="morning", units=4, as_of=day(46), source="scan"),),
    ),
    attendance.PassingImpossible(trainees=("zz22-410181-00001",)),
    attendance.AttendanceCorrected(
        by="host:h001",
        marks=(
            attendance.Mark(
                trainee="zz22-410181-00001", session="morning", units=3, as_of=day(60), source="paper", evidence="doc-8"
            ),
        ),
    ),
)
