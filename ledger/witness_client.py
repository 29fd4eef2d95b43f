"""Ask a witness to countersign a checkpoint: the client's half of C2SP tlog-witness over HTTP."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx2

from ledger.cosignature import Witness, cosigned_at, with_line
from ledger.errors import WitnessAhead, WitnessAway, WitnessRefused
from ledger.witness import Request

TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 16_384
MAX_LINES: Final = 8
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"

Prove = Callable[[int], Awaitable[Sequence[bytes]]]
"""Gives the consistency proof from a size to the checkpoint's."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The witness's signature line, with its line end, and when it signed."""

    line: str
    at: datetime


async def ask(
    http: httpx2.AsyncClient, witness: Witness, note: str, size: int, known_size: int, prove: Prove
) -> Cosigned:
    """Have the witness countersign the note of a tree of `size` leaves; `known_size` is what it is thought to hold.

    When it holds another size it is asked again from there. Raises WitnessAway, WitnessRefused, and WitnessAhead when
    it has countersigned a longer tree.
    """
    answer = await _send(http, witness, Request(known_size, tuple(await _proof(prove, known_size, size)), note))
    if isinstance(answer, int):
        held = answer
        if held > size:
            raise WitnessAhead(f"{witness.name} has countersigned {held} events, and here are {size}")
        answer = await _send(http, witness, Request(held, tuple(await _proof(prove, held, size)), note))
    if isinstance(answer, int):
        raise WitnessRefused(f"{witness.name} has countersigned another tree of {answer} events")
    return _take(answer, witness, note)


async def held_size(http: httpx2.AsyncClient, witness: Witness, note: str, size: int) -> int:
    """Ask how much of the book the witness has countersigned. If it is nothing yet, it countersigns the note now.

    Raises WitnessAway and WitnessRefused.
    """
    answer = await _send(http, witness, Request(0, (), note))
    if isinstance(answer, int):
        return answer
    _take(answer, witness, note)
    return size


async def _proof(prove: Prove, old: int, size: int) -> Sequence[bytes]:
    return await prove(old) if 0 < old < size else ()


async def _send(http: httpx2.AsyncClient, witness: Witness, request: Request) -> str | int:
    # Gives the signature lines, or the size that the witness holds.
    try:
        response = await http.post(
            f"{witness.url.rstrip('/')}/add-checkpoint",
            content=request.text().encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
            timeout=TIMEOUT_S,
            follow_redirects=False,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise WitnessAway(f"{witness.name} cannot be reached: {type(error).__name__}") from error
    if len(response.content) > MAX_ANSWER_BYTES:
        raise WitnessAway(f"{witness.name} answers with more than {MAX_ANSWER_BYTES} bytes")
    if response.status_code == 200:
        return response.text
    if response.status_code == 409 and response.headers.get("content-type", "").startswith(SIZE_MEDIA_TYPE):
        size = response.text.strip()
        if not size.isdecimal() or len(size) > 19:
            raise WitnessAway(f"{witness.name} answers with a conflict and no size")
        return int(size)
    if response.status_code in (400, 403, 404, 409, 422):
        raise WitnessRefused(f"{witness.name} does not countersign: status {response.status_code}")
    raise WitnessAway(f"{witness.name} answers with status {response.status_code}")


def _take(answer: str, witness: Witness, note: str) -> Cosigned:
    # Lines of other keys are passed over, as the protocol asks.
    for line in answer.splitlines()[:MAX_LINES]:
        at = cosigned_at(with_line(note, line), witness) if line.startswith(f"— {witness.name} ") else None
        if at is not None:
            return Cosigned(f"{line}\n", at)
    raise WitnessRefused(f"{witness.name} answers without a signature by its key over this checkpoint")
