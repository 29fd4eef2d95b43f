"""The provider of text messages, stood in for: a real listener that checks what the real one checks, and answers so; it
tells what became of a message, too.

The signature is computed here anew, from the request as it arrived and the provider's public description. Refusals of
the gateway have a status of their own; those of the message come with 200 and a code, as the real ones do.
"""

import asyncio
import hashlib
import hmac
import json
import re
import socket
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import parse_qsl, quote
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.receivers import KEPT_MAX, LOOPBACK, ListeningServer

CLOCKS_APART: Final = timedelta(minutes=15)
TELEPHONE: Final = re.compile(r"(?:\+86|0086|86|\+)?1\d{10}")
VARIABLES: Final = frozenset({"title", "number"})
SIGNED: Final = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version")
_AUTHORIZATION: Final = re.compile(
    r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})"
)
KEY_ID, KEY_SECRET = "stand-in-key", "stand-in-secret"
SIGN_NAME, TEMPLATE_CODE = "郑州培训", "SMS_100000001"


BEIJING: Final = timezone(timedelta(hours=8))
WAITING, FAILED, ARRIVED = 1, 2, 3
ARRIVED_CODE: Final = "DELIVERED"
PAGE_SIZE_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class ReceivedText:
    """A text message that was accepted."""

    telephone: str
    values: dict[str, str]
    out_id: str
    biz_id: str
    at: datetime


