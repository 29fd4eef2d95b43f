"""Training days by mode, person and cycle (N6): a person's entries, and who has not reached the days of a cycle yet."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel, Field

from api.pagination import Page, WindowHere, next_cursor
from api.permissions import Caller
from api.problems import documented
from api.receipts import TraineeNumber
from api.routing import router
from api.services import ServicesHere, allowed
from domain import training_days
from domain.numbers import PEOPLE, parse_days_number, parse_stream_name
from domain.training_days import DaysCredited, DaysReversed
from projections import training_days as view

routes = router("/v1/training-days", "training-days")
person_routes = router("/v1/trainees", "training-days")
MAX_CYCLES = 20
"""A person's working life has fewer."""

Reader = Annotated[Caller, allowed("trainees:read", "bureau", "county", "school")]
Overseer = Annotated[Caller, allowed("training-days:read")]
Cycle = Annotated[str, Query(pattern=r"^[0-9]{4}-[0-9]{4}$", examples=["2021-2025"])]


class DaysEntry(BaseModel):
    """One entry. A reversal has negative amounts and says why."""

    kind: str = Field(description="`credited` or `reversed`.")
    campaign: str
    project_type: str = Field(description="Empty for a reversal.")
    certificate: str
    centralised_days: int
    online_days: int
    hours: int
    reason: str = Field(description="Of a reversal.")


class CycleOut(BaseModel):
    """A person's days in one cycle: the entries in their order and what stands after all of them."""

    cycle: str
    centralised_days: int
    online_days: int
    hours: int
    entries: list[DaysEntry]


class PersonDaysOut(BaseModel):
    """A person's days in every cycle that has an entry."""

    person: UUID
    cycles: list[CycleOut]


class DaysRow(BaseModel):
    """What stands for a person in a cycle. The person is a random id."""

    person: UUID
    cycle: str
    centralised_days: int
    online_days: int
    hours: int


@routes.get("", operation_id="list_training_days", summary="List training days of a cycle", responses=documented())
async def list_training_days(
    *,
    caller: Overseer,
    services: ServicesHere,
    window: WindowHere,
    cycle: Cycle,
    below: Annotated[int | None, Query(ge=0, le=366, description="Only with fewer centralised days.")] = None,
) -> Page[DaysRow]:
    """Who has which days in a cycle; with `below=7`, who has not reached what the notice asks for."""
    found = await view.page(services.own_rows(caller), cycle=cycle, below=below, after=window.after, limit=window.limit)
    items = [DaysRow.model_validate(row, from_attributes=True) for row in found.items]
    return Page(items=items, next=next_cursor(found.next))


@person_routes.get(
    "/{number}/training-days",
    operation_id="get_training_days",
    summary="Read a trainee's training days",
    responses=documented(404),
)
async def get_training_days(
    number: Annotated[TraineeNumber, Path(description="The nomination's number.")],
    caller: Reader,
    services: ServicesHere,
) -> PersonDaysOut:
    """All days of the person behind a nomination, from the ledger itself. They follow him from county to county."""
    found = await services.cases.trainee(number, caller)
    person = found.state.person
    heads = await services.ledger.streams(PEOPLE, f"training-days/{person}:", limit=MAX_CYCLES)
    cycles = []
    for head in heads:
        recorded = await services.ledger.read_stream(PEOPLE, head.stream)
        events = [training_days.EVENTS.read(each) for each in recorded]
        _, cycle = parse_days_number(parse_stream_name(head.stream)[1])
        state = training_days.fold(events)
        assert state is not None, "a stream that is listed has an event"
        cycles.append(
            CycleOut(
                cycle=cycle,
                centralised_days=state.centralised_days,
                online_days=state.online_days,
                hours=state.hours,
                entries=[_entry(each) for each in events if isinstance(each, DaysCredited | DaysReversed)],
            )
        )
    return PersonDaysOut(person=person, cycles=cycles)


def _entry(entry: DaysCredited | DaysReversed) -> DaysEntry:
    credited = isinstance(entry, DaysCredited)
    return DaysEntry(
        kind="credited" if credited else "reversed",
        campaign=entry.campaign,
        project_type=entry.project_type if isinstance(entry, DaysCredited) else "",
        certificate=entry.certificate,
        centralised_days=entry.centralised_days,
        online_days=entry.online_days,
        hours=entry.hours,
        reason=entry.reason if isinstance(entry, DaysReversed) else "",
    )
