"""How members of staff sign in: by the organisation's provider (OpenID Connect), or with a local account.

    /sign-in ──► /sign-in/provider ──► the provider ──► /sign-in/callback ──► session
        └──────► name and password ──────────────────────────────────────────► session

The state of an attempt travels in a sealed cookie that lives ten minutes: only the browser that began can end it.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

import orjson
import structlog
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field

from api.accounts import standing
from api.docs import page_of
from api.gate import address_of
from api.oidc import Attempt, ProviderError, new_attempt
from api.permissions import KeyRole, scopes_of
from api.problems import Problem, documented
from api.routing import foreign_router, public_router
from api.services import Services, ServicesHere
from api.sessions import Staff, staff_id
from secrets_box import SecretBroken
from settings import StaffGroup

routes = public_router("", "sign-in")
callback_routes = foreign_router("", "sign-in")
ATTEMPT_COOKIE: Final = "xunji_sign_in"
ATTEMPT_S: Final = 600
ATTEMPT_PLACE: Final = "sign-in attempt"
HOME: Final = "/docs"
NEXT_MAX: Final = 500
SEE_OTHER: Final = 303
MAX_GROUPS: Final = 1_000
_UNSEEN: Final = {"Cache-Control": "no-store"}
_OF_PAGES: Final = {**_UNSEEN, "Referrer-Policy": "same-origin"}
"""With `no-referrer`, as other pages have it, browsers would send `Origin: null` with the form."""

log = structlog.get_logger(__name__)

_WORDS: Final[Mapping[str, tuple[int, str, str]]] = {
    "wrong": (401, "名称或密码不正确。", "The name or the password is not right."),
    "off": (404, "未配置统一身份认证。", "No provider is set up here. Sign in with a local account."),
    "attempt": (
        400,
        "登录已过期或不是在此浏览器开始的，请重新登录。",
        "This sign-in is over, or began elsewhere. Begin anew.",
    ),
    "denied": (403, "统一身份认证拒绝了登录。", "The provider has refused the sign-in."),
    "provider": (502, "统一身份认证的应答不能接受，请稍后重试或联系管理员。", "The provider's answer is not accepted."),
    "stranger": (
        403,
        "身份已确认，但您的账户未分配到任何单位。请联系市教育局管理员。",
        "We know who you are, but no organisation here is yours. Ask the bureau's administrator to assign you.",
    ),
    "several": (
        403,
        "您的账户分配到了多个单位，无法确定身份。请联系管理员。",
        "You are assigned to more than one organisation. Ask the administrator to leave one.",
    ),
}
"""What a person is told, by code: status, Chinese, English."""


class SessionOut(BaseModel):
    """Who is asking, by session or by key."""

    organisation: str
    role: KeyRole
    reader: str = Field(description="The id that stands for the member of staff, or of the key.")
    scopes: list[str]
    expires_at: datetime | None = Field(description="When the session ends at the latest; null for a key.")


class SignInRefused(Exception):
    """Nobody is signed in; `code` is one of the words above."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# -------------------------------------------------------------------------------------------------------- pages


@routes.get("/sign-in", include_in_schema=False)
async def show_sign_in(request: Request, services: ServicesHere, next: str = HOME) -> HTMLResponse:  # noqa: A002
    """A form for a local account, and the way to the provider where there is one."""
    return _form(services, next)


@routes.post("/sign-in", include_in_schema=False)
async def sign_in(request: Request, services: ServicesHere) -> Response:
    """Sign in with a local account."""
    try:
        services.sessions.require_own_origin(request)
        fields = _fields(await request.body())
        name, address = fields.get("name", ""), address_of(request)
        who = (f"address {address}", f"account {name}")
        services.limits.require_patience(*who)
        staff = await services.accounts.find(name, fields.get("password", ""))
        if staff is None:
            log.info("sign_in_failed", request_id=request.state.request_id)
            await services.limits.failed(*who)
            return _form(services, fields.get("next", HOME), "wrong")
    except Problem as problem:
        return _page_of_problem(problem)
    response = RedirectResponse(_own(fields.get("next", HOME)), SEE_OTHER, _UNSEEN)
    await services.sessions.begin(staff, response, instead_of=services.sessions.token_in(request))
    return response


