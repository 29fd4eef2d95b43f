"""What can happen to a nomination: one example of each event, and the way to the end of a training.

The situations of `trainee_situations` and the tests of the domain are made of these.
"""

from datetime import date
from typing import Final
from uuid import UUID

from docgen.lifecycles.plan import CAMPAIGN, NUMBER, THE_PLAN, on
from domain.seat_rules import offers_end
from domain.trainee_correction_messages import NominationFrozen
from domain.trainee_messages import (
    AttendanceConfirmed,
    LeaveRequested,
    NominationApproved,
    NominationReturned,
    NominationWithdrawn,
    NoShowRecorded,
    TraineeEnrolled,
    TraineeNominated,
    TraineeRegistered,
)
from domain.trainee_outcome_messages import (
    FollowUpAssigned,
    FollowUpSubmitted,
    TrainingCompleted,
)
from domain.trainee_seat_messages import (
    SeatOfferAccepted,
    SeatOffered,
    TraineeWaitlisted,
)

PERSON: Final = UUID("00000000-0000-7000-8000-000000000001")
CLASS: Final = "zz22-c-h001-01"
OTHER_CLASS: Final = "zz22-c-h001-02"
RESTRICTION: Final = f"{NUMBER}-r1"
STARTS, ENDS = date(2022, 10, 10), date(2022, 10, 16)

NOMINATED = TraineeNominated(
    campaign=CAMPAIGN,
    project_type="gp5",
    county="410181",
    school="410181-s01",
    person=PERSON,
    stage="primary",
    subject="chinese",
    position="teacher",
    rural=False,
    years_of_service=5,
    submitted_at=on(8, 26),
    deadline=THE_PLAN.selection_deadline("county"),
)
RETURNED = NominationReturned(level="county", by="county:410181", reason="the subject is missing", seat_freed=False)
WAITLISTED = TraineeWaitlisted(by="county:410181", rank=1, until=offers_end(THE_PLAN, "gp5"))
OFFERED = SeatOffered(until=on(9, 11))
ACCEPTED = SeatOfferAccepted(by="school:410181-s01", deadline=offers_end(THE_PLAN, "gp5"))
CITY_CUT_OFF = THE_PLAN.selection_deadline("city")
COUNTY_APPROVED = NominationApproved(level="county", by="county:410181", deadline=CITY_CUT_OFF)
CITY_APPROVED = NominationApproved(level="city", by="bureau:zzedu", host="h001")
FROZEN = NominationFrozen(until=date(2025, 9, 1))
ENROLLED = TraineeEnrolled(training_class=CLASS, host="h001", starts=STARTS, ends=ENDS, confirm_by=on(10, 6, 16))
CONFIRMED = AttendanceConfirmed(by="school:410181-s01")
REGISTERED = TraineeRegistered(by="host:h001", registered_at=on(10, 10))
LEAVE = LeaveRequested(
    leave=1, by="school:410181-s01", first_day=date(2022, 10, 13), last_day=date(2022, 10, 13), reason="family"
)
ABSENT = NoShowRecorded(check_in_confirmed_at=on(10, 10, 10), excuse_until=on(10, 17, 16))
COMPLETED = TrainingCompleted(
    by="host:h001",
    centralised_days=7,
    online_days=0,
    hours=50,
    grade="good",
    certificate=f"{NUMBER}-c1",
    cycle="2021-2025",
)
TASK = FollowUpAssigned(task="公开课", due=on(11, 15, 16))
SUBMITTED = FollowUpSubmitted(by="school:410181-s01", evidence="lesson 7")
WITHDRAWN = NominationWithdrawn(by="county:410181", reason="ill", seat_freed=True, place_freed=False)

SELECTED = (NOMINATED, COUNTY_APPROVED, CITY_APPROVED)
IN_CLASS = (*SELECTED, ENROLLED, CONFIRMED)
IN_TRAINING = (*IN_CLASS, REGISTERED)
FOLLOWING_UP = (*IN_TRAINING, COMPLETED, TASK)
