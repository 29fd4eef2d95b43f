"""The API as an organisation uses it: its own key, connections that stay open, an Idempotency-Key on every change.

The key of a change follows from the seed and from what is done (`nominate:410181-s01:gp1`), so that a run which was
interrupted repeats its requests and gets the first answers again: nothing happens twice.
"""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import httpx2

JSONObject: TypeAlias = dict[str, Any]

MAX_CONCURRENT: Final = 8
"""Requests under way at once, of all organisations together."""

ROWS_PER_REQUEST: Final = 40
"""Rows of a bulk request; small enough that progress is seen, and far below the API's limit of 500."""

PAGE_LIMIT: Final = 500
MAX_PAGES: Final = 200
REQUEST_TIMEOUT_S: Final = 120.0
PATIENCE_S: Final = 180.0
"""How long a request is repeated while the API says that something is away."""

LONGEST_PAUSE_S: Final = 1.0
FIRST_PAUSE_S: Final = 0.05
KEPT: Final = 202
KEPT_KIND: Final = "command"
"""The kind of operation of commands that are kept while a part of the system is away."""

PASSING_SLUGS: Final = frozenset({"request-in-flight"})
MAX_READINGS: Final = 5
"""How often somebody looks again because a case has changed before his decision came."""

DECISIONS: Final = frozenset(
    {
        *("impose", "drop", "reverse", "waive", "override", "reopen", "remove-host"),
        *("postpone", "go-online", "move", "merge", "cancel", "change-capacity", "set-timetable"),
        *("correct", "change-school", "reissue-certificate", "record-late-answer", "transfer", "erase"),
        *("suspend", "reinstate", "contact", "close"),
    }
)
"""Commands for one thing that need the version on which they were decided."""

PASSING_STATUSES: Final = frozenset({429, 502, 503, 504})


class UnexpectedAnswer(Exception):
    """The API did not answer as the script says it must. The text shows the whole answer."""

    def __init__(self, what: str, status: int, answer: object) -> None:
        shown = json.dumps(answer, ensure_ascii=False, indent=2) if isinstance(answer, (dict, list)) else str(answer)
        super().__init__(f"{what}\nHTTP {status}\n{shown}")
        self.status = status
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request or to one row of many: a problem document, or what was asked for with its `ETag`."""

    status: int
    body: JSONObject
    tag: str = ""

    @property
    def accepted(self) -> bool:
        return self.status < 400

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of a problem's errors; empty when it was accepted."""
        if self.accepted:
            return ()
        return tuple(str(error.get("code", "")) for error in self.body.get("errors", ()))

    @property
    def slug(self) -> str:
        """The last part of a problem's type."""
        return "" if self.accepted else str(self.body.get("type", "")).rsplit("/", 1)[-1]


@dataclass(slots=True)
class Counts:
    """What has been asked for so far: rows accepted by command, and refusals that the script wanted, by code."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class FrontDoor:
    """The API of one run. `desk()` gives an organisation its own hand on it."""

    def __init__(self, http: httpx2.AsyncClient, run: str) -> None:
        self._http = http
        self._run = run
        self._gate = asyncio.Semaphore(MAX_CONCURRENT)
        self.counts = Counts()

    def desk(self, organisation: str, key: str) -> "Desk":
        """What the organisation with this API key does its work with."""
        return Desk(self, organisation, key)

    def idempotency_key(self, action: str) -> str:
        """The same for the same action of the same run, and within what the header allows."""
        digest = hashlib.sha256("\n".join((self._run, action)).encode()).hexdigest()
        return f"demo-{digest[:40]}"

    async def send(
        self,
        method: str,
        path: str,
        key: str,
        *,
        action: str = "",
        content: bytes | None = None,
        media_type: str = "",
        if_match: str = "",
    ) -> Answer:
        """One request, repeated under the same Idempotency-Key while the way to the API or behind it is broken.

        Raises UnexpectedAnswer when that lasts longer than PATIENCE_S or the server fails.
        """
        headers = {"Authorization": f"Bearer {key}"}
        if content is not None:
            headers["Content-Type"] = media_type or "application/json"
        if action:
            headers["Idempotency-Key"] = self.idempotency_key(action)
        if if_match:
            headers["If-Match"] = if_match
        gives_up = time.monotonic() + PATIENCE_S
        pause_s = FIRST_PAUSE_S
        while True:
            problem: str | Answer
            answer: Answer | None = None
            try:
                async with self._gate:
                    response = await self._http.request(method, path, headers=headers, content=content)
                answer = Answer(response.status_code, _body_of(response), response.headers.get("ETag", ""))
                if answer.status not in PASSING_STATUSES and answer.slug not in PASSING_SLUGS:
                    break
                problem = answer
            except httpx2.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            if time.monotonic() > gives_up:
                status, shown = (problem.status, problem.body) if isinstance(problem, Answer) else (0, problem)
                raise UnexpectedAnswer(f"{method} {path} ({action}) found no way for {PATIENCE_S:.0f} s", status, shown)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        assert answer is not None, "the loop ends with an answer"
        if answer.status >= 500:
            raise UnexpectedAnswer(f"{method} {path} ({action})", answer.status, answer.body)
        if answer.status == KEPT and answer.body.get("kind") == KEPT_KIND:
            operation = await self.followed(f"/v1/operations/{answer.body['id']}", key)
            return _row_answer(operation["outcome"])
        return answer

    async def followed(self, operation: str, key: str) -> JSONObject:
        """The operation once it has ended. Raises UnexpectedAnswer when that lasts longer than PATIENCE_S."""
        gives_up = time.monotonic() + PATIENCE_S
        pause_s = FIRST_PAUSE_S
        while True:
            answer = await self.send("GET", operation, key)
            if not answer.accepted or (answer.body["finished_at"] is None and time.monotonic() > gives_up):
                raise UnexpectedAnswer(f"GET {operation}: no end of it", answer.status, answer.body)
            if answer.body["finished_at"] is not None:
                return answer.body
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def _body_of(response: httpx2.Response) -> JSONObject:
    try:
        body = response.json()
    except ValueError:
        return {"text": response.text[:2_000]}
    return body if isinstance(body, dict) else {"value": body}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a bulk request. `action` names it within the run; `refused_with` is the code that it must meet."""

    action: str
    body: JSONObject
    refused_with: str = ""


