"""The teacher's own way to object (异议): a page behind a signed link, without an account, until the window ends.

What he writes is sealed under his own key before anything else sees it; Temporal and the ledger hold only that.
"""

import hashlib
import hmac
from html import escape
from typing import Annotated, Final
from urllib.parse import parse_qs
from uuid import UUID, uuid5

from fastapi import Path, Request
from fastapi.responses import HTMLResponse

from api.commands import Envelope, Postponed, Target
from api.docs import page_of
from api.problems import Problem
from api.routing import public_router
from api.services import Services, ServicesHere
from domain.decision import Actor
from domain.refusals import in_words
from domain.restriction import Restriction
from domain.restriction_messages import ObjectByLink
from signed_links import OBJECT, LinkInvalid

public_routes = public_router("", "restrictions")
NAMESPACE: Final = UUID("7e1f2c1a-0c55-4b83-9d0e-5b8f9c3f6a41")
STATEMENT_LENGTH_MAX: Final = 4_000
FORM: Final = "application/x-www-form-urlencoded"
GONE: Final = 410
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=300)]

_INVALID: Final = (
    "<h1>链接无效 This link is not valid</h1>\n<p>链接已过期、已使用或不完整。请通过学校或区县教育局提出异议。</p>\n"
    "<p>It has expired, was used, or is incomplete. Your school or county takes objections.</p>"
)
_FILED: Final = (
    "<h1>异议已收到 Your objection was filed</h1>\n<p>市教育局将在异议期满后复核并作出决定。</p>\n"
    "<p>The bureau reviews it and decides after the window has ended.</p>"
)


class TeacherByLink:
    """The teacher whom a restriction concerns, known by a link that names the restriction and nothing else."""

    def __init__(self, restriction: str) -> None:
        self.actor = Actor(organisation=restriction, role="teacher", key="link")


@public_routes.get("/objections/{token}", include_in_schema=False)
async def show_objection(token: Token, services: ServicesHere) -> HTMLResponse:
    """What the proposed restriction rests on, and a field for the objection."""
    try:
        number, state = await _restriction(services, token)
    except LinkInvalid:
        return page_of("异议", _INVALID, GONE)
    until = in_words(state.deadline) if state.deadline else "—"
    return page_of(
        "异议",
        f"<h1>对拟限制提出异议 Object to a proposed restriction</h1>\n"
        f"<p>编号 number: {escape(number)}</p>\n<p>异议期至 until: {escape(until)}</p>\n"
        f'<form method="post"><label for="statement">理由 Your reasons</label>\n'
        f'<textarea id="statement" name="statement" rows="10" cols="60" maxlength="{STATEMENT_LENGTH_MAX}" required>'
        f"</textarea>\n<button>提交 Send</button></form>",
    )


@public_routes.post("/objections/{token}", include_in_schema=False)
async def file_objection(token: Token, services: ServicesHere, request: Request) -> HTMLResponse:
    """File it. Sent twice, it is filed once; another text under the same link is not taken."""
    try:
        number, state = await _restriction(services, token)
        statement = _statement(await request.body())
    except LinkInvalid:
        return page_of("异议", _INVALID, GONE)
    sealed = await services.vault.seal(state.person, {"statement": statement})
    digest = hmac.new(services.digest_key, statement.encode(), hashlib.sha256).hexdigest()
    correlation = str(request.state.request_id)
    envelope = Envelope(TeacherByLink(number), uuid5(NAMESPACE, f"{token}\n{digest}"), digest, correlation)
    target = Target("restriction", number, state.campaign, "restriction")
    try:
        await services.commands.send(target, ObjectByLink(sealed=sealed), envelope)
    except Postponed as postponed:
        await services.inbox.keep(uuid5(envelope.command_id, "operation"), [(None, postponed.delivery)])
    except Problem as problem:
        if problem.type.status >= 500:
            raise
        return page_of("异议", _INVALID, GONE)
    return page_of("异议", _FILED)


async def _restriction(services: Services, token: str) -> tuple[str, Restriction]:
    """The restriction that the link is for. Raises LinkInvalid."""
    number, _ = services.links.read(OBJECT, token, await services.clock.now())
    try:
        return number, await services.cases.restriction_for_link(number)
    except Problem:
        raise LinkInvalid("the restriction does not exist") from None


def _statement(body: bytes) -> str:
    """The text of the form. Raises LinkInvalid for something that the page does not send."""
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=5)
    except ValueError:
        raise LinkInvalid("not the form") from None
    text = "".join(fields.get("statement", [])).replace("\x00", "").strip()
    if not 0 < len(text) <= STATEMENT_LENGTH_MAX:
        raise LinkInvalid("no statement, or too long a one")
    return text
