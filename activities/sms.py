"""Text messages through Alibaba Cloud's Short Message Service, version 2017-05-25: SendSms, and QuerySendDetails, which
tells what became of one.

    POST /?PhoneNumbers=…&SignName=…&TemplateCode=…&TemplateParam={…}&OutId=…      signed by ACS3-HMAC-SHA256
    POST /?PhoneNumber=…&BizId=…&SendDate=20220905&PageSize=50&CurrentPage=1

The text stands with the provider, as a template that was approved there; only its two values are sent: what it is
about and the case's number. Nothing of a restriction is ever sent this way: whoever sees the screen reads it.

The provider knows no idempotence. A request that got no answer may have been carried out, so it is not made again and
the notice is handed over. One that did not leave, or met a passing problem, is tried again by the schedule.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx2
import orjson

from activities.channels import REFUSED, Sent
from activities.deliveries import PUT_OFF

TIMEOUT_S: Final = 10.0
ALGORITHM: Final = "ACS3-HMAC-SHA256"
SEND, ASK = "SendSms", "QuerySendDetails"
PAGE_SIZE: Final = 50
FAILED, ARRIVED = 2, 3
"""The provider's states of a message that are final; 1 waits for the operator's receipt."""
VERSION: Final = "2017-05-25"
OK: Final = "OK"
VALUE_LENGTH_MAX: Final = 35
"""The provider takes no longer value of a template's variable."""
ANSWER_BYTES_MAX: Final = 65_536
CODE_LENGTH_MAX: Final = 60
BIZ_ID: Final = "BizId "
"""How the reply begins that is kept of a message: its id with the provider follows."""

