"""Which problems an operation can end in, found from its code, so that the description can't fall behind it.

A route's dependencies tell the technical ones (no key, no Idempotency-Key, a stale `If-Match`). What its own code
raises is found by following its functions through our packages: each problem type and each code of a refusal that they
name. A command's refusals are found the same way from the function that decides it. That may name a problem too many,
where a function is shared; a test over every request of the API's tests sees to it that none is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api import problem_types as types
from api.bulk import row_options
from api.conditional import Precondition
from api.idempotency import read_once
from api.problem_types import REFUSALS, ProblemType
from api.receipts import CommandReceipt, RowResults
from api.services import Allowed, Services
from domain import campaign, host_standing, quota, restriction, trainee, training_class
from domain.decision import Command

OUR_PACKAGES: Final = ("api.", "domain.", "services.")
ROWS_ONLY: Final = 207
_TABLES: Final[tuple[tuple[ModuleType, Iterable[type[Command]]], ...]] = (
    (trainee, trainee.LIFECYCLE),
    (training_class, training_class.LIFECYCLE),
    (host_standing, (training_class.PlanClass,)),
    (restriction, restriction.PROCEDURE),
    (quota, quota.QUOTA_STEPS),
    (campaign, (campaign.OpenCampaign, *campaign.CAMPAIGN_STEPS)),
)
_PROCESSES: Final = {command: module for module, table in _TABLES for command in table}
"""Where each command of a process is decided."""

_BEFORE_DECIDING: Final = ("decide", "_guard")
"""The functions of a process that refuse a command before the one that decides it is asked."""

_OF_EVERY_COMMAND: Final = frozenset({"command_reused", "history_unreadable", "book_closed", "book_detached"})
_CLAIMS: Final = {
    "Count": ("quota_exhausted", "class_full", "count_below_zero"),
    "Take": ("duplicate_nomination",),
    "Clear": ("restricted_until", "host_suspended"),
    "Block": ("restriction_overlaps",),
    "Limit": ("capacity_below_used",),
}
"""Claims that a decision may ask for, and the refusals that come of them when the ledger says no."""

_READ_A_STREAM: Final = frozenset({"read_stream", "_load"})
_WAIT_FOR_VIEWS: Final = frozenset({"checkpoints", "_checkpoints"})
_APPENDS: Final = frozenset({"Append", "append_of"})


def problems_of(route: APIRoute) -> frozenset[ProblemType]:
    """Every problem that a request to the route may be answered with."""
    found = {types.INTERNAL, types.DATABASE_AWAY}
    found.update(_technical(route))
    if may_be_kept(route):
        found.update({types.INBOX_FULL, types.TEMPORAL_AWAY, types.STILL_WORKING})
    if row_options in _dependencies(route.dependant):
        found.add(types.VIEWS_BEHIND)
    if route.status_code != ROWS_ONLY:
        found.update(_carried_out(route))
    if not any(isinstance(each, Precondition) for each in _dependencies(route.dependant)):
        found.discard(REFUSALS["changed_meanwhile"])
    # It stands for a code that the table does not know; a test keeps the table complete.
    return frozenset(found - {types.OTHER_REFUSAL})


def may_be_kept(route: APIRoute) -> bool:
    """Whether it sends commands: one is kept when a part of the system is away, many also when they are very many."""
    return isinstance(route.response_model, type) and issubclass(route.response_model, CommandReceipt | RowResults)


def row_problems_of(route: APIRoute) -> frozenset[ProblemType]:
    """Every problem that a row may come to, of a request that is answered row by row."""
    if route.status_code != ROWS_ONLY and ROWS_ONLY not in route.responses:
        return frozenset()
    found = {types.INVALID, *_carried_out(route)} - {types.OTHER_REFUSAL, REFUSALS["changed_meanwhile"]}
    bodies = [each.field_info.annotation for each in route.dependant.body_params]
    rows = [row for body in bodies for row in getattr(body, "__pydantic_generic_metadata__", {}).get("args", ())]
    if any("version" in row.model_fields for row in rows):
        found.add(REFUSALS["changed_meanwhile"])
    return frozenset(found)


def _carried_out(route: APIRoute) -> Iterator[ProblemType]:
    yield from _raised_by(route.endpoint)
    asked = getattr(route.endpoint, "asks", None)
    if asked is not None:
        # A route that was made of another one answers with that one's problems, too.
        yield from _raised_by(asked)
    for command in _commands(route):
        yield from (REFUSALS[code] for code in _OF_EVERY_COMMAND | refusals_of(command))


def _dependencies(dependant: Dependant) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _dependencies(each)


def _technical(route: APIRoute) -> Iterator[ProblemType]:
    """What follows from the parts that the route is made of."""
    calls = list(_dependencies(route.dependant))
    if not getattr(route, "is_public", False):
        yield from (types.UNAUTHENTICATED, types.TOO_MANY_REQUESTS, types.TOO_MANY_FAILED_SIGN_INS)
    yield types.INVALID
    if route.dependant.path_params:
        yield types.NOT_FOUND
        if route.status_code == ROWS_ONLY:
            # What all rows are about may be another organisation's.
            yield REFUSALS["unknown_number"]
    if route.body_field is not None:
        yield from (types.MALFORMED, types.TOO_LARGE, types.TOO_SLOW, types.UNSUPPORTED_MEDIA_TYPE)
    if read_once in calls:
        yield from (types.KEY_MISSING, types.KEY_REUSED, types.IN_FLIGHT, types.TOO_LARGE, types.TOO_SLOW)
    for call in calls:
        if isinstance(call, Precondition):
            yield from (types.MALFORMED, REFUSALS["changed_meanwhile"])
            if call.required:
                yield types.PRECONDITION_REQUIRED
        elif isinstance(call, Allowed):
            yield types.SCOPE_MISSING
            if call.roles:
                yield REFUSALS["not_your_part"]
        elif isinstance(call, FunctionType):
            yield from _raised_by(call)


@cache
def refusals_of(command: type[Command]) -> frozenset[str]:
    """The codes with which a process's command may be refused."""
    module = _PROCESSES[command]
    decide = getattr(module, "_DECIDERS", {}).get(command)
    if decide is None:
        return _codes(module.decide)
    before = (getattr(module, name, None) for name in _BEFORE_DECIDING)
    return _codes(decide).union(*(_named(each.__code__)[1] for each in before if each is not None))


