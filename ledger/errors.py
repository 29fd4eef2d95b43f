"""Everything that can go wrong in the ledger, in one tree.

A refused append (duplicate, conflict, claim) is an answer and not an error: see `ledger.types.AppendResult`.
"""

from typing import Final

import asyncpg

DATABASE_LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a call to a database may raise that is away, or goes away: the driver's internal error is what it says when the
loss is noticed while a call begins. Whoever works for ever waits and tries again.
"""


class LedgerError(Exception):
    """The root of this package's errors."""


class InvalidAppend(LedgerError):
    """The append itself is malformed. Nothing was sent to the database; sending it again will not help."""


class InvalidName(InvalidAppend):
    """A book, stream, type, key, owner or recipient is empty, too long, or holds a character that it may not hold."""


class AppendTooLarge(InvalidAppend):
    """The append holds more writes, events, claims or outbox entries than one append may."""


class UnknownEventType(InvalidAppend):
    """The ledger was given the schemas of its events, and there is none of this type."""


class WrongSchemaVersion(InvalidAppend):
    """An event is to be written in another schema version than the newest one that this release knows."""


class NotCanonical(InvalidAppend):
    """The data have no canonical form: a type that JSON does not know, broken text, or too deep a nesting."""


class FloatRefused(NotCanonical):
    """A float, NaN and the infinities included. Whole numbers and decimal text have one spelling; floats do not."""


class NaiveDatetime(NotCanonical):
    """A datetime without a time zone names no instant."""


class IntegerOutOfRange(NotCanonical):
    """An integer beyond ±(2⁵³ − 1), which other readers of JSON would round."""


class PayloadTooLarge(NotCanonical):
    """The canonical bytes of an event or an outbox entry are longer than the limit."""


class AppendRejected(LedgerError):
    """The database refused to store this append, and nothing of it was stored; others in its batch were."""


class StreamInAnotherBook(AppendRejected):
    """A stream is to begin in this book that lives in another one already. A stream has one book."""


class BookClosed(AppendRejected):
    """The book was closed, and nothing was stored: append to another one. `book` is its name, "" if it is not known."""

    def __init__(self, message: str, book: str = "") -> None:
        super().__init__(message)
        self.book = book


class LedgerUnavailable(LedgerError):
    """The database could not be reached or did not answer. Whether the append was stored is unknown: send it again."""


class LedgerClosed(LedgerError):
    """The ledger was closed before the append was sent."""


class PageOutOfRange(LedgerError):
    """A page of less than one row, or of more than the limit, was asked for."""


class StreamTooLong(LedgerError):
    """A stream holds more events than one read may give. Streams are meant to stay short."""


class VaultError(LedgerError):
    """The root of the vault's errors."""


class InvalidKey(VaultError):
    """A master or index key is not 32 bytes long."""


class InvalidNaturalKey(VaultError):
    """A natural key that is empty once it is normalised."""


class SubjectUnknown(VaultError):
    """No such person was ever known to the vault."""


class SubjectErased(VaultError):
    """The person's key was destroyed: what was sealed under it can be read by nobody."""


class SealBroken(VaultError):
    """The sealed text was changed, belongs to another person, or was sealed under another master key."""


class CheckpointError(LedgerError):
    """The root of the errors about checkpoints."""


class MalformedCheckpoint(CheckpointError):
    """The text is not a checkpoint note."""


class BadSignature(CheckpointError):
    """The checkpoint carries no signature by this key over this text."""


class SealRefused(CheckpointError):
    """A book is not sealed, because what was signed before and what the database holds now contradict each other."""


class MalformedSuccession(CheckpointError):
    """The text is no note by which one signing key follows another."""


class KeysContradictory(CheckpointError):
    """Two notes hand one signing key over to different keys, and nothing tells which of them counts."""


class RotationRefused(CheckpointError):
    """The signing key is not handed over: the keys given are not the present one and a new one."""


class WitnessError(CheckpointError):
    """The root of the errors about witnesses."""


class WitnessAway(WitnessError):
    """The witness cannot be reached, or answers with something else than its protocol has."""


class WitnessRefused(WitnessError):
    """The witness has looked at the checkpoint and does not sign it."""


class WitnessAhead(WitnessError):
    """The witness has signed more of the book than the database holds: it was rolled back, or cut off."""


class MalformedWitness(WitnessError):
    """The text is not the verifier key of a witness."""


class InvalidProofInput(LedgerError):
    """A hash that is not 32 bytes long, or a frontier that does not fit its size."""


class ProcedureError(LedgerError):
    """The root of the errors about closing, detaching and attaching a book; nothing was changed."""


class BookUnknown(ProcedureError):
    """There is no such book, or it has no events yet."""


class InvalidProcedure(ProcedureError):
    """The actor is no account, or the reason is missing or too long."""


class BookNotClosed(ProcedureError):
    """Only a closed book is detached: close it first."""


class BookNotSealed(ProcedureError):
    """The book is closed, but no checkpoint covers all of it yet: see that the sealer can work, and close it again."""


class BookNotDetached(ProcedureError):
    """The book's events are in the database: there is nothing to attach."""


class ExportDiffers(ProcedureError):
    """The export given is not that of the whole book as the database holds it: export it anew."""


class BookBusy(ProcedureError):
    """Somebody reads the events for so long that the partition could not be taken out or in: try again."""


class BookDetached(LedgerError):
    """The book's events are not in the database any more. `place` says where they were put."""

    def __init__(self, book: str, place: str) -> None:
        super().__init__(f"the events of {book} were detached, and stand in {place}: attach the book to read it here")
        self.book = book
        self.place = place