UNANSWERED: Final = "the provider did not answer; the message may have arrived"
WRONG_NUMBER: Final = frozenset(
    {"isv.MOBILE_NUMBER_ILLEGAL", "isv.PHONE_NUMBER_ILLEGAL", "isv.BLACK_KEY_CONTROL_LIMIT", "MOBILE_IN_BLACK"}
)
PASSING: Final = frozenset(
    {"isv.BUSINESS_LIMIT_CONTROL", "isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "ServiceUnavailable"}
)
"""So is every code that begins with Throttling. All others are about our account, signature or template."""
TEXT: Final = "您有一条培训通知：{title}（编号{number}），请向所在学校查询。"
"""What the provider is to approve, with `${title}` and `${number}`; the digest of what was sent is made of it."""

TEXTED: Final = frozenset({"trainee.enrolled", "trainee.class_changed", "trainee.place_lost"})
"""What a teacher without a working e-mail address is told by a text message."""
TEXT_VERSION: Final = f"sms-{hashlib.sha256(TEXT.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class SmsAccount:
    """The account with the provider. `url` is its address; the stand-in's in tests."""

    url: str
    key_id: str
    key_secret: str = field(repr=False)
    sign_name: str
    template_code: str


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A message to one telephone."""

    id: UUID
    to: str = field(repr=False)
    title: str
    number: str

    @property
    def values(self) -> dict[str, str]:
        """The values of the template's variables."""
        return {"title": self.title[:VALUE_LENGTH_MAX], "number": self.number[:VALUE_LENGTH_MAX]}

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the text."""
        return hashlib.sha256(TEXT.format(**self.values).encode()).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the operator has reported of a message. `code` is the operator's own, such as DELIVERED or UNDELIV."""

    arrived: bool
    code: str


class NoReceipts(Exception):
    """The provider does not tell: it is away, or refuses the question. The text is its code, or why there is none."""


def canonical_query(query: Mapping[str, str]) -> str:
    """The query in the order and the encoding in which it is signed and sent."""
    return "&".join(f"{_encoded(name)}={_encoded(query[name])}" for name in sorted(query))


def signature(secret: str, query: str, headers: Mapping[str, str]) -> str:
    """The signature of a POST to `/` without a body. `headers` are in small letters, all of them signed."""
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    request = "\n".join(("POST", "/", query, lines, signed_headers(headers), headers["x-acs-content-sha256"]))
    text = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def signed_headers(headers: Mapping[str, str]) -> str:
    """Their names, as the signature names them."""
    return ";".join(sorted(headers))


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


class SmsSession:
    """Sends messages over connections that are kept for a batch."""

    def __init__(self, account: SmsAccount, client: httpx2.AsyncClient) -> None:
        self._account = account
        self._client = client

    async def send(self, message: TextMessage) -> Sent:
        """Send `message` once."""
        asked = {
            "PhoneNumbers": message.to,
            "SignName": self._account.sign_name,
            "TemplateCode": self._account.template_code,
            "TemplateParam": orjson.dumps(message.values).decode(),
            "OutId": str(message.id),
        }
        try:
            response = await self._post(SEND, asked)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return Sent(problem=f"no connection to the provider ({type(error).__name__})")
        except (TimeoutError, httpx2.HTTPError):
            return Sent(problem=UNANSWERED, of_recipient=True)
        return self._outcome(response)

    async def receipt(self, id_: UUID, to: str, biz_id: str, day: date) -> Receipt | None:
        """What became of the message of this id, which was sent to `to` on `day` (of Beijing); None while nobody knows.

        Raises NoReceipts.
        """
        asked = {
            "PhoneNumber": to,
            "BizId": biz_id,
            "SendDate": f"{day:%Y%m%d}",
            "PageSize": str(PAGE_SIZE),
            "CurrentPage": "1",
        }
        try:
            answer = _answer(await self._post(ASK, asked))
        except (TimeoutError, httpx2.HTTPError) as error:
            raise NoReceipts(type(error).__name__) from None
        code = str(answer.get("Code", ""))[:CODE_LENGTH_MAX]
        if code != OK:
            raise NoReceipts(code or "no answer that can be read")
        # What else stands there, the text and the number, is not looked at.
        for detail in _details(answer):
            if str(detail.get("OutId", "")) == str(id_) and detail.get("SendStatus") in (FAILED, ARRIVED):
                return Receipt(detail["SendStatus"] == ARRIVED, str(detail.get("ErrCode", ""))[:CODE_LENGTH_MAX])
        return None

    async def _post(self, action: str, asked: Mapping[str, str]) -> httpx2.Response:
        query = canonical_query(asked)
        headers = self._headers(action, query, datetime.now(UTC))
        request = self._client.build_request("POST", f"{self._account.url}/?{query}", headers=headers)
        async with asyncio.timeout(TIMEOUT_S):
            return await self._client.send(request)

    def _outcome(self, response: httpx2.Response) -> Sent:
        answer = _answer(response)
        code = str(answer.get("Code", ""))[:CODE_LENGTH_MAX]
        server = self._host
        # The provider's messages are not kept: they quote what was sent.
        if code == OK:
            return Sent(200, server=server, reply=f"{BIZ_ID}{str(answer.get('BizId', ''))[:CODE_LENGTH_MAX]}")
        if code in WRONG_NUMBER:
            return Sent(response.status_code, REFUSED, of_recipient=True, server=server, reply=code)
        is_passing = code in PASSING or code.startswith("Throttling") or (not code and response.status_code >= 500)
        how = f"{PUT_OFF} by the provider" if is_passing else "refused by the provider"
        problem = f"{how} ({code or response.status_code})"
        return Sent(response.status_code, problem, of_recipient=not is_passing, server=server, reply=code)

    @property
    def _host(self) -> str:
        return urlsplit(self._account.url).netloc

    def _headers(self, action: str, query: str, now: datetime) -> dict[str, str]:
        headers = {
            "host": self._host,
            "x-acs-action": action,
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-acs-date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-version": VERSION,
        }
        proof = signature(self._account.key_secret, query, headers)
        credential = f"Credential={self._account.key_id},SignedHeaders={signed_headers(headers)},Signature={proof}"
        return {**headers, "authorization": f"{ALGORITHM} {credential}"}


def _answer(response: httpx2.Response) -> dict[str, Any]:
    if len(response.content) > ANSWER_BYTES_MAX:
        return {}
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _details(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found = answer.get("SmsSendDetailDTOs")
    details = found.get("SmsSendDetailDTO") if isinstance(found, dict) else None
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


class SmsSender:
    """Opens sessions with the provider."""

    def __init__(self, account: SmsAccount) -> None:
        self._account = account

    @asynccontextmanager
    async def session(self) -> AsyncIterator[SmsSession]:
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            yield SmsSession(self._account, client)
