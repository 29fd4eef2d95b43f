"""Auditing an exported book: files and a public key, and no database. `ledger.archive` says what the files hold."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple
from uuid import UUID

import orjson

from ledger.advance import Advance, uncounted
from ledger.canonical import MAX_PAYLOAD_BYTES, canonical_bytes, instant
from ledger.checkpoint import Checkpoint, key_hash, parse, signature_values
from ledger.errors import BadSignature, CheckpointError, NotCanonical
from ledger.keyring import MAX_SUCCESSION_CHARACTERS, Keyring, Trust, keyring_of, read_succession
from ledger.merkle import HASH_BYTES, Frontier, leaf_hash

FORMAT: Final = 1
FORMAT_WITH_SUCCESSIONS: Final = 2
"""Of an export whose signing key was handed over at least once: `successions` holds the notes."""

EVENTS_FILE: Final = "events.ndjson"
MANIFEST_FILE: Final = "manifest.json"
LEAVES_FILE: Final = "leaves.bin"

EVENTS_PER_PAGE: Final = 500
LEAVES_PER_READ: Final = 8_192
MAX_MANIFEST_BYTES: Final = 65_536 + 4 * MAX_SUCCESSION_CHARACTERS
MAX_SIZE: Final = 2**53 - 1

Problem = Literal[
    "manifest", "checkpoint", "key", "changed", "missing", "exchanged", "repeated", "foreign", "surplus", "cut",
    "unsound", "rewritten",
]  # fmt: skip

_BOOK: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_MAX_SCHEMA_VERSION: Final = 2**31 - 1
_TEXTS: Final = ("actor", "book", "causation_id", "correlation_id")
_FIELDS: Final = frozenset(
    (*_TEXTS, "command_id", "data", "effective_at", "id", "recorded_at", "schema_version", "sequence", "stream",
     "type", "version")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was found in an export.

    `size` lines from the first on are right (in `streams` streams), and `root_hex` is the root over them; when the
    export is `verified`, that is all of it. Otherwise `problem` and `detail` say what is wrong, and `first_wrong` is
    the first line concerned, from 1, if it is a line that is wrong. Neither ever quotes a line.

        manifest    the manifest or the events' file cannot be read, or the manifest contradicts the checkpoint or
                    the events
        checkpoint  the note cannot be read, is of another book, or its text was changed after it was signed
        key         the note is signed, but not by this key
        changed     the line is not what was recorded there
        missing     events are gone from this line on, in between or at the end
        exchanged   the line is an event of the book in the place of another one
        repeated    the line is an event that stands further up already
        foreign     the line is an event of another book
        surplus     there are more lines than were signed
        cut         the file ends in the middle of this line
        unsound     the line is an event in its place, but no right one: a stream's version has a gap
        rewritten   the lines are sound in themselves, but not those that were signed; which one is wrong cannot be
                    told, because leaves.bin is missing or was changed too
    """

    verified: bool
    book: str
    size: int
    streams: int
    root_hex: str
    problem: Problem | None
    first_wrong: int | None
    detail: str


class Wrong(Exception):
    def __init__(self, problem: Problem, first_wrong: int | None, detail: str) -> None:
        super().__init__(detail if first_wrong is None else f"line {first_wrong}: {detail}")
        self.problem = problem
        self.first_wrong = first_wrong


class _NotAnEvent(Exception):
    pass


class Event(NamedTuple):
    """An event as a row of ledger.events; the fields are its columns."""

    sequence: int
    version: int
    recorded_at: datetime
    effective_at: datetime
    schema_version: int
    id: UUID
    command_id: UUID
    book: str
    stream: str
    type: str
    leaf_hash: bytes
    body: bytes


def audit(directory: Path, trust: Trust, *, advance: Advance = uncounted) -> AuditReport:
    """Check an export against the signature of this key, without any database, and report on it.

    A key that followed it, or that it followed, counts by the notes in the manifest.

    Reads line by line; memory grows with the number of streams only. What is wrong, a missing file included, is told
    in the report. Raises OSError when a file cannot be read for another reason.
    """
    reading = Reading(directory, trust)
    wrong: Wrong | None = None
    try:
        for page in reading.pages():
            advance(len(page))
    except Wrong as found:
        wrong = found
    return reading.report(wrong)