class Desk:
    """One organisation at the front door."""

    def __init__(self, door: FrontDoor, organisation: str, key: str) -> None:
        self._door = door
        self._key = key
        self.organisation = organisation

    async def get(self, path: str, **parameters: str | int) -> JSONObject:
        """Read one thing. Raises UnexpectedAnswer unless it is there."""
        query = str(httpx2.QueryParams(parameters)) if parameters else ""
        answer = await self._door.send("GET", f"{path}?{query}" if query else path, self._key)
        if not answer.accepted:
            raise UnexpectedAnswer(f"{self.organisation}: GET {path}?{query}", answer.status, answer.body)
        return answer.body

    async def pages(self, path: str, **parameters: str | int) -> AsyncIterator[JSONObject]:
        """Every item of a list, page by page."""
        cursor: dict[str, str | int] = {}
        for _ in range(MAX_PAGES):
            page = await self.get(path, **parameters, **cursor, limit=PAGE_LIMIT)
            for item in page["items"]:
                yield item
            if page.get("next") is None:
                return
            cursor = {"cursor": str(page["next"])}
        raise UnexpectedAnswer(f"{self.organisation}: GET {path} has more than {MAX_PAGES} pages", 200, parameters)

    async def all(self, path: str, **parameters: str | int) -> list[JSONObject]:
        """The whole list."""
        return [item async for item in self.pages(path, **parameters)]

    async def post(self, action: str, path: str, body: Mapping[str, Any] | None = None) -> JSONObject:
        """Do one thing that must be accepted; the answer's body. Raises UnexpectedAnswer."""
        answer = await self.attempt(action, path, body)
        if not answer.accepted:
            raise UnexpectedAnswer(f"{self.organisation}: {action}: POST {path}", answer.status, answer.body)
        self._door.counts.accepted[_command_of(path)] += 1
        return answer.body

    async def delete(self, path: str) -> None:
        """Remove one thing. Raises UnexpectedAnswer."""
        answer = await self._door.send("DELETE", path, self._key)
        if not answer.accepted:
            raise UnexpectedAnswer(f"{self.organisation}: DELETE {path}", answer.status, answer.body)

    async def post_text(self, action: str, path: str, text: str, media_type: str) -> JSONObject:
        """Hand in a document that must be accepted."""
        answer = await self._door.send(
            "POST", path, self._key, action=action, content=text.encode(), media_type=media_type
        )
        if not answer.accepted:
            raise UnexpectedAnswer(f"{self.organisation}: {action}: POST {path}", answer.status, answer.body)
        return answer.body

    async def refused(self, action: str, path: str, body: Mapping[str, Any] | None, code: str) -> None:
        """Try one thing that must be refused with `code` among its reasons. Raises UnexpectedAnswer."""
        answer = await self.attempt(action, path, body)
        self._require_refused(answer, code, f"{action}: POST {path}")

    async def attempt(self, action: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Do one thing and take whatever is answered. What is decided on is read first, and again if it has changed."""
        content = json.dumps(body or {}, ensure_ascii=False).encode()
        if _command_of(path) not in DECISIONS:
            return await self._door.send("POST", path, self._key, action=action, content=content)
        answer = Answer(0, {})
        for reading in range(MAX_READINGS):
            read = await self._door.send("GET", path.rpartition("/")[0], self._key)
            # The key of an attempt that came too late keeps that answer, so another attempt is another request.
            name = f"{action}:{reading}" if reading else action
            answer = await self._door.send("POST", path, self._key, action=name, content=content, if_match=read.tag)
            if answer.slug != "changed-meanwhile":
                return answer
        raise UnexpectedAnswer(f"{self.organisation}: {action}: {path} keeps changing", answer.status, answer.body)

    async def post_rows(self, path: str, rows: Sequence[Row]) -> list[Answer]:
        """Do many things in requests of ROWS_PER_REQUEST rows, each row answered as its script says.

        A request's Idempotency-Key follows from its rows, so the same rows in the same order repeat it. Raises
        UnexpectedAnswer for the first row that was answered otherwise.
        """
        chunks = await asyncio.gather(*(self._post_chunk(path, chunk) for chunk in _chunks(rows)))
        return [answer for chunk in chunks for answer in chunk]

    async def post_rows_in_order(self, path: str, rows: Sequence[Row]) -> list[Answer]:
        """The same, one request after the other, for rows whose order matters."""
        return [answer for chunk in _chunks(rows) for answer in await self._post_chunk(path, chunk)]

    async def _post_chunk(self, path: str, rows: Sequence[Row]) -> list[Answer]:
        """One request, repeated while a row meets an outage: the rows that are done answer as before."""
        content = json.dumps({"items": [row.body for row in rows]}, ensure_ascii=False).encode()
        action = f"{self.organisation}:{path}:" + ";".join(row.action for row in rows)
        gives_up = time.monotonic() + PATIENCE_S
        while True:
            answer = await self._door.send("POST", path, self._key, action=action, content=content)
            if answer.status != 207:
                what = f"{self.organisation}: POST {path}, {len(rows)} rows"
                raise UnexpectedAnswer(what, answer.status, answer.body)
            answers = [_row_answer(item) for item in await self._followed(answer.body["items"])]
            if all(each.status not in PASSING_STATUSES for each in answers) or time.monotonic() > gives_up:
                break
            await asyncio.sleep(LONGEST_PAUSE_S)
        for row, each in zip(rows, answers, strict=True):
            self._judge(path, row, each)
        return answers

    async def _followed(self, items: list[JSONObject]) -> list[JSONObject]:
        """The rows of an answer, those that were kept for later with what they came to in the end."""
        kept = {item["operation"] for item in items if item["status"] == KEPT}
        came_to: dict[int, JSONObject] = {}
        for operation in kept:
            await self._door.followed(operation, self._key)
            came_to |= {row["index"]: row async for row in self.pages(f"{operation}/rows")}
        return [came_to.get(item["index"], item) if item["status"] == KEPT else item for item in items]

    def _judge(self, path: str, row: Row, answer: Answer) -> None:
        what = f"{row.action}: a row of POST {path}"
        if row.refused_with:
            self._require_refused(answer, row.refused_with, what)
        elif answer.accepted:
            self._door.counts.accepted[_command_of(path)] += 1
        else:
            raise UnexpectedAnswer(f"{self.organisation}: {what}", answer.status, answer.body)

    def _require_refused(self, answer: Answer, code: str, what: str) -> None:
        if code not in answer.codes:
            wanted = f"{self.organisation}: {what} had to be refused with `{code}`"
            raise UnexpectedAnswer(wanted, answer.status, answer.body)
        self._door.counts.refused[code] += 1


def _chunks(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[start : start + ROWS_PER_REQUEST] for start in range(0, len(rows), ROWS_PER_REQUEST)]


def _row_answer(item: JSONObject) -> Answer:
    return Answer(int(item["status"]), item.get("problem") or item.get("receipt") or {})


def _command_of(path: str) -> str:
    """`/v1/trainees/approve` and `/v1/trainees/zz22-410181-00001/approve` → `approve`."""
    return path.rstrip("/").rsplit("/", 1)[-1]


@asynccontextmanager
async def front_door(url: str, run: str) -> AsyncIterator[FrontDoor]:
    """The API at `url`. `run` names the run in every Idempotency-Key: one seed and size is one run."""
    limits = httpx2.Limits(max_connections=MAX_CONCURRENT, max_keepalive_connections=MAX_CONCURRENT)
    timeout = httpx2.Timeout(REQUEST_TIMEOUT_S)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=timeout, trust_env=False) as http:
        yield FrontDoor(http, run)