class SmsProvider:
    """Accepts messages of one account, for its one signature and template."""

    def __init__(self) -> None:
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        self._nonces: set[str] = set()
        self._codes: deque[tuple[str, int]] = deque()
        self.texts: deque[ReceivedText] = deque(maxlen=KEPT_MAX)
        self.refused: deque[str] = deque(maxlen=KEPT_MAX)
        """The codes of the requests that were refused."""
        self.asked = 0
        """How often it was asked what became of a message."""
        self.undeliverable: dict[str, str] = {}
        """The operator's codes by the telephones that nothing reaches."""
        self.unreported: set[str] = set()
        """Telephones whose operator has not reported yet."""
        self.silent = False
        """Take messages and never answer, as when the connection breaks at the wrong moment."""

    async def start(self) -> None:
        """Listen on a free port of this machine."""
        self._socket = socket.create_server((LOOPBACK, 0))
        app = Starlette(routes=[Route("/", self._receive, methods=["POST"])])
        self._server = ListeningServer(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await self._task
        if self._socket is not None:
            self._socket.close()

    @property
    def url(self) -> str:
        assert self._socket is not None, "the provider was started"
        return f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"

    def answer_next(self, code: str, times: int = 1, status: int = 200) -> None:
        """Answer so to the next messages that are right in themselves."""
        self._codes.extend([(code, status)] * times)

    async def _receive(self, request: Request) -> Response:
        query = dict(parse_qsl(request.url.query, keep_blank_values=True))
        fault = self._fault_of_request(request, query, await request.body())
        if fault is None and request.headers["x-acs-action"] == "QuerySendDetails":
            return self._details(query)
        code, status = fault or self._fault_of_message(query)
        if code:
            self.refused.append(code)
            return _answered(code, status)
        biz_id = str(len(self.texts) + 1).zfill(18)
        values: dict[str, str] = json.loads(query["TemplateParam"])
        text = ReceivedText(query["PhoneNumbers"], values, query.get("OutId", ""), biz_id, datetime.now(BEIJING))
        self.texts.append(text)
        while self.silent and not await request.is_disconnected():
            await asyncio.sleep(0.02)
        return _answered("OK", 200, BizId=biz_id)

    def _fault_of_request(self, request: Request, query: dict[str, str], body: bytes) -> tuple[str, int] | None:
        """What the gateway finds wrong: code and status."""
        headers, found = request.headers, _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None or any(name not in headers for name in SIGNED):
            return "MissingParameter", 400
        key_id, names, given = found.groups()
        if key_id != KEY_ID:
            return "InvalidAccessKeyId.NotFound", 404
        if names.split(";") != sorted(SIGNED) or headers["x-acs-content-sha256"] != hashlib.sha256(body).hexdigest():
            return "SignatureDoesNotMatch", 400
        pairs = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(query.items()))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(SIGNED))
        canonical = (
            f"{request.method}\n{request.url.path}\n{pairs}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}"
        )
        text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        if not hmac.compare_digest(given, hmac.new(KEY_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()):
            return "SignatureDoesNotMatch", 400
        made = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - made) > CLOCKS_APART:
            return "InvalidTimeStamp.Expired", 400
        if headers["x-acs-signature-nonce"] in self._nonces:
            return "SignatureNonceUsed", 400
        self._nonces.add(headers["x-acs-signature-nonce"])
        if headers["x-acs-action"] not in ("SendSms", "QuerySendDetails") or headers["x-acs-version"] != "2017-05-25":
            return "InvalidAction.NotFound", 404
        return None

    def _details(self, query: dict[str, str]) -> Response:
        """What became of the messages to a telephone on a day."""
        self.asked += 1
        if not {"PhoneNumber", "SendDate", "PageSize", "CurrentPage"} <= query.keys():
            return _answered("MissingParameter", 400)
        if not 1 <= int(query["PageSize"]) <= PAGE_SIZE_MAX:
            return _answered("isv.PARAM_LENGTH_LIMIT", 200)
        if self._codes:
            return _answered(*self._codes.popleft())
        found = [
            self._detail(each)
            for each in self.texts
            if each.telephone == query["PhoneNumber"]
            and f"{each.at:%Y%m%d}" == query["SendDate"]
            and query.get("BizId", each.biz_id) == each.biz_id
        ]
        page = found[(int(query["CurrentPage"]) - 1) * int(query["PageSize"]) :][: int(query["PageSize"])]
        return _answered("OK", 200, TotalCount=str(len(found)), SmsSendDetailDTOs={"SmsSendDetailDTO": page})

    def _detail(self, text: ReceivedText) -> dict[str, Any]:
        code = self.undeliverable.get(text.telephone)
        status = WAITING if text.telephone in self.unreported else ARRIVED if code is None else FAILED
        shown = {
            "OutId": text.out_id,
            "PhoneNum": text.telephone,
            "Content": f"【{SIGN_NAME}】{text.values['title']}",
            "TemplateCode": TEMPLATE_CODE,
            "SendDate": f"{text.at:%Y-%m-%d %H:%M:%S}",
            "SendStatus": status,
        }
        if status == WAITING:
            return shown
        return {**shown, "ErrCode": code or ARRIVED_CODE, "ReceiveDate": f"{datetime.now(BEIJING):%Y-%m-%d %H:%M:%S}"}

    def _fault_of_message(self, query: dict[str, str]) -> tuple[str, int]:
        """What is wrong with the message: a code, empty when nothing is, and the status it comes with."""
        if query.get("SignName") != SIGN_NAME:
            return "isv.SMS_SIGNATURE_ILLEGAL", 200
        if query.get("TemplateCode") != TEMPLATE_CODE:
            return "isv.SMS_TEMPLATE_ILLEGAL", 200
        if TELEPHONE.fullmatch(query.get("PhoneNumbers", "")) is None:
            return "isv.MOBILE_NUMBER_ILLEGAL", 200
        try:
            values = json.loads(query.get("TemplateParam", ""))
        except ValueError:
            return "isv.INVALID_JSON_PARAM", 200
        if set(values) != VARIABLES:
            return "isv.TEMPLATE_MISSING_PARAMETERS", 200
        return self._codes.popleft() if self._codes else ("", 200)


def _answered(code: str, status: int, **more: Any) -> Response:
    return JSONResponse({"Code": code, "Message": code, "RequestId": str(uuid4()).upper(), **more}, status)


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
