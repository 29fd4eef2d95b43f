"""Conditional requests: an `ETag` names the version that an answer shows, `If-None-Match` asks whether there is a newer
one, and `If-Match` says on which version somebody has decided.

A tag is `"<stream version>"`. An answer that shows more than its stream, such as a teacher's particulars, has a digest
of it behind the version (`"7.9f2c41ab"`): nobody is told "unchanged" while a telephone number was corrected, or the
teacher was forgotten. For a command only the version counts. It is compared where the command is decided, with the
stream itself and never with a view; a tag from a view that lags is refused as stale, and never lets an update be lost.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from api import problem_types
from api.permissions import ProcessWithCommands
from api.problems import Problem
from api.services import Services
from api.validation import Fault

Versions: TypeAlias = tuple[int, ...]
"""The versions on which a command may be decided; empty when any will do."""

DIGEST_LENGTH: Final = 8
MAX_TAGS: Final = 10
"""Tags of one `If-Match`."""

_LIST: Final = re.compile(r'(?:W/)?"[^"]{0,80}"(?:\s*,\s*(?:W/)?"[^"]{0,80}")*')
_TAG: Final = re.compile(r'"([^"]*)"')
_OURS: Final = re.compile(r"([0-9]{1,18})(?:\.[0-9a-f]{8})?")

REQUIRED: Final[Mapping[ProcessWithCommands, frozenset[str]]] = {
    "trainee": frozenset(
        {
            "approve",
            "return",
            "reject",
            "excuse",
            "review-identity",
            "change-school",
            "resume",
            "correct",
            "reissue-certificate",
            "record-late-answer",
            "substitute",
        }
    ),
    "class": frozenset(
        {
            "postpone",
            "move",
            "go-online",
            "merge",
            "split",
            "cancel",
            "change-capacity",
            "set-timetable",
        }
    ),
    "restriction": frozenset({"impose", "drop", "waive", "reverse"}),
    "quota": frozenset({"override"}),
    "campaign": frozenset({"reopen", "remove-host"}),
}
"""The commands that need `If-Match`: somebody decides on what he has read, or replaces it, and the phase alone would
not tell that it has changed meanwhile (docs/decisions/, "Conditional requests")."""


# ------------------------------------------------------------------------------------------------------- answers

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        max_length=1_000,
        description="The `ETag` of an earlier answer: 304 when it still holds.",
        examples=['"7"'],
    ),
]
"""The parameter of a route that reads one thing with a stream."""


IF_MATCH: Final = '^"[0-9]{1,18}([.][0-9a-f]{8})?"$'
"""The form of an `If-Match` as the description has it; a list, a weak tag and `*` are taken as well."""

ETAG_HEADER: Final[Mapping[str, Any]] = {
    "description": "The version of the thing's stream, in quotes; followed by a digest where the answer shows more "
    "than its stream.",
    "schema": {"type": "string", "pattern": '^"[0-9]+([.][0-9a-f]{8})?"$'},
    "example": '"7"',
}


def etag(version: int) -> str:
    """The version of a stream as an entity tag."""
    return f'"{version}"'


def answered(
    services: Services, shown: BaseModel, version: int, if_none_match: str | None, *, shows_more: bool = False
) -> Response:
    """The reading of one thing at a version of its stream, or 304. `shows_more`: some of it is not the stream's.

    The digest is keyed: it stands in logs of proxies, and what it is made of may be personal.
    """
    content = shown.model_dump_json().encode()
    tag = etag(version)
    if shows_more:
        digest = hmac.digest(services.digest_key, content, hashlib.sha256).hex()[:DIGEST_LENGTH]
        tag = f'"{version}.{digest}"'
    given = (if_none_match or "").strip()
    if given == "*" or (_LIST.fullmatch(given) and tag.strip('"') in _TAG.findall(given)):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(content, headers={"ETag": tag}, media_type="application/json")


# ------------------------------------------------------------------------------------------------------ commands


class Precondition:
    """A dependency that reads `If-Match`. Raises Problem 428 when it is needed and missing, and 400 for what is no tag.

    `*` says that any version will do, so where a version is needed it is none.
    """

    def __init__(self, *, required: bool) -> None:
        self.required = required

    async def __call__(
        self,
        if_match: Annotated[
            str | None,
            Header(
                alias="If-Match",
                description="The `ETag` of the answer on which this is decided. If the thing has changed since, the "
                "request is refused with 412 and nothing is done.",
                examples=['"7"'],
            ),
        ] = None,
    ) -> Versions:
        given = (if_match or "").strip()
        if given in ("", "*"):
            if self.required:
                raise Problem(problem_types.PRECONDITION_REQUIRED, _NEEDED)
            return ()
        return _versions(given)


def seen(process: ProcessWithCommands, command: str) -> Any:
    """For the parameter of a command's route: the versions on which the caller has decided."""
    return Depends(Precondition(required=command in REQUIRED[process]))


SeenHere = Annotated[Versions, Depends(Precondition(required=True))]
"""The parameter of a route that changes one thing and is no process's command."""


def _versions(given: str) -> Versions:
    # Without quotes it is taken as well. A proxy that compresses marks a tag as weak; ours name a version all the same.
    tags = _TAG.findall(given) if _LIST.fullmatch(given) else [given]
    matches = [_OURS.fullmatch(each) for each in tags[: MAX_TAGS + 1]]
    versions = tuple(int(each[1]) for each in matches if each is not None)
    if len(versions) < len(matches) or len(versions) > MAX_TAGS:
        raise Problem(problem_types.MALFORMED, _NO_TAG)
    return versions


def not_here() -> Problem:
    """`If-Match` was sent to a route that does not know it: whoever sent it believes that he is protected."""
    return Problem(problem_types.INVALID, _NOT_HERE)


_NEEDED: Final = Fault(
    "if_match_missing",
    "This decides on what you have read, so it needs an `If-Match` header with the version that you read.",
    "此操作基于您看到的内容作出，必须带 `If-Match` 头，写明您看到的版本。",
    "Read it with GET and send the answer's `ETag` as `If-Match`.",
    "请先用 GET 读取，并把答复中的 `ETag` 作为 `If-Match` 发送。",
    parameter="If-Match",
)
_NO_TAG: Final = Fault(
    "not_a_tag",
    "`If-Match` holds something that is no `ETag` of this API, or more than 10 of them.",
    "`If-Match` 中含有并非本接口 `ETag` 的内容，或超过 10 个。",
    'Send the `ETag` of an answer as it came, for example `"7"`.',
    '请原样发送答复中的 `ETag`，例如 `"7"`。',
    parameter="If-Match",
)
_NOT_HERE: Final = Fault(
    "if_match_unknown",
    "This is not about one thing with a version, so `If-Match` would protect nothing.",
    "此操作不针对某一个带版本的对象，`If-Match` 不起作用。",
    "Leave it out; where rows have a field `version`, give it there.",
    "请省略；如行中有 `version` 字段，请在行中填写。",
    parameter="If-Match",
)
