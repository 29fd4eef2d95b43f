"""Appends that are stored together or not at all, or only tried."""

import pytest

from ledger import together
from ledger.store import Ledger
from ledger.together import TooManyTogether
from ledger.types import Appended, ClaimRefused, CountClaim, Duplicate, LimitClaim, VersionConflict
from tests.ledger.appends import append, write

SEAT = "seat:test"


async def test_all_are_stored_in_their_order(ledger: Ledger) -> None:
    appends = [append(write(f"t/{number}")) for number in range(3)]
    results = await ledger.append_together(appends)
    assert all(isinstance(each, Appended) for each in results)
    (book,) = {each.writes[0].book for each in appends}
    assert [each.stream for each in await ledger.read_book(book, 0, 10)] == ["t/0", "t/1", "t/2"]
    again = await ledger.append_together(appends)
    assert all(isinstance(each, Duplicate) for each in again)
    assert await ledger.head(book) == 3


async def test_one_that_is_refused_keeps_all_from_being_stored(ledger: Ledger) -> None:
    await ledger.append(append(write("line"), claims=(LimitClaim(SEAT, 1),)))
    book = append(write("x")).writes[0].book
    before = await ledger.head(book)
    takes = [append(write(f"t/{number}"), claims=(CountClaim(SEAT, 1),)) for number in range(2)]
    results = await ledger.append_together(takes)
    assert [type(each) for each in results] == [Appended, ClaimRefused]
    stale = await ledger.append_together([append(write("t/5")), append(write("line"))])
    assert [type(each) for each in stale] == [Appended, VersionConflict]
    assert await ledger.head(book) == before
    assert (await ledger.counter(SEAT)).used == 0
    assert isinstance(await ledger.append(takes[1]), Appended), "nothing of it was left behind"


async def test_more_than_one_call_takes_are_still_one_transaction(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PER_CALL", 2)
    await ledger.append(append(write("line"), claims=(LimitClaim(SEAT, 4),)))
    book = append(write("x")).writes[0].book
    takes = [append(write(f"t/{number}"), claims=(CountClaim(SEAT, 1),)) for number in range(5)]
    results = await ledger.append_together(takes)
    assert [type(each) for each in results] == [Appended] * 4 + [ClaimRefused]
    assert await ledger.head(book) == 1
    results = await ledger.append_together(takes[:4])
    assert [each.sequences[book] for each in results if isinstance(each, Appended)] == [2, 3, 4, 5]


async def test_what_is_only_tried_is_not_stored(ledger: Ledger) -> None:
    tried = append(write("t/1"))
    assert isinstance((await ledger.append_together([tried], only_try=True))[0], Appended)
    assert await ledger.find_command(tried.command_id) is None
    assert await ledger.head(tried.writes[0].book) == 0


async def test_more_than_one_transaction_takes_are_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "MAX_TOGETHER", 1)
    with pytest.raises(TooManyTogether):
        await ledger.append_together([append(write("t/1")), append(write("t/2"))])
    assert await ledger.append_together([]) == []
