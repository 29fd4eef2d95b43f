"""How every route behaves before its own code runs: who calls, in which format, and with which parameters.

An unknown key is refused before the body is read. An unknown query parameter is an error with the nearest name, never
ignored: a misspelt filter would show too much.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar, TypeAlias

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from api import problem_types
from api.objects import objects_of
from api.personal import observed, shows_persons
from api.problems import Problem
from api.services import Allowed
from api.validation import Fault, unknown_parameter

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class PublicRoute(APIRoute):
    """A route that needs no key."""

    is_public: ClassVar[bool] = True

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        self._beginning, self._end = path.partition("{")[0], path.rpartition("}")[2]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As every route, but the parts that never change are compared first: that is ten times cheaper."""
        path: str = scope["path"]
        if not (path.startswith(self._beginning) and path.endswith(self._end)):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Any:
        handle: Handler = super().get_route_handler()
        known = frozenset(_query_parameters(self.dependant))
        takes_json = self.body_field is not None
        is_public, operation, shows = self.is_public, self.operation_id or self.name, shows_persons(self.response_model)

        async def strict(request: Request) -> Response:
            if not is_public:
                request.state.caller = await request.app.state.services.gate.admit(request)
            _refuse_unknown_parameters(request, known)
            if takes_json:
                _require_json(request)
            return await observed(handle, request, operation, shows=shows)

        return strict


class UndeclaredPermission(TypeError):
    """A route with a key does not say who may use it, or on whose things. The message says which and how."""


class KeyRoute(PublicRoute):
    """A route that needs a key. It says who may use it (`allowed` or `step`), and what its path names has an owner."""

    is_public: ClassVar[bool] = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        guards = [each.call for each in self.dependant.dependencies if isinstance(each.call, Allowed)]
        if len(guards) != 1:
            raise UndeclaredPermission(f"{path}: {len(guards)} of `allowed` or `step` instead of one (api/services.py)")
        self.permission = guards[0]
        try:
            self.objects = objects_of(path)
        except KeyError as unknown:
            raise UndeclaredPermission(f"{path}: whose it is does not stand in api/objects.py") from unknown


def router(prefix: str, tag: str) -> APIRouter:
    """The routes of one noun, for callers with a key."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=KeyRoute)


def public_router(prefix: str, tag: str) -> APIRouter:
    """The routes of one noun, for everybody."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=PublicRoute)


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for each in dependant.dependencies:
        yield from _query_parameters(each)


def _refuse_unknown_parameters(request: Request, known: frozenset[str]) -> None:
    unknown = [name for name in dict.fromkeys(request.query_params.keys()) if name not in known]
    if unknown:
        raise Problem(problem_types.INVALID, *(unknown_parameter(name, known) for name in unknown))


def _require_json(request: Request) -> None:
    has_body = "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and media_type != "application/json":
        raise unsupported_media_type("application/json")


def unsupported_media_type(expected: str) -> Problem:
    """The body is not in the one format that this route reads."""
    fault = Fault(
        "unsupported_media_type",
        f"The body must be {expected}.",
        f"请求体必须是 {expected}。",
        f"Send `Content-Type: {expected}`.",
        f"请发送 `Content-Type: {expected}`。",
        parameter="Content-Type",
    )
    return Problem(problem_types.UNSUPPORTED_MEDIA_TYPE, fault, headers={"Accept": expected})