@routes.get("/sign-in/provider", include_in_schema=False)
async def go_to_provider(services: ServicesHere, next: str = HOME) -> Response:  # noqa: A002
    """Send the browser to the provider."""
    if services.provider is None:
        return _page("off")
    attempt = new_attempt()
    try:
        response = RedirectResponse(await services.provider.address(attempt), SEE_OTHER, _UNSEEN)
    except ProviderError as error:
        log.warning("provider_refused", cause=error.code)
        return _page("provider")
    kept = orjson.dumps([attempt.state, attempt.nonce, attempt.verifier, _own(next), int(time.time())])
    sealed = base64.urlsafe_b64encode(services.box.seal(ATTEMPT_PLACE, kept)).decode()
    response.set_cookie(
        ATTEMPT_COOKIE,
        sealed,
        max_age=ATTEMPT_S,
        path="/sign-in",
        secure=services.sessions.is_secure,
        httponly=True,
        samesite="lax",
    )
    return response


@callback_routes.get("/sign-in/callback", include_in_schema=False)
async def come_back(request: Request, services: ServicesHere) -> Response:
    """The browser comes back from the provider, with a code or without. What else a provider sends means nothing."""
    try:
        staff, next_ = await _from_provider(request, services)
    except SignInRefused as refused:
        response: Response = _page(refused.code)
    except ProviderError as error:
        log.warning("provider_refused", cause=error.code, request_id=request.state.request_id)
        response = _page("provider")
    else:
        response = RedirectResponse(next_, SEE_OTHER, _UNSEEN)
        await services.sessions.begin(staff, response, instead_of=services.sessions.token_in(request))
    response.delete_cookie(ATTEMPT_COOKIE, path="/sign-in", secure=services.sessions.is_secure, httponly=True)
    return response


@routes.post("/sign-out", include_in_schema=False)
async def sign_out(request: Request, services: ServicesHere) -> Response:
    """End the session."""
    try:
        services.sessions.require_own_origin(request)
    except Problem as problem:
        return _page_of_problem(problem)
    token = services.sessions.token_in(request)
    if token:
        await services.sessions.end(token)
    response = RedirectResponse("/sign-in", SEE_OTHER, _UNSEEN)
    services.sessions.forget_in(response)
    return response


@routes.get("/v1/session", operation_id="get_session", summary="Who am I?", responses=documented())
async def get_session(request: Request, services: ServicesHere) -> SessionOut:
    """The organisation, role and scopes behind the cookie or the key that the request carries; else 401."""
    admitted = await services.gate.admit(request)
    caller = admitted.caller
    return SessionOut(
        organisation=caller.organisation,
        role=caller.role,
        reader=caller.key_id,
        scopes=sorted(caller.scopes),
        expires_at=admitted.expires_at,
    )


# ---------------------------------------------------------------------------------------------------- the provider


async def _from_provider(request: Request, services: Services) -> tuple[Staff, str]:
    """Who has signed in, and where he wanted to go. Raises SignInRefused and ProviderError."""
    if services.provider is None:
        raise SignInRefused("off")
    attempt, next_ = _attempt_of(request, services)
    given = request.query_params
    if not hmac.compare_digest(given.get("state", "").encode(), attempt.state.encode()):
        raise SignInRefused("attempt")
    code = given.get("code")
    if not code or "error" in given:
        raise SignInRefused("denied")
    claims = await services.provider.claims(code, attempt, given.get("iss"))
    return await _staff_of(services, claims, services.provider.issuer), next_


def _attempt_of(request: Request, services: Services) -> tuple[Attempt, str]:
    try:
        sealed = base64.urlsafe_b64decode(request.cookies.get(ATTEMPT_COOKIE, "").encode())
        state, nonce, verifier, next_, began = orjson.loads(services.box.open(ATTEMPT_PLACE, sealed))
    except (binascii.Error, SecretBroken, ValueError):
        raise SignInRefused("attempt") from None
    if not 0 <= time.time() - began <= ATTEMPT_S:
        raise SignInRefused("attempt")
    return Attempt(state, nonce, verifier), next_


