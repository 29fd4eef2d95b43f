"""An organisation, on which the bureau, its county and it itself act; no process of its own waits for anything."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from docgen.lifecycles.exploring import Attempt, Label, Lifecycle, Situation
from docgen.lifecycles.plan import on
from domain import institution_standing
from domain.calendar import local_date
from domain.decision import Decision, Refusal, Role
from domain.institution import (
    HostReinstated,
    HostSuspended,
    InstitutionClosed,
    InstitutionRegistered,
    KeyIssued,
    Kind,
)
from domain.institution_standing import Institution, fold

BY: Final = "bureau:zzedu"
KEY: Final = "0123456789abcdef"
PHASES: Final = {
    "registered": Label("参与中", "taking part"),
    "suspended": Label("暂停承训", "suspended as a host"),
    "closed": Label("已撤并", "closed"),
}
COMMANDS: Final = {
    "issue-key": Label("签发密钥", "issue a key"),
    "change-contact": Label("更换联系方式", "change where notices go"),
    "suspend": Label("暂停承训", "suspend the host"),
    "reinstate": Label("恢复承训", "reinstate the host"),
    "close": Label("撤并", "close the school"),
}


def registered(id_: str, kind: Kind, parent: str = "") -> InstitutionRegistered:
    """An organisation as it is registered, with an invented name."""
    return InstitutionRegistered(id=id_, kind=kind, name_zh=f"单位{id_}", parent=parent, email=f"{id_}@example.invalid")


HOST: Final = registered("h001", "host")
SCHOOL: Final = registered("410181-s01", "school", "410181")
OTHER_SCHOOL: Final = registered("410181-s02", "school", "410181")
ISSUED: Final = KeyIssued(key=KEY, scopes=("trainees:read",), issued_by=BY)
SUSPENDED: Final = HostSuspended(
    by=BY,
    decided_by="b7",
    reasons="two classes without a list",
    document="letter 3",
    starts=date(2022, 11, 1),
    until=date(2023, 11, 1),
)
REINSTATED: Final = HostReinstated(by=BY, decided_by="b7", reasons="put right")
CLOSED: Final = InstitutionClosed(by=BY, successor=OTHER_SCHOOL.id, document="letter 4")


def phase_of(state: Institution) -> str:
    """What it may still do. A suspension stands until another word is said, though its days may be over."""
    if state.successor:
        return "closed"
    return "suspended" if state.suspended else "registered"


def _by(*roles: Role, act: Callable[[Institution, Situation], Decision | Refusal]) -> tuple[Attempt, ...]:
    def decide(state: Any, situation: Situation) -> Decision | Refusal:
        return act(state, situation)

    return tuple(Attempt(role, decide) for role in roles)


def _issue_key(state: Institution, _situation: Situation) -> Decision | Refusal:
    return institution_standing.issue_key(state, ISSUED)


def _change_contact(_state: Institution, _situation: Situation) -> Decision | Refusal:
    return institution_standing.change_contact("office@example.invalid", by=BY)


def _suspend(state: Institution, situation: Situation) -> Decision | Refusal:
    today = local_date(situation.at)
    return institution_standing.suspend(
        state, None, today, by=BY, decided_by="b7", reasons="no lists", document="letter 3"
    )


def _reinstate(state: Institution, _situation: Situation) -> Decision | Refusal:
    return institution_standing.reinstate(state, by=BY, decided_by="b7", reasons="put right")


def _close(state: Institution, situation: Situation) -> Decision | Refusal:
    successor = fold((registered("410181-s03", "school", "410181"),))
    return institution_standing.close(state, successor, situation.facts, by=BY, document="letter 4")


SITUATIONS: Final = (
    Situation((HOST,), on(11, 2), 0, Label("承训单位", "a host")),
    Situation((SCHOOL,), on(11, 2), 0, Label("学校", "a school")),
    Situation((SCHOOL,), on(11, 2), 3, Label("有未结提名的学校", "a school with open cases")),
    Situation((registered("410181", "county", "zzedu"),), on(11, 2), 0, Label("区县", "a county")),
    Situation((HOST, SUSPENDED), on(11, 2), 0),
    Situation((SCHOOL, CLOSED), on(11, 2), 0),
)
"""The facts are the cases of a school that wait for something."""

INSTITUTION: Final = Lifecycle(
    kind="institution",
    title=Label("单位", "An organisation"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts={
        "issue-key": _by("bureau", "county", act=_issue_key),
        "change-contact": _by("bureau", "county", act=_change_contact),
        "suspend": _by("bureau", act=_suspend),
        "reinstate": _by("bureau", act=_reinstate),
        "close": _by("bureau", "county", act=_close),
    },
    situations=SITUATIONS,
    ended=frozenset({"closed"}),
    begins_in="registered",
)
