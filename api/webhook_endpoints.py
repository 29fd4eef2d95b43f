"""Where an organisation wants its notices posted. What became of them: `api.webhook_deliveries`.

A URL is checked here as far as its text goes; the sender looks the name up, checks every address it finds and connects
to exactly those, so a name that answers differently later changes nothing.
"""

import base64
import ipaddress
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit
from uuid import uuid5

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api import problem_types
from api.idempotency import COMMAND_NAMESPACE, Answer, OnceHere
from api.institutions import recording_of
from api.permissions import Caller
from api.problems import Problem, documented, not_found
from api.registry import Recording, derived_id
from api.routing import router
from api.services import Services, ServicesHere, allowed
from api.validation import Fault
from domain.institution import WebhookEndpointDisabled, WebhookEndpointRegistered, WebhookSecretRotated

routes = router("/v1/webhook-endpoints", "webhooks")
MAX_ENDPOINTS: Final = 10
"""In use at once, per organisation."""

SECRET_BYTES: Final = 32
LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
EventType = Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)+$", max_length=100, examples=["trainee.selected"])]
IdInPath = Annotated[str, Path(pattern=r"^we_[a-z0-9]{16}$", description="The endpoint's id.")]
Reader = Annotated[Caller, allowed("webhooks:read")]
Writer = Annotated[Caller, allowed("webhooks:write")]

_COLUMNS: Final = (
    "id, url, event_types, created_at, disabled_at, disabled_because, "
    "CASE WHEN former_secret_until > clock_timestamp() THEN former_secret_until END AS former_secret_until"
)
_COUNT: Final = (
    "SELECT count(*) FROM app.webhook_endpoints WHERE organisation = $1 AND disabled_at IS NULL AND id <> $2"
)
_INSERT: Final = """
INSERT INTO app.webhook_endpoints (id, organisation, url, secret_sealed, event_types, created_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET secret_sealed = EXCLUDED.secret_sealed
"""


_DISABLE: Final = """
UPDATE app.webhook_endpoints SET disabled_at = clock_timestamp(), disabled_because = 'owner'
WHERE id = $1 AND organisation = $2 AND disabled_at IS NULL
"""
# Sent again under the same Idempotency-Key after a crash, the secret is made once more: nobody has seen the first one,
# and the former one is still the one that the receiver knows.
_ROTATE: Final = """
UPDATE app.webhook_endpoints
SET secret_sealed = $3, former_secret_until = CASE WHEN $4 THEN clock_timestamp() + $5::interval END,
    former_secret_sealed = CASE
        WHEN NOT $4 THEN NULL WHEN rotated_by = $6 THEN former_secret_sealed ELSE secret_sealed
    END,
    rotated_by = $6
WHERE id = $1 AND organisation = $2 AND disabled_at IS NULL
RETURNING former_secret_until
"""


class NewEndpoint(BaseModel):
    """Where notices are to be posted; all of them unless types are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(min_length=8, max_length=2_000, examples=["https://training.example.edu.cn/xunji"])]
    event_types: Annotated[list[EventType] | None, Field(min_length=1, max_length=100)] = None


class EndpointOut(BaseModel):
    """A webhook endpoint without its secret."""

    id: str
    url: str
    event_types: list[str] | None
    created_at: datetime
    disabled_at: datetime | None
    disabled_because: Literal["owner", "gone", "failing"] | None = Field(
        description="`gone`: it answered 410; `failing`: it took nothing for five days; `owner`: on request."
    )
    former_secret_until: datetime | None = Field(description="Until then the secret before the current one signs too.")


class NewEndpointOut(BaseModel):
    """A new endpoint. `secret` verifies the signatures (Standard Webhooks) and is shown this once."""

    id: str
    url: str
    event_types: list[str] | None
    secret: str = Field(examples=["whsec_…"])


class RotateSecret(BaseModel):
    """How long the secret that is replaced signs beside the new one: 0 when it is known to others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overlap_hours: Annotated[int, Field(ge=0, le=24)] = 24


class RotatedOut(BaseModel):
    """The new secret, shown this once. Both sign until `former_secret_until`."""

    id: str
    secret: str = Field(examples=["whsec_…"])
    former_secret_until: datetime | None


