"""One example of every event of a restriction, as lives of restrictions."""

from datetime import date

from domain import restriction_messages
from domain.decision import Event
from tests.projections.histories import BOOK, BY, day, person


def proposed(trainee: str, county: str = "410181", school: str = "410181-s01", who: int = 1) -> Event:
    return restriction_messages.RestrictionProposed(
        campaign=BOOK,
        trainee=trainee,
        person=person(who),
        county=county,
        school=school,
        host="h001",
        ground="absent",
        incident_on=date(2022, 10, 10),
        proposed_at=day(53),
        serve_by=day(60),
    )


def recorded_earlier(who: int = 9) -> Event:
    return restriction_messages.EarlierRestrictionRecorded(
        by="bureau:zzedu",
        campaign=BOOK,
        person=person(who),
        starts=date(2021, 5, 1),
        until=date(2024, 5, 1),
        document="doc-9",
    )


SERVED = restriction_messages.RestrictionServed(by=BY, via="school", served_at=day(55), objection_until=day(69))
IMPOSED = restriction_messages.RestrictionImposed(
    by="bureau:zzedu",
    decided_by="officer-1",
    reasons="absent without excuse",
    starts=date(2022, 11, 5),
    until=date(2025, 11, 5),
    policy="3 years from decision",
)
DROPPED = restriction_messages.RestrictionDropped(by="bureau:zzedu", decided_by="officer-1", reasons="objection upheld")
RESTRICTION_LIVES: dict[str, tuple[Event, ...]] = {
    "proposed": (restriction_messages.ServiceOverdue(),),
    "imposed": (
        SERVED,
        restriction_messages.ObjectionFiled(by=BY, statement="doc-4"),
        restriction_messages.ObjectionWindowClosed(),
        IMPOSED,
    ),
    "dropped": (SERVED, restriction_messages.ObjectionWindowClosed(), DROPPED),
    "expired": (
        SERVED,
        restriction_messages.ObjectionWindowClosed(),
        IMPOSED,
        restriction_messages.RestrictionExpired(),
    ),
    "reversed": (
        SERVED,
        restriction_messages.ServiceFailed(by=BY, via="mail", reason="returned", serve_by=day(62)),
        SERVED,
        restriction_messages.ObjectionWindowClosed(),
        IMPOSED,
        restriction_messages.RestrictionWaived(
            by="bureau:zzedu",
            decided_by="officer-1",
            reasons="the only teacher of the subject",
            document="doc-8",
            campaign=BOOK,
            project_type="gp2",
        ),
        restriction_messages.WaiverUsed(campaign=BOOK, project_type="gp2", trainee="zz22-410181-00077"),
        restriction_messages.RestrictionReversed(
            by="bureau:zzedu", decided_by="officer-1", reasons="the list was wrong", document="doc-10"
        ),
    ),
}
