"""What the addresses name: every parameter in the path of a route with a key is the id of one kind of object, and of
each kind it is said here which ones exist for which role.

An object of somebody else does not exist: 404, in the words for an id that nobody has. `docs/permissions.md` shows the
table, `tests/api/test_tenants.py` asks every operation for somebody else's object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.permissions import KEY_ROLES, KeyRole

EVERY: Final = "every one"
_OWN: Final = "its own"


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """A kind of object, and in words which ones exist for each role; for a role without words there is none."""

    name: str
    whose: Mapping[KeyRole, str]


def _everybodys(name: str) -> ObjectKind:
    return ObjectKind(name, dict.fromkeys(KEY_ROLES, EVERY))


_NOMINATION: Final[Mapping[KeyRole, str]] = {
    "bureau": EVERY,
    "county": "of its schools and its own",
    "school": _OWN,
    "host": "those assigned to it",
}
_SENT: Final[Mapping[KeyRole, str]] = {"county": "those it sent itself", "school": "those it sent itself"}
_SENT_BY_HOST: Final[Mapping[KeyRole, str]] = {"host": "those it sent itself"}
_ANYBODYS_OWN: Final[Mapping[KeyRole, str]] = dict.fromkeys(("bureau", "county", "school", "host"), _OWN)

OBJECTS: Final[Mapping[str, ObjectKind]] = {
    "/v1/trainees/{number}": ObjectKind("nomination", _NOMINATION),
    "/v1/certificates/{number}": ObjectKind("certificate", _NOMINATION),
    "/v1/classes/{number}": ObjectKind(
        "class",
        {
            "bureau": EVERY,
            "county": "those with its trainees",
            "school": "those with its trainees",
            "host": _OWN,
        },
    ),
    "/v1/restrictions/{number}": ObjectKind(
        "restriction", {"bureau": EVERY, "county": "from its nominations", "school": "from its nominations"}
    ),
    "/v1/quotas/{number}": ObjectKind(
        "quota line", {"bureau": EVERY, "county": "given to it or by it", "auditor": EVERY}
    ),
    "/v1/campaigns/{campaign}": _everybodys("campaign"),
    "/v1/institutions/{institution}": ObjectKind(
        "organisation",
        {
            "bureau": EVERY,
            "county": "bureau, hosts, itself and its schools; it changes its schools and itself",
            "school": "bureau, hosts, its county and itself",
            "host": "bureau, hosts and itself",
            "auditor": EVERY,
        },
    ),
    "/v1/institutions/{institution}/keys/{key_id}": ObjectKind(
        "key", {"bureau": EVERY, "county": "its own and its schools'", "school": _OWN, "host": _OWN, "auditor": _OWN}
    ),
    "/v1/people/{id}": ObjectKind("person", {"bureau": EVERY}),
    "/v1/nomination-imports/{id}": ObjectKind("nomination import", _SENT),
    "/v1/registration-imports/{id}": ObjectKind("registration import", _SENT_BY_HOST),
    "/v1/attendance-imports/{id}": ObjectKind("attendance import", _SENT_BY_HOST),
    "/v1/outcome-imports/{id}": ObjectKind("outcome import", _SENT_BY_HOST),
    "/v1/operations/{operation}": ObjectKind("operation", _ANYBODYS_OWN),
    "/v1/webhook-endpoints/{endpoint}": ObjectKind("webhook endpoint", _ANYBODYS_OWN),
    "/v1/mailboxes/{organisation}": ObjectKind("mailbox", {"bureau": EVERY}),
    "/v1/ledger/{book}": _everybodys("book"),
}
"""The kinds by the path up to the parameter that names one."""


def objects_of(path: str) -> list[ObjectKind]:
    """The kinds that the parameters of `path` name, in their order. Raises KeyError for a parameter without one."""
    return [OBJECTS[path[: place + 1]] for place, character in enumerate(path) if character == "}"]
