"""Everything at once: a world with every event in it, to be projected."""

from domain import person as persons
from tests.projections.campaign_lives import CAMPAIGN_LIFE, QUOTA_LIFE, campaign_opened, published, quota
from tests.projections.class_lives import ATTENDANCE_LIFE, CHANGED_CLASS_LIFE, CLASS_LIFE, OTHER_ENDS, class_planned
from tests.projections.histories import BOOK, BY, Stream, person
from tests.projections.register_lives import DAYS_LIFE, INSTITUTION_LIFE, PERSON_LIFE, organisation
from tests.projections.restriction_lives import RESTRICTION_LIVES, proposed, recorded_earlier
from tests.projections.trainee_lives import LIVES, trainee


def world() -> tuple[Stream, ...]:
    """Streams of every kind that together hold every event there is."""
    cases = tuple(trainee(number, life) for number, life in enumerate(LIVES, start=1))
    restrictions = tuple(
        Stream(
            "restrictions", f"restriction/zz22-410181-{number:05d}-r1", (proposed(f"zz22-410181-{number:05d}"), *life)
        )
        for number, life in enumerate(RESTRICTION_LIVES.values(), start=1)
    )
    return (
        Stream(BOOK, f"campaign/{BOOK}", (campaign_opened(), *CAMPAIGN_LIFE)),
        Stream(BOOK, "quota/gp1:410181", (quota("gp1:410181", 30), *QUOTA_LIFE)),
        Stream(BOOK, "class/zz22-c-h001-01", (class_planned(), *CLASS_LIFE)),
        Stream(BOOK, "class/zz22-c-h001-02", (class_planned(), *CHANGED_CLASS_LIFE)),
        *(Stream(BOOK, f"class/zz22-c-h001-{each}", (class_planned(), end)) for each, end in OTHER_ENDS.items()),
        Stream(BOOK, "attendance/zz22-c-h001-01/2022-10-10", ATTENDANCE_LIFE),
        Stream("institutions", "institution/410181", (organisation("410181", "county", "zzedu"), *INSTITUTION_LIFE)),
        Stream("restrictions", "restriction/prior-00001", (recorded_earlier(),)),
        Stream(
            "people", f"person/{person(97)}", (persons.PersonRegistered(person=person(97), sealed="v1."), *PERSON_LIFE)
        ),
        Stream(
            "people",
            f"person/{person(98)}",
            (
                persons.PersonRegistered(person=person(98), sealed="v1."),
                persons.PersonJoined(into=person(97), by=BY, decided_by="b7", reasons="doc-9"),
            ),
        ),
        Stream(BOOK, f"bulletin/{BOOK}", (published(),)),
        Stream("people", f"training-days/{person(1)}:2021-2025", DAYS_LIFE),
        *restrictions,
        *cases,
    )
