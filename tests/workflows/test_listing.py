"""What a case is listed by: at its start, and how a later state differs from that."""

from datetime import UTC, datetime

from domain.trainee_state import attributes_of
from workflows.listing import NEXT_DEADLINE, at_start, changes, read

LISTED = attributes_of("nominated", "2022-zhengzhou", "gp1", "410181")
DEADLINE = datetime(2022, 8, 31, 16, tzinfo=UTC)


def test_what_is_set_at_the_start_is_read_again() -> None:
    assert read(at_start(LISTED, DEADLINE)) == (LISTED, DEADLINE)
    assert read(at_start(LISTED, None)) == (LISTED, None)


def test_only_what_differs_is_written() -> None:
    assert changes((LISTED, DEADLINE), LISTED, DEADLINE) == []
    later = LISTED | {"XunjiPhase": "selected", "XunjiHost": "h001"}
    written = {update.key.name: update.value for update in changes((LISTED, DEADLINE), later, None)}
    assert written == {"XunjiPhase": "selected", "XunjiHost": "h001", NEXT_DEADLINE.name: None}
