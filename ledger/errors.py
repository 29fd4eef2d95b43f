"""Everything that can go wrong in the ledger, in one tree.

A refused append (duplicate, conflict, claim) is an answer and not an error: see `ledger.types.AppendResult`.
"""


class LedgerError(Exception):
    """The root of this package's errors."""


class InvalidAppend(LedgerError):
    """The append itself is malformed. Nothing was sent to the database; sending it again will not help."""


class InvalidName(InvalidAppend):
    """A book, stream, type, key, owner or recipient is empty, too long, or holds a character that it may not hold."""


class AppendTooLarge(InvalidAppend):
    """The append holds more writes, events, claims or outbox entries than one append may."""


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