class EndpointList(BaseModel):
    """An organisation's endpoints, the oldest first."""

    items: list[EndpointOut]


@routes.get("", operation_id="list_webhook_endpoints", summary="List webhook endpoints", responses=documented())
async def list_webhook_endpoints(caller: Reader, services: ServicesHere) -> EndpointList:
    """The caller's own endpoints, disabled ones included."""
    rows = await services.own_rows(caller).fetch(
        f"SELECT {_COLUMNS} FROM app.webhook_endpoints WHERE organisation = $1 "  # noqa: S608 - our own columns
        "ORDER BY created_at DESC, id LIMIT $2",
        caller.organisation,
        MAX_ENDPOINTS * 10,
    )
    return EndpointList(items=[EndpointOut.model_validate(dict(row)) for row in reversed(rows)])


@routes.post(
    "",
    operation_id="register_webhook_endpoint",
    summary="Register a webhook endpoint",
    status_code=201,
    response_model=NewEndpointOut,
    responses=documented(400, 409, 413, 415),
)
async def register_webhook_endpoint(
    body: NewEndpoint, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """Notices to the caller's organisation are posted there from now on. The secret is shown this once."""

    async def run() -> Answer:
        require_public_url(body.url, allow_loopback=services.settings.webhook_allow_loopback)
        id_ = f"we_{derived_id(once.command_id())}"
        await _require_room(services, caller, id_)
        secret = _new_secret()
        event = WebhookEndpointRegistered(endpoint=id_, url=body.url, registered_by=str(caller.actor))
        await services.registry.record(caller.organisation, event, await recording_of(services, once))
        sealed = services.box.seal(id_, secret.encode())
        await services.own_rows(caller).execute(_INSERT, id_, caller.organisation, body.url, sealed, body.event_types)
        shown = NewEndpointOut(id=id_, url=body.url, event_types=body.event_types, secret=secret)
        return Answer(shown.model_dump(), 201, {"Location": f"/v1/webhook-endpoints/{id_}"})

    return await once.answer(run, secret=True)


@routes.get(
    "/{endpoint}",
    operation_id="get_webhook_endpoint",
    summary="Read one webhook endpoint",
    responses=documented(404),
)
async def get_webhook_endpoint(endpoint: IdInPath, caller: Reader, services: ServicesHere) -> EndpointOut:
    """One of the caller's own endpoints."""
    return await own_endpoint(services, caller, endpoint)


@routes.delete(
    "/{endpoint}",
    operation_id="disable_webhook_endpoint",
    summary="Disable a webhook endpoint",
    status_code=204,
    responses=documented(404),
)
async def disable_webhook_endpoint(endpoint: IdInPath, caller: Writer, services: ServicesHere) -> Response:
    """Nothing is posted there any more; its log stays. Again changes nothing."""
    found = await own_endpoint(services, caller, endpoint)
    if found.disabled_at is None:
        by = str(caller.actor)
        recording = Recording(
            command_id=uuid5(COMMAND_NAMESPACE, f"disable {endpoint}"),
            digest=f"disable {endpoint}",
            actor=by,
            now=await services.clock.now(),
        )
        event = WebhookEndpointDisabled(endpoint=endpoint, because="owner", disabled_by=by)
        await services.registry.record(caller.organisation, event, recording)
        await services.own_rows(caller).execute(_DISABLE, endpoint, caller.organisation)
    return Response(status_code=204)


@routes.post(
    "/{endpoint}/rotate-secret",
    operation_id="rotate_webhook_secret",
    summary="Replace an endpoint's secret",
    response_model=RotatedOut,
    responses=documented(400, 404, 409, 413, 415),
)
async def rotate_webhook_secret(
    endpoint: IdInPath, body: RotateSecret, caller: Writer, services: ServicesHere, once: OnceHere
) -> Response:
    """Messages carry a signature by the new secret from now on, and one by the former until the overlap is over.

    A third secret, from a rotation within the overlap of another one, is dropped.
    """

    async def run() -> Answer:
        if (await own_endpoint(services, caller, endpoint)).disabled_at is not None:
            raise endpoint_disabled()
        secret = _new_secret()
        by = str(caller.actor)
        event = WebhookSecretRotated(endpoint=endpoint, overlap_hours=body.overlap_hours, rotated_by=by)
        await services.registry.record(caller.organisation, event, await recording_of(services, once))
        sealed = services.box.seal(endpoint, secret.encode())
        overlap = timedelta(hours=body.overlap_hours)
        until = await services.own_rows(caller).fetchval(
            _ROTATE, endpoint, caller.organisation, sealed, body.overlap_hours > 0, overlap, once.command_id()
        )
        shown = RotatedOut(id=endpoint, secret=secret, former_secret_until=until)
        return Answer(shown.model_dump(mode="json"))

    return await once.answer(run, secret=True)


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def endpoint_disabled() -> Problem:
    """Nothing is posted to this endpoint any more."""
    fault = Fault(
        "endpoint_disabled",
        "This endpoint is disabled.",
        "该回调地址已停用。",
        "Register a new one.",
        "请登记新的回调地址。",
    )
    return Problem(problem_types.ENDPOINT_DISABLED, fault)


async def own_endpoint(services: Services, caller: Caller, endpoint: str) -> EndpointOut:
    """The endpoint, if it is one of the caller's organisation. Raises Problem `not-found`."""
    row = await services.own_rows(caller).fetchrow(
        f"SELECT {_COLUMNS} FROM app.webhook_endpoints WHERE id = $1 AND organisation = $2",  # noqa: S608
        endpoint,
        caller.organisation,
    )
    if row is None:
        raise not_found("webhook endpoint", endpoint)
    return EndpointOut.model_validate(dict(row))


async def _require_room(services: Services, caller: Caller, id_: str) -> None:
    if await services.own_rows(caller).fetchval(_COUNT, caller.organisation, id_) < MAX_ENDPOINTS:
        return
    fault = Fault(
        "too_many_endpoints",
        f"An organisation has at most {MAX_ENDPOINTS} webhook endpoints in use.",
        f"每个单位最多使用 {MAX_ENDPOINTS} 个回调地址。",
        "Disable one first.",
        "请先停用一个。",
    )
    raise Problem(problem_types.ENDPOINTS_EXHAUSTED, fault)


# ------------------------------------------------------------------------------------------------- checking URLs

Refused = Literal["not_a_url", "not_https", "private_address", "credentials_in_url"]
_WORDS: Final[dict[Refused, tuple[str, str, str, str]]] = {
    "not_a_url": ("This is no URL of a web server.", "网址无效。", "Give a full https URL.", "请填写 https 网址。"),
    "not_https": ("The URL must begin with https://.", "网址必须以 https:// 开头。", "Use https.", "请使用 https。"),
    "private_address": (
        "The URL leads to a private address.",
        "网址指向内部地址。",
        "Use a server that can be reached from the internet.",
        "请使用可从互联网访问的服务器。",
    ),
    "credentials_in_url": (
        "The URL holds a user name or a fragment.",
        "网址中含有用户名或片段。",
        "Leave it out; the signature says who sends.",
        "请删除；签名可证明发送者。",
    ),
}  # fmt: skip


def require_public_url(url: str, *, allow_loopback: bool) -> None:
    """Raises Problem `webhook-url-refused` unless the URL may be posted to, as far as its text tells."""
    code = _refusal(url, allow_loopback)
    if code is not None:
        raise Problem(problem_types.URL_REFUSED, Fault(code, *_WORDS[code], pointer="/url"))


def _refusal(url: str, allow_loopback: bool) -> Refused | None:
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "not_a_url"
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or any(c <= " " for c in url):
        return "not_a_url"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "credentials_in_url"
    return _refusal_of_host(parts, host, allow_loopback)


def _refusal_of_host(parts: SplitResult, host: str, allow_loopback: bool) -> Refused | None:
    if allow_loopback and _is_loopback(host):
        return None
    if parts.scheme != "https":
        return "not_https"
    return None if _is_public(host) else "private_address"


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_public(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_global and not address.is_multicast and not address.is_reserved
    if host.endswith(LOCAL_SUFFIXES) or "." not in host:
        return False
    # A last label of digits is read as an address by some resolvers: 127.1 is 127.0.0.1.
    return not host.rpartition(".")[2][:1].isdigit()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address
