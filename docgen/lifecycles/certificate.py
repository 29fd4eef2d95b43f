"""A nomination's first certificate, as the commands on the nomination leave it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from docgen.lifecycles.exploring import Label, Lifecycle, Situation, attempts_of
from docgen.lifecycles.plan import ACTORS, NUMBER, on
from docgen.lifecycles.trainee import COMMANDS as OF_TRAINEE
from docgen.lifecycles.trainee import EXAMPLES
from docgen.lifecycles.trainee_events import FOLLOWING_UP, IN_TRAINING
from docgen.lifecycles.trainee_situations import KNOWN
from domain import trainee
from domain.certificate import certificates
from domain.decision import Context, Decision, Event, Refusal
from domain.numbers import certificate_number
from domain.trainee_correction_messages import CertificateReissued, CertificateRevoked, OutcomeCorrected
from domain.trainee_state import Trainee
from domain.trainee_state import fold as fold_trainee

DAY: Final = date(2022, 10, 18)
FIRST: Final = certificate_number(NUMBER, 1)
PHASES: Final = {
    "valid": Label("有效", "valid"),
    "superseded": Label("已换发", "superseded"),
    "revoked": Label("已撤销", "revoked"),
}
_NAMES: Final = ("complete", "reissue-certificate", "correct")
COMMANDS: Final = {name: OF_TRAINEE[name] for name in _NAMES}


@dataclass(frozen=True, slots=True)
class Issued:
    """A case with the status of its first certificate, empty where none was issued."""

    case: Trainee
    status: str


def fold(events: Iterable[Event]) -> Issued | None:
    """The first certificate after `events`, None before it was issued."""
    known = tuple(events)
    case = fold_trainee(known)
    assert case is not None, "a certificate belongs to a case"
    first = certificates((each, DAY) for each in known).get(FIRST)
    return Issued(case, first.status) if first is not None else None


def phase_of(state: Issued) -> str:
    """The status in which the certificate resolves."""
    return state.status


def _decide(state: Any, command: Any, context: Context[Any]) -> Decision | Refusal:
    case = state.case if state is not None else fold_trainee(IN_TRAINING)
    return trainee.decide(case, command, context)


SITUATIONS: Final = (
    Situation(IN_TRAINING, on(10, 16), KNOWN),
    Situation(FOLLOWING_UP, on(11, 1), KNOWN),
    Situation(
        (
            *FOLLOWING_UP,
            CertificateReissued(
                certificate=certificate_number(NUMBER, 2), supersedes=FIRST, by="b", reason="name", document="d"
            ),
        ),
        on(11, 2),
        KNOWN,
    ),
    Situation(
        (
            *FOLLOWING_UP,
            CertificateRevoked(certificate=FIRST, by="b", reason="outcome_corrected"),
            OutcomeCorrected(
                was="following-up", becomes="in-training", by="b", decided_by="b7", reason="r", document="d"
            ),
        ),
        on(11, 2),
        KNOWN,
    ),
)
CERTIFICATE: Final = Lifecycle(
    kind="certificate",
    title=Label("结业证书", "A certificate"),
    fold=fold,
    phase_of=phase_of,
    phases=PHASES,
    commands=COMMANDS,
    attempts=attempts_of(
        trainee.LIFECYCLE, (each for each in EXAMPLES if each.name in _NAMES), ACTORS, NUMBER, _decide
    ),
    situations=SITUATIONS,
    ended=frozenset({"superseded", "revoked"}),
)
