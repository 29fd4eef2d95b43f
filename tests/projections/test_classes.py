"""Classes: a host's own, and for counties and schools those with their trainees."""

from typing import Any, TypeAlias

import asyncpg

from domain.decision import Actor
from ledger.store import Ledger
from projections import classes
from projections.engine import Projector
from tests.projections.class_lives import CLASS_LIFE, class_planned
from tests.projections.histories import BOOK, Stream, record
from tests.projections.trainee_lives import trainee

Pool: TypeAlias = "asyncpg.Pool[Any]"

BUREAU = Actor(organisation="zzedu", role="bureau")
FIRST, SECOND = "zz22-c-h001-01", "zz22-c-h002-01"


async def two_classes(ledger: Ledger, projector: Projector) -> None:
    await record(
        ledger,
        [
            Stream(BOOK, f"class/{FIRST}", (class_planned(), *CLASS_LIFE)),
            Stream(BOOK, f"class/{SECOND}", (class_planned("h002", "gp2"), *CLASS_LIFE[:5])),
            trainee(1, "confirmed"),
            trainee(2, "enrolled", "410182", host="h002", training_class=SECOND),
        ],
    )
    await projector.catch_up()


async def test_who_sees_which_class(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await two_classes(ledger, projector)
    seen = {
        BUREAU: [FIRST, SECOND],
        Actor(organisation="h001", role="host"): [FIRST],
        Actor(organisation="h002", role="host"): [SECOND],
        Actor(organisation="410181", role="county"): [FIRST],
        Actor(organisation="410182", role="county"): [SECOND],
        Actor(organisation="410182-s01", role="school"): [SECOND],
        Actor(organisation="410183", role="county"): [],
    }
    for viewer, expected in seen.items():
        assert [row.number for row in (await classes.page(pool, viewer)).items] == expected
        assert sum((await classes.count_by_phase(pool, viewer)).values()) == len(expected)
        for number in (FIRST, SECOND):
            assert (await classes.get(pool, viewer, number) is not None) == (number in expected)


async def test_filters_and_pages(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await two_classes(ledger, projector)
    assert [row.number for row in (await classes.page(pool, BUREAU, host="h002")).items] == [SECOND]
    assert [row.number for row in (await classes.page(pool, BUREAU, phase="reported")).items] == [FIRST]
    assert (await classes.page(pool, BUREAU, project_type="gp3")).items == ()
    assert (await classes.page(pool, BUREAU, campaign="2023-zhengzhou")).items == ()
    first = await classes.page(pool, BUREAU, limit=1)
    assert first.next == FIRST
    assert [row.number for row in (await classes.page(pool, BUREAU, after=first.next, limit=1)).items] == [SECOND]
    assert await classes.count_by_phase(pool, BUREAU, BOOK) == {"reported": 1, "running": 1}


async def test_a_row_tells_its_class(pool: Pool, ledger: Ledger, projector: Projector) -> None:
    await two_classes(ledger, projector)
    reported, running = [await classes.get(pool, BUREAU, number) for number in (FIRST, SECOND)]
    assert reported is not None
    assert running is not None
    assert (reported.closed, reported.deadline, reported.outcomes_overdue) == (True, None, True)
    assert reported.reported_at is not None
    assert running.reported_at is None
    assert (running.waiting_for, running.capacity, running.absences_recorded) == ("the last day", 50, False)
    assert running.check_in_confirmed_at is not None
