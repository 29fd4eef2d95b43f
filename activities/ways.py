"""The ways that a notice still has to go, and the mails that notices are put into."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from activities.deliveries import Progress
from activities.outbox import QueuedNotice
from activities.webhooks import Endpoint
from domain.restriction_messages import RestrictionServed

GIVE_UP_AFTER = timedelta(hours=75, minutes=35, seconds=5)
"""The length of the whole Standard Webhooks schedule. A letter that could not be delivered so long is handed over by
the organisation."""
MAIL_NAMESPACE = UUID("4d9f6a0e-93c1-4f0c-8f5e-1d1f6b6f2c55")

ObjectionLink = Callable[[str, datetime], str]
"""The address at which the teacher objects to the restriction of this number, valid until then."""


@dataclass(slots=True)
class Item:
    """A notice of the batch and the ways it still has to go."""

    notice: QueuedNotice
    progress: Progress
    endpoints: set[str]
    letter: bool
    digest: bool
    handover: bool = False
    held: bool = False

    @property
    def finished(self) -> bool:
        return not (self.endpoints or self.letter or self.digest)


def item_of(notice: QueuedNotice, progress: Progress, endpoints: Sequence[Endpoint]) -> Item:
    """The ways that `notice` still has to go. Once it was put into a digest it goes by digest.

    With `handover` no letter is written any more; what is done instead is still to be found out.
    """
    wanting = {each.id for each in endpoints if each.wants(notice.type)}
    for_teacher = notice.person is not None
    overdue = progress.letter_since is not None and datetime.now(UTC) - progress.letter_since > GIVE_UP_AFTER
    handover = (
        for_teacher
        and not progress.letter_sent
        and not progress.text_sent
        and (progress.letter_refused or overdue or progress.digest is not None)
    )
    unposted = not wanting and not progress.posted and not for_teacher
    return Item(
        notice=notice,
        progress=progress,
        endpoints=wanting - progress.posted,
        letter=for_teacher and not progress.letter_sent and not progress.text_sent and progress.digest is None,
        digest=(unposted or progress.digest is not None) and not progress.digest_sent,
        handover=handover,
    )


def with_link(notice: QueuedNotice, objection_link: ObjectionLink | None) -> QueuedNotice:
    """The notice with the teacher's own link to object. It is made here, so that only his letter ever holds it."""
    if objection_link is None or notice.type != RestrictionServed.type or "until" not in notice.data:
        return notice
    link = objection_link(str(notice.data["restriction"]), datetime.fromisoformat(str(notice.data["until"])))
    return replace(notice, data={**notice.data, "link": link})


def hand_over(item: Item) -> None:
    """No letter reaches the teacher: the organisation gives him the notice."""
    item.letter, item.digest, item.handover = False, True, True


def digests(organisation: str, items: Sequence[Item]) -> list[tuple[UUID, list[Item]]]:
    """The digests to be sent, oldest first: the ones begun before, unchanged, and one for everything new. What is held
    stays out, unless it was put into a mail with something that cannot wait.

    A mail's id follows from its notices, so that a receiver knows it again when it comes twice.
    """
    begun: dict[UUID, list[Item]] = {}
    new: list[Item] = []
    for item in items:
        if item.progress.digest is not None:
            begun.setdefault(item.progress.digest, []).append(item)
        elif not item.held:
            new.append(item)
    begun = {mail: each for mail, each in begun.items() if not all(item.held for item in each)}
    if new:
        names = "/".join(str(item.notice.id) for item in new)
        begun[uuid5(MAIL_NAMESPACE, f"{organisation}/{names}")] = new
    return list(begun.items())
