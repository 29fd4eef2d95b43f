"""Looking for known texts in anything: files, dumps, histories, in every spelling in which they could stand there."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path

ALIGNMENTS = 3
"""A text stands in base64 in one of three ways, by how many bytes come before it."""


def spellings(text: str) -> set[bytes]:
    """The text as UTF-8, as escaped JSON (once and twice), in hexadecimal, in base64 of both alphabets."""
    plain = text.encode()
    found = {plain, json.dumps(text)[1:-1].encode(), json.dumps(json.dumps(text)[1:-1])[1:-1].encode()}
    found |= {each.hex().encode() for each in list(found)}
    for before in range(ALIGNMENTS):
        encoded = base64.b64encode(bytes(before) + plain)
        # The ends share their characters with whatever stands beside the text.
        inner = encoded[(0, 2, 3)[before] : len(encoded) - (4 if (before + len(plain)) % 3 else 0)]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def found_in(content: bytes, texts: Iterable[str]) -> list[str]:
    """Those of the texts that stand in the content in some spelling."""
    return [text for text in texts if any(each in content for each in spellings(text))]


def files_with(directory: Path, texts: Iterable[str]) -> dict[str, list[str]]:
    """The files under a directory in which one of the texts stands, with what was found."""
    wanted = list(texts)
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and (hits := found_in(path.read_bytes(), wanted)):
            found[str(path.relative_to(directory))] = hits
    return found
