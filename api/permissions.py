"""Who may do what: one table of scopes per role, and the roles of each command as the domain's own tables give them.

A key carries some of its role's scopes. A scope opens a group of operations; whether a command is this role's step
stands in the lifecycle tables of the domain, and whether the case is the organisation's own is looked up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from domain import campaign, quota, restriction, trainee, training_class
from domain.decision import Actor, Command, Step

KeyRole = Literal["bureau", "county", "school", "host", "auditor"]
KEY_ROLES: Final[tuple[KeyRole, ...]] = ("bureau", "county", "school", "host", "auditor")
ProcessWithCommands = Literal["trainee", "class", "restriction", "quota", "campaign"]

_EVERYBODY: Final = frozenset(KEY_ROLES)
_TAKING_PART: Final = _EVERYBODY - {"auditor"}
_BOOKKEEPERS: Final = frozenset[KeyRole]({"bureau", "auditor"})
_COUNTIES: Final = frozenset[KeyRole]({"bureau", "county"})
_NOMINATORS: Final = frozenset[KeyRole]({"county", "school"})
_NOT_HOSTS: Final = frozenset[KeyRole]({"bureau", "county", "school"})
_BUREAU: Final = frozenset[KeyRole]({"bureau"})
_HOSTS: Final = frozenset[KeyRole]({"host"})

SCOPES: Final[Mapping[str, frozenset[KeyRole]]] = {
    "campaigns:read": _EVERYBODY,
    "campaigns:write": _BUREAU,
    "quotas:read": _COUNTIES | {"auditor"},
    "quotas:write": _COUNTIES,
    "institutions:read": _EVERYBODY,
    "institutions:write": _COUNTIES,
    "institutions:suspend": _BUREAU,
    "keys:read": _EVERYBODY,
    "keys:write": _TAKING_PART,
    "nominations:write": _NOMINATORS,
    "operations:read": _TAKING_PART,
    "trainees:read": _TAKING_PART,
    "trainees:write": _TAKING_PART,
    "training-days:read": _BUREAU,
    "classes:read": _TAKING_PART,
    "classes:write": _HOSTS,
    "people:read": _BUREAU,
    "people:write": _BUREAU,
    "restrictions:read": _NOT_HOSTS,
    "restrictions:write": _NOT_HOSTS,
    "bulletins:read": frozenset({"bureau", "county", "host", "auditor"}),
    "webhooks:read": _TAKING_PART,
    "webhooks:write": _TAKING_PART,
    "deliveries:read": _TAKING_PART,
    "mailboxes:read": _BUREAU,
    "mailboxes:write": _BUREAU,
    "ledger:audit": _EVERYBODY,
    "audit:read": _BOOKKEEPERS,
    "clock:read": _EVERYBODY,
    "clock:write": _BUREAU,
}
"""Each scope with the roles whose keys may carry it."""

_TABLES: Final[Mapping[ProcessWithCommands, Mapping[type[Command], Step]]] = {
    "trainee": trainee.LIFECYCLE,
    "class": training_class.LIFECYCLE,
    "restriction": restriction.PROCEDURE,
    "quota": quota.QUOTA_STEPS,
    "campaign": campaign.CAMPAIGN_STEPS,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The organisation behind a request, through one of its keys."""

    key_id: str
    organisation: str
    role: KeyRole
    scopes: frozenset[str]

    @property
    def actor(self) -> Actor:
        """The caller as the domain knows him."""
        return Actor(organisation=self.organisation, role=self.role, key=self.key_id)


def scopes_of(role: KeyRole) -> tuple[str, ...]:
    """Every scope that a key of the role may carry, in the order of the table."""
    return tuple(scope for scope, roles in SCOPES.items() if role in roles)


def excess(role: KeyRole, scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes that a key of the role may not carry, unknown ones included."""
    return tuple(scope for scope in scopes if role not in SCOPES.get(scope, frozenset()))


def commands_of_people(process: ProcessWithCommands) -> dict[str, type[Command]]:
    """The commands that somebody sends, by name; the rest are the system's own."""
    table = _TABLES[process]
    return {command.name: command for command, step in table.items() if set(step.roles) != {"system"}}


def roles_of(process: ProcessWithCommands, command: str) -> tuple[KeyRole, ...]:
    """The roles whose step the command is, the system aside. Raises KeyError for an unknown command."""
    step = _TABLES[process][commands_of_people(process)[command]]
    return tuple(role for role in KEY_ROLES if role in step.roles)