class Manifest(NamedTuple):
    book: str
    size: int
    root: bytes
    events_sha256: str
    checkpoint: str
    successions: tuple[str, ...] = ()


class Reading:
    """One reading of an export from its manifest to its last line. `pages` raises Wrong at the first wrong thing."""

    def __init__(self, directory: Path, trust: Trust) -> None:
        self.frontier = Frontier()
        self.manifest: Manifest | None = None
        self.checkpoint: Checkpoint | None = None
        self._directory = directory
        self._keyring = keyring_of(trust)
        self._versions: dict[str, int] = {}
        self._digest = sha256()
        self._files = ExitStack()
        self._leaves: BinaryIO | None = None

    def report(self, wrong: Wrong | None) -> AuditReport:
        return AuditReport(
            verified=wrong is None,
            book=self.manifest.book if self.manifest else "",
            size=self.frontier.size,
            streams=len(self._versions),
            root_hex=self.frontier.root().hex(),
            problem=wrong.problem if wrong else None,
            first_wrong=wrong.first_wrong if wrong else None,
            detail=str(wrong) if wrong else "",
        )

    def open(self) -> tuple[Manifest, Checkpoint]:
        """Read the manifest and the signature; done once."""
        if self.manifest is None:
            self.manifest = _read_manifest(self._directory / MANIFEST_FILE)
        if self.checkpoint is None:
            self.checkpoint = _open_checkpoint(self.manifest, self._keyring)
        return self.manifest, self.checkpoint

    def close(self) -> None:
        self._files.close()

    def pages(self) -> Iterator[list[Event]]:
        """Give the events, page by page; whoever stores them keeps them only if this ends without an error."""
        manifest, checkpoint = self.open()
        try:
            events: BinaryIO = self._files.enter_context((self._directory / EVENTS_FILE).open("rb"))
        except FileNotFoundError:
            raise Wrong("manifest", None, f"there is no {EVENTS_FILE} beside the manifest") from None
        with self._files:
            self._leaves = self._signed_leaves(checkpoint)
            size = 0
            while size < checkpoint.size:
                page: list[Event] = []
                try:
                    for expected in range(size + 1, min(size + EVENTS_PER_PAGE, checkpoint.size) + 1):
                        page.append(self._next(events, manifest, expected))
                finally:
                    self.frontier.extend([event.leaf_hash for event in page])
                size += len(page)
                yield page
            self._refuse_surplus(events, manifest)
        if self.frontier.root() != checkpoint.root:
            raise Wrong("rewritten", None, f"these are not the events that were signed; see {LEAVES_FILE}")
        if self._digest.hexdigest() != manifest.events_sha256:
            raise Wrong("manifest", None, "events_sha256 is not that of the events, which are those that were signed")

    def _signed_leaves(self, checkpoint: Checkpoint) -> BinaryIO | None:
        try:
            file = self._files.enter_context((self._directory / LEAVES_FILE).open("rb"))
        except FileNotFoundError:
            return None
        frontier = Frontier()
        while block := file.read(LEAVES_PER_READ * HASH_BYTES):
            if len(block) % HASH_BYTES:
                return None
            frontier.extend([block[at : at + HASH_BYTES] for at in range(0, len(block), HASH_BYTES)])
        if frontier.size != checkpoint.size or frontier.root() != checkpoint.root:
            return None
        file.seek(0)
        return file

    def _next(self, events: BinaryIO, manifest: Manifest, expected: int) -> Event:
        line = events.readline(MAX_PAYLOAD_BYTES + 2)
        if not line:
            raise Wrong("missing", expected, f"events {expected} to {manifest.size} are missing at the end")
        if not line.endswith(b"\n"):
            if len(line) > MAX_PAYLOAD_BYTES:
                raise Wrong("changed", expected, f"longer than the {MAX_PAYLOAD_BYTES} bytes that an event may have")
            raise Wrong("cut", expected, "the file ends in the middle of it")
        self._digest.update(line)
        body = line[:-1]
        leaf = leaf_hash(body)
        event: Event | None = None
        why = "the bytes are not those that were signed"
        try:
            event = _read_event(body, leaf)
        except _NotAnEvent as error:
            why = str(error)
        if self._leaves is not None and self._leaves.read(HASH_BYTES) != leaf:
            raise self._explain(events, manifest, expected, event, why)
        if event is None or event.book != manifest.book or event.sequence != expected:
            if self._leaves is not None:
                raise Wrong("unsound", expected, f"it was signed, but it is not event {expected} of the book")
            raise self._explain(events, manifest, expected, event, why)
        before = self._versions.get(event.stream, 0)
        if event.version != before + 1:
            raise Wrong("unsound", expected, f"its stream is at version {before}, and it says {event.version}")
        self._versions[event.stream] = event.version
        return event

    def _explain(self, events: BinaryIO, manifest: Manifest, expected: int, event: Event | None, why: str) -> Wrong:
        if event is None:
            return Wrong("changed", expected, why)
        found = event.sequence
        if event.book != manifest.book:
            return Wrong("foreign", expected, "it is an event of another book")
        if found == expected or found > manifest.size or not self._is_signed(event):
            return Wrong("changed", expected, why)
        if found < expected:
            return Wrong("repeated", expected, f"event {found} stands further up already")
        # Where lines were taken out, the rest goes on behind this one; where two were exchanged, it does not.
        following = _sequence_of(events.readline(MAX_PAYLOAD_BYTES + 2))
        if following == found + 1 or (following is None and found == manifest.size):
            return Wrong("missing", expected, f"events {expected} to {found - 1} are missing: event {found} is here")
        return Wrong("exchanged", expected, f"event {found} stands in the place of event {expected}")

    def _is_signed(self, event: Event) -> bool:
        # Without signed leaves the line is taken at its word: it is wrong in any case.
        if self._leaves is None:
            return True
        self._leaves.seek((event.sequence - 1) * HASH_BYTES)
        return self._leaves.read(HASH_BYTES) == event.leaf_hash

    def _refuse_surplus(self, events: BinaryIO, manifest: Manifest) -> None:
        line = events.readline(MAX_PAYLOAD_BYTES + 2)
        if not line:
            return
        with suppress(_NotAnEvent):
            if _read_event(line.removesuffix(b"\n"), b"").book != manifest.book:
                raise Wrong("foreign", manifest.size + 1, "it is an event of another book, behind the last one")
        raise Wrong("surplus", manifest.size + 1, f"only {manifest.size} events were signed")


