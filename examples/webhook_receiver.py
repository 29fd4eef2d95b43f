"""Receive notices (webhooks) in Python. It needs `pip install standardwebhooks`.

    XUNJI_WEBHOOK_SECRET=whsec_… python3 webhook_receiver.py 9000

Each notice that is verified and new is written as a line of JSON. Three things matter, in this order: verify the exact
bytes that came, drop what came before (`webhook-id` stays the same in every attempt), answer 2xx at once and do the
work afterwards. Put a web server with a certificate in front of it: xunji posts to https only.
"""

import json
import os
import sys
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 256 * 1024
REMEMBERED = 10_000
"""Ids that are remembered to drop repetitions; a real receiver keeps them in its database, with what it did."""


class Notices:
    """Verifies notices and tells each of them once."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
        """The notice, or None for one that came before. Raises WebhookVerificationError: not ours, or too old."""
        notice: dict[str, Any] = self._webhook.verify(body, headers)
        with self._lock:
            if headers["webhook-id"] in self._seen:
                return None
            self._seen[headers["webhook-id"]] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return notice


class Receiver(BaseHTTPRequestHandler):
    """Answers xunji."""

    notices: Notices

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BODY_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(length)
        try:
            notice = self.notices.take(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            self._answer(401)
            return
        self._answer(204)
        if notice is not None:
            print(json.dumps(notice, ensure_ascii=False), flush=True)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
        """Nothing: what arrives stands on standard output, what is refused is the sender's business."""


if __name__ == "__main__":
    Receiver.notices = Notices(os.environ["XUNJI_WEBHOOK_SECRET"])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