def _commands(route: APIRoute) -> frozenset[type[Command]]:
    """The commands that the route takes as its body, was made for, or names in its own functions."""
    found: list[Any] = [each.field_info.annotation for each in route.dependant.body_params]
    found.extend(cell.cell_contents for cell in getattr(route.endpoint, "__closure__", None) or ())
    for each in _reached(route.endpoint):
        if each.__module__.startswith("api."):
            found.extend(each.__globals__.get(name) for name in _named(each.__code__)[0])
    for table in [each for each in found if isinstance(each, dict)]:
        found.extend(table.values())
    return frozenset(each for each in found if isinstance(each, type) and each in _PROCESSES)


def _codes(function: Callable[..., Any]) -> frozenset[str]:
    names, codes = _mentioned(function)
    claimed = (code for claim, refusals in _CLAIMS.items() if claim in names for code in refusals)
    return codes.union(claimed)


def _raised_by(function: Callable[..., Any]) -> Iterator[ProblemType]:
    names, codes = _mentioned(function)
    yield from (REFUSALS[code] for code in codes)
    if names & _READ_A_STREAM:
        yield from (REFUSALS["book_detached"], REFUSALS["history_unreadable"])
    if names & _WAIT_FOR_VIEWS:
        yield types.VIEWS_BEHIND
    if names & _APPENDS:
        yield REFUSALS["book_closed"]
    yield from (each for name in names if isinstance(each := getattr(types, name, None), ProblemType))


@cache
def _mentioned(function: Callable[..., Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The names and the refusals' codes that the function mentions, or one that it may call."""
    names, codes = set[str](), set[str]()
    for each in _reached(function):
        used, refused = _named(each.__code__)
        names |= used
        codes |= refused
        for rules in (value for name in used if isinstance(value := each.__globals__.get(name), tuple)):
            codes.update(code for rule in rules if isinstance(code := getattr(rule, "code", None), str))
    return frozenset(names), frozenset(codes & REFUSALS.keys())


def _reached(function: Callable[..., Any]) -> Iterator[FunctionType]:
    """The function, and every one of ours that it may call, in no order. It ends: each is looked at once."""
    waiting: list[Any] = [function]
    seen: set[CodeType] = set()
    while waiting:
        each = waiting.pop()
        is_ours = isinstance(each, FunctionType) and f"{each.__module__}.".startswith(OUR_PACKAGES)
        if is_ours and each.__code__ not in seen:
            seen.add(each.__code__)
            yield each
            waiting.extend(_called(each))


def _called(function: FunctionType) -> Iterator[Any]:
    names = _named(function.__code__)[0]
    for cell in function.__closure__ or ():
        yield cell.cell_contents
    parts: list[Any] = [function.__globals__.get(function.__qualname__.partition(".")[0])]
    for name in names:
        value = function.__globals__.get(name)
        yield value
        if isinstance(value, ModuleType):
            parts.append(value)
        # A part of the services is known by its name.
        parts.append(_SERVICES.get(name))
    for part in parts:
        if isinstance(part, (type, ModuleType)):
            yield from (getattr(part, name, None) for name in names)


_SERVICES: Final = {name: type_ for name, type_ in Services.__annotations__.items() if isinstance(type_, type)}


@cache
def _named(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a function's code uses and the codes of refusals that stand in it, with its inner functions'."""
    names, codes = set(code.co_names), set[str]()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_names, inner_codes = _named(constant)
            names |= inner_names
            codes |= inner_codes
        elif isinstance(constant, str) and constant in REFUSALS:
            codes.add(constant)
    return frozenset(names), frozenset(codes)