def _read_manifest(path: Path) -> Manifest:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise Wrong("manifest", None, f"there is no {MANIFEST_FILE}: this is no export, or not all of one") from None
    try:
        fields: Any = orjson.loads(text) if len(text) <= MAX_MANIFEST_BYTES else None
    except orjson.JSONDecodeError:
        fields = None
    names = {"format", *Manifest._fields}
    if not isinstance(fields, dict) or fields.keys() | {"successions"} != names:
        raise Wrong("manifest", None, f"{MANIFEST_FILE} is not the manifest of an export")
    if fields.pop("format") != (FORMAT_WITH_SUCCESSIONS if "successions" in fields else FORMAT):
        raise Wrong("manifest", None, f"the export is not of format {FORMAT}: use the release that wrote it")
    successions = fields.pop("successions", [])
    if type(successions) is not list or not all(type(each) is str for each in successions):
        raise Wrong("manifest", None, f"`successions` of {MANIFEST_FILE} is not a list of notes")
    manifest = Manifest(**fields, successions=tuple(successions))
    texts = (manifest.book, manifest.root, manifest.events_sha256, manifest.checkpoint)
    if (
        not all(type(text) is str for text in texts)
        or _BOOK.fullmatch(manifest.book) is None
        or _HASH.fullmatch(fields["root"]) is None
        or type(manifest.size) is not int
        or not 0 <= manifest.size <= MAX_SIZE
    ):
        raise Wrong("manifest", None, f"a field of {MANIFEST_FILE} is not what it should be")
    return manifest._replace(root=bytes.fromhex(fields["root"]))