async def _staff_of(services: Services, claims: Mapping[str, Any], issuer: str) -> Staff:
    """The member of staff whom the claims describe, by the settings' groups. Raises SignInRefused."""
    settings = services.settings
    held = claims.get(settings.oidc_claim, ())
    values = (
        {held}
        if isinstance(held, str)
        else {each for each in held if isinstance(each, str)}
        if _is_list(held)
        else set()
    )
    groups = [each for each in settings.oidc_staff if each.value in values]
    organisations = {each.organisation for each in groups}
    if len(organisations) > 1:
        raise SignInRefused("several")
    registered = await standing(services.pool, services.registry, organisations.pop()) if organisations else None
    if registered is None:
        raise SignInRefused("stranger")
    role = registered.kind
    scopes = _scopes_of(role, groups)
    if not scopes:
        raise SignInRefused("stranger")
    id_ = staff_id(services.digest_key, issuer, str(claims["sub"]))
    return Staff(id_, registered.id, role, scopes)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_GROUPS


def _scopes_of(role: KeyRole, groups: list[StaffGroup]) -> frozenset[str]:
    """What the groups open, and never more than a key of the role may carry."""
    every = frozenset(scopes_of(role))
    return every & frozenset(scope for each in groups for scope in (each.scopes or every))


# ------------------------------------------------------------------------------------------------------- what is shown


def _form(services: Services, next_: str, code: str = "") -> HTMLResponse:
    status, zh, en = _WORDS[code] if code else (200, "", "")
    wrong = f"<p><strong>{escape(zh)} {escape(en)}</strong></p>\n" if code else ""
    target = escape(_own(next_), quote=True)
    provider = ""
    if services.provider is not None:
        provider = (
            f'<p><a href="/sign-in/provider?next={target}">统一身份认证登录 Sign in with your organisation</a></p>\n'
        )
    return _shown(
        page_of(
            "登录 Sign in",
            f"<h1>登录 Sign in</h1>\n{wrong}{provider}"
            f'<form method="post" action="/sign-in"><input type="hidden" name="next" value="{target}">\n'
            '<p><label>名称 Name <input name="name" autocomplete="username" maxlength="64" required></label></p>\n'
            '<p><label>密码 Password <input name="password" type="password" autocomplete="current-password" '
            'maxlength="200" required></label></p>\n<button>登录 Sign in</button></form>',
            status,
        )
    )


def _page(code: str) -> HTMLResponse:
    status, zh, en = _WORDS[code]
    again = '<p><a href="/sign-in">重新登录 Sign in again</a></p>'
    return _shown(page_of("登录 Sign in", f"<h1>未登录 Not signed in</h1>\n<p>{zh}</p>\n<p>{en}</p>\n{again}", status))


def _page_of_problem(problem: Problem) -> HTMLResponse:
    said = "\n".join(
        f"<p>{escape(each.zh)}{escape(each.remedy_zh)}</p>\n<p>{escape(each.en)} {escape(each.remedy_en)}</p>"
        for each in problem.faults
    )
    response = _shown(page_of("登录 Sign in", f"<h1>未登录 Not signed in</h1>\n{said}", problem.type.status))
    response.headers.update(problem.headers)
    return response


def _shown(page: HTMLResponse) -> HTMLResponse:
    page.headers.update(_OF_PAGES)
    return page


def _own(next_: str) -> str:
    """An address of our own to go on to: never another site's, whatever a link has said."""
    is_own = next_.startswith("/") and not next_.startswith(("//", "/\\")) and len(next_) <= NEXT_MAX
    return next_ if is_own and next_.isprintable() and "\\" not in next_ else HOME


def _fields(body: bytes) -> dict[str, str]:
    try:
        return {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=5).items()}
    except ValueError:
        return {}
