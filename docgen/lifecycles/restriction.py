"""A restriction: its phases and commands by name, its situations, and an attempt at every command."""

from datetime import date, datetime
from typing import Final

from docgen.lifecycles.exploring import Label, Lifecycle, Situation, attempts_of, phase_of
from docgen.lifecycles.plan import ACTORS, CAMPAIGN, NUMBER, THE_PLAN, on
from docgen.lifecycles.trainee_events import PERSON, RESTRICTION
from domain import calendar, restriction
from domain.decision import Command, Event
from domain.restriction import Facts, fold
from domain.restriction_messages import (
    Drop,
    FailService,
    Impose,
    Object,
    ObjectByLink,
    ObjectionFiled,
    ObjectionWindowClosed,
    PassRestrictionDeadline,
    Record,
    RecordBounce,
    RestrictionDropped,
    RestrictionExpired,
    RestrictionImposed,
    RestrictionProposed,
    RestrictionReversed,
    RestrictionServed,
    RestrictionWaived,
    Reverse,
    Serve,
    ServiceOverdue,
    Waive,
)

PHASES: Final = {
    "proposed": Label("拟限制", "proposed"),
    "served": Label("已送达", "served"),
    "objected": Label("已提出异议", "objected"),
    "imposed": Label("限制参训", "imposed"),
    "dropped": Label("不予限制", "dropped"),
    "expired": Label("期满", "expired"),
    "reversed": Label("已撤销", "reversed"),
}
COMMANDS: Final = {
    "record": Label("登记既有限制", "record an earlier one"),
    "serve": Label("送达", "serve"),
    "fail-service": Label("登记未能送达", "record that service failed"),
    "record-bounce": Label("登记退信", "record that the mail came back"),
    "object": Label("提出异议", "object"),
    "object-by-link": Label("本人提出异议", "object by the teacher's own link"),
    "impose": Label("决定限制", "impose"),
    "drop": Label("决定不予限制", "drop"),
    "waive": Label("豁免", "waive"),
    "reverse": Label("撤销", "reverse"),
    "pass-deadline": Label("到期处理", "pass the deadline"),
}
EXAMPLES: Final[tuple[Command, ...]] = (
    Record(person=PERSON, sealed="sealed", starts=date(2021, 1, 1), until=date(2024, 1, 1), document="letter 1"),
    Serve(via="mail"),
    FailService(reason="returned"),
    RecordBounce(until=on(10, 28, 16), reason="returned"),
    Object(statement="letter 5"),
    ObjectByLink(sealed="sealed"),
    Impose(decided_by="staff-07", reasons="no good reason was shown"),
    Drop(decided_by="staff-07", reasons="a misunderstanding"),
    Waive(
        decided_by="staff-07",
        reasons="needed for the examination",
        document="letter 8",
        campaign=CAMPAIGN,
        project_type="gp5",
    ),
    Reverse(decided_by="staff-07", reasons="new evidence", document="letter 9"),
    PassRestrictionDeadline(),
)
PROPOSED: Final = RestrictionProposed(
    campaign=CAMPAIGN,
    trainee=NUMBER,
    person=PERSON,
    county="410181",
    school="410181-s01",
    host="h001",
    ground="dismissed",
    incident_on=date(2022, 10, 12),
    proposed_at=on(10, 12),
    serve_by=on(10, 19, 16),
)
SERVED: Final = (
    PROPOSED,
    RestrictionServed(by="bureau:zzedu", via="mail", served_at=on(10, 14), objection_until=on(10, 28, 16)),
)
OBJECTED: Final = (*SERVED, ObjectionFiled(by="school:410181-s01", statement="letter 5"))
IMPOSED: Final = (
    *SERVED,
    ObjectionWindowClosed(),
    RestrictionImposed(
        by="bureau:zzedu",
        decided_by="staff-07",
        reasons="no good reason was shown",
        starts=date(2022, 10, 31),
        until=date(2025, 10, 31),
        policy="3 years from decision",
    ),
)
WAIVED: Final = RestrictionWaived(
    by="bureau:zzedu",
    decided_by="staff-07",
    reasons="needed for the examination",
    document="letter 8",
    campaign=CAMPAIGN,
    project_type="gp5",
)
KNOWN: Final = Facts(THE_PLAN, person_version=1)


def _at(at: datetime, events: tuple[Event, ...], zh: str = "", en: str = "") -> Situation:
    return Situation(events, at, KNOWN, Label(zh, en) if zh else None)


SITUATIONS: Final = (
    _at(on(10, 13), ()),
    _at(on(10, 13), (PROPOSED,)),
    _at(on(10, 19, 16), (PROPOSED,), "送达期满", "service is due"),
    _at(on(10, 20), (PROPOSED, ServiceOverdue()), "送达逾期", "service is overdue"),
    _at(on(10, 20), SERVED),
    _at(on(10, 28, 16), SERVED, "异议期满", "the window has ended"),
    _at(on(10, 29), (*SERVED, ObjectionWindowClosed()), "异议期已关闭", "the window is closed"),
    _at(on(10, 20), OBJECTED),
    _at(on(10, 28, 16), OBJECTED, "异议期满", "the window has ended"),
    _at(on(10, 29), (*OBJECTED, ObjectionWindowClosed()), "异议期已关闭", "the window is closed"),
    _at(on(11, 10), IMPOSED),
    _at(on(11, 10), (*IMPOSED, WAIVED), "已豁免一项", "waived for one project"),
    _at(calendar.start_of_day(date(2025, 10, 31)), IMPOSED, "期满", "its last day has passed"),
    _at(on(11, 1), (*SERVED, RestrictionDropped(by="bureau:zzedu", decided_by="staff-07", reasons="r"))),
    _at(calendar.start_of_day(date(2025, 11, 1)), (*IMPOSED, RestrictionExpired())),
    _at(on(12, 1), (*IMPOSED, RestrictionReversed(by="b", decided_by="staff-07", reasons="r", document="d"))),
)
RESTRICTING: Final = Lifecycle(
    kind="restriction",
    title=Label("限制参训", "A restriction"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts=attempts_of(restriction.PROCEDURE, EXAMPLES, ACTORS, RESTRICTION, restriction.decide),
    situations=SITUATIONS,
    ended=frozenset({"dropped", "expired", "reversed"}),
    begins_in="proposed",
)