def _open_checkpoint(manifest: Manifest, trusted: Keyring) -> Checkpoint:
    try:
        keyring = trusted.with_successions(read_succession(note) for note in manifest.successions)
    except CheckpointError as error:
        raise Wrong("key", None, f"a note of succession in the manifest does not count: {error}") from error
    try:
        checkpoint = keyring.open(manifest.checkpoint)
    except BadSignature as error:
        if _is_of_a_key(manifest.checkpoint, keyring):
            raise Wrong("checkpoint", None, f"the checkpoint was changed after it was signed, or: {error}") from None
        raise Wrong("key", None, "this key has not signed the checkpoint: give that of the exporting ledger") from None
    except CheckpointError as error:
        raise Wrong("checkpoint", None, f"the checkpoint cannot be read: {error}") from error
    if checkpoint.origin.rpartition("/")[2] != manifest.book:
        raise Wrong("checkpoint", None, "the checkpoint is over another book than the manifest names")
    if (checkpoint.size, checkpoint.root) != (manifest.size, manifest.root):
        raise Wrong("manifest", None, "the manifest has another size or root than the signed checkpoint")
    return checkpoint


def _is_of_a_key(note: str, keyring: Keyring) -> bool:
    # The first bytes of a signature name its key.
    origin = parse(note).origin
    expected = [key_hash(origin, key) for key in keyring.all_keys()]
    return any(value.startswith(one) for value in signature_values(note, origin) for one in expected)


def _read_event(body: bytes, leaf: bytes) -> Event:
    # What was read is never repeated in an error.
    try:
        envelope: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _NotAnEvent("the bytes are not JSON") from None
    canonical = False
    with suppress(NotCanonical):
        canonical = canonical_bytes(envelope) == body
    if not canonical:
        raise _NotAnEvent("the bytes are not in canonical form")
    if not isinstance(envelope, dict) or envelope.keys() != _FIELDS:
        raise _NotAnEvent("the bytes are no event: fields are missing, or there are others")
    if (
        not all(type(envelope[name]) is str for name in _TEXTS)
        or type(envelope["data"]) is not dict
        or len(body) > MAX_PAYLOAD_BYTES
    ):
        raise _NotAnEvent("the bytes are no event: a field has another type")
    return Event(
        sequence=_number(envelope, "sequence", MAX_SIZE),
        version=_number(envelope, "version", MAX_SIZE),
        recorded_at=_moment(envelope, "recorded_at"),
        effective_at=_moment(envelope, "effective_at"),
        schema_version=_number(envelope, "schema_version", _MAX_SCHEMA_VERSION),
        id=_uuid(envelope, "id"),
        command_id=_uuid(envelope, "command_id"),
        book=envelope["book"],
        stream=_name(envelope, "stream"),
        type=_name(envelope, "type"),
        leaf_hash=leaf,
        body=body,
    )


def _number(envelope: dict[str, Any], name: str, largest: int) -> int:
    number = envelope[name]
    if type(number) is not int or not 1 <= number <= largest:
        raise _NotAnEvent(f"{name} is not a whole number from 1 to {largest}")
    return number


def _name(envelope: dict[str, Any], name: str) -> str:
    text = envelope[name]
    if type(text) is not str or _NAME.fullmatch(text) is None:
        raise _NotAnEvent(f"{name} is not a name")
    return text


def _uuid(envelope: dict[str, Any], name: str) -> UUID:
    text = envelope[name]
    with suppress(ValueError, AttributeError, TypeError):
        value = UUID(text)
        if str(value) == text:
            return value
    raise _NotAnEvent(f"{name} is not a UUID")


def _moment(envelope: dict[str, Any], name: str) -> datetime:
    text = envelope[name]
    with suppress(ValueError, TypeError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is not None and instant(moment) == text:
            return moment
    raise _NotAnEvent(f"{name} is not an instant in UTC with microseconds")


def _sequence_of(line: bytes) -> int | None:
    with suppress(orjson.JSONDecodeError, AttributeError):
        sequence = orjson.loads(line).get("sequence")
        return sequence if type(sequence) is int else None
    return None
