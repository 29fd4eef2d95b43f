"""The contract of claims: what must hold across streams holds under any interleaving."""

import asyncio
from contextlib import AsyncExitStack
from datetime import date
from typing import Final

from ledger.testing.store import BOOK, EventStore, OpenStore, append, appended, claiming, write
from ledger.types import (
    Append,
    Appended,
    AppendResult,
    BlockClaim,
    Claim,
    ClaimRefused,
    ClearClaim,
    CountClaim,
    LimitClaim,
    ReleaseClaim,
    TakeClaim,
    UnblockClaim,
)

SEAT: Final = "seat:a"
KEY: Final = "key:a"
DAYS: Final = "days:a"
CALLERS: Final = 20


def day(text: str) -> date:
    return date.fromisoformat(text)


YEARS: Final = BlockClaim(DAYS, "o1", day("2022-10-01"), day("2025-10-01"))


async def claim(store: EventStore, *claims: Claim) -> AppendResult:
    return await store.append(claiming(*claims))


async def at_once(open_store: OpenStore, appends: list[Append]) -> list[AppendResult]:
    """Send each append through a store of its own, all at the same time."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_store()) for _ in appends]
        return await asyncio.gather(*(store.append(one) for store, one in zip(stores, appends, strict=True)))


class ClaimContract:
    """Counters with limits, keys with one owner, days that are barred; each refusal says what stands in the way."""

    async def test_a_counter_stays_between_zero_and_its_limit(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert await claim(store, CountClaim(SEAT, 1)) == ClaimRefused(
                CountClaim(SEAT, 1), "count_exhausted", {"used": 0, "limit": 0}
            )
            assert isinstance(await claim(store, LimitClaim(SEAT, 2), CountClaim(SEAT, 2)), Appended)
            assert await claim(store, CountClaim(SEAT, 1)) == ClaimRefused(
                CountClaim(SEAT, 1), "count_exhausted", {"used": 2, "limit": 2}
            )
            assert await claim(store, LimitClaim(SEAT, 1)) == ClaimRefused(
                LimitClaim(SEAT, 1), "limit_below_used", {"used": 2, "limit": 2}
            )
            assert isinstance(await claim(store, CountClaim(SEAT, -1), LimitClaim(SEAT, 1)), Appended)
            assert await claim(store, CountClaim(SEAT, -2)) == ClaimRefused(
                CountClaim(SEAT, -2), "count_below_zero", {"used": 1, "limit": 1}
            )
            counter = await store.counter(SEAT)
            assert (counter.used, counter.limit) == (1, 1)

    async def test_a_key_has_one_owner_at_a_time(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert isinstance(await claim(store, TakeClaim(KEY, "t1")), Appended)
            assert isinstance(await claim(store, TakeClaim(KEY, "t1")), Appended)
            assert await claim(store, TakeClaim(KEY, "t2")) == ClaimRefused(
                TakeClaim(KEY, "t2"), "held", {"owner": "t1"}
            )
            assert isinstance(await claim(store, ReleaseClaim(KEY, "t2")), Appended)
            assert isinstance(await claim(store, TakeClaim(KEY, "t2")), ClaimRefused)
            assert isinstance(await claim(store, ReleaseClaim(KEY, "t1"), TakeClaim(KEY, "t2")), Appended)
            assert isinstance(await claim(store, ReleaseClaim(KEY, "t2"), ReleaseClaim(KEY, "t2")), Appended)
            assert isinstance(await claim(store, TakeClaim(KEY, "t3")), Appended)

    async def test_a_block_covers_its_days_from_the_first_to_before_the_last(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, YEARS)
            for on in ("2022-09-30", "2025-10-01"):
                assert isinstance(await claim(store, ClearClaim(DAYS, day(on))), Appended)
            for on in ("2022-10-01", "2025-09-30"):
                refused = ClaimRefused(ClearClaim(DAYS, day(on)), "blocked", {"until": "2025-10-01"})
                assert await claim(store, ClearClaim(DAYS, day(on))) == refused

    async def test_a_refusal_tells_the_first_clear_day_over_all_owners(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, YEARS)
            await claim(store, BlockClaim(DAYS, "o2", day("2024-01-01"), day("2027-01-01")))
            await claim(store, BlockClaim(DAYS, "o3", day("2030-01-01"), day("2033-01-01")))
            result = await claim(store, ClearClaim(DAYS, day("2023-01-01")))
            assert isinstance(result, ClaimRefused)
            assert result.detail == {"until": "2027-01-01"}

    async def test_an_owner_bars_no_day_twice_and_lifts_only_its_own(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, YEARS, BlockClaim(DAYS, "o2", day("2023-01-01"), day("2023-02-01")))
            twice = await claim(store, BlockClaim(DAYS, "o1", day("2025-09-30"), day("2026-01-01")))
            assert isinstance(twice, ClaimRefused)
            assert (twice.code, twice.detail) == ("blocked", {"until": "2025-10-01"})
            assert isinstance(await claim(store, UnblockClaim(DAYS, "o1"), UnblockClaim(DAYS, "none")), Appended)
            assert isinstance(await claim(store, ClearClaim(DAYS, day("2024-01-01"))), Appended)
            assert isinstance(await claim(store, ClearClaim(DAYS, day("2023-01-15"))), ClaimRefused)

    async def test_an_append_sees_what_its_own_claims_have_changed(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, YEARS)
            replaced = await claim(
                store,
                UnblockClaim(DAYS, "o1"),
                ClearClaim(DAYS, day("2024-01-01")),
                BlockClaim(DAYS, "o1", day("2023-10-01"), day("2026-10-01")),
            )
            assert isinstance(replaced, Appended)
            assert isinstance(await claim(store, ClearClaim(DAYS, day("2022-12-01"))), Appended)
            assert isinstance(await claim(store, ClearClaim(DAYS, day("2026-09-30"))), ClaimRefused)

    async def test_a_refused_append_changes_nothing_of_its_streams_and_claims(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, LimitClaim(SEAT, 5), TakeClaim(KEY, "me"))
            claims = (
                CountClaim(SEAT, 3),
                LimitClaim(SEAT, 9),
                TakeClaim("key:b", "me"),
                ReleaseClaim(KEY, "me"),
                YEARS,
                CountClaim(SEAT, 100),
            )
            refused = append(write("thing/refused"), claims=claims)
            assert isinstance(await store.append(refused), ClaimRefused)
            assert await store.stream_version(BOOK, "thing/refused") == 0
            assert await store.find_command(refused.command_id) is None
            counter = await store.counter(SEAT)
            assert (counter.used, counter.limit) == (0, 5)
            assert isinstance(await claim(store, TakeClaim("key:b", "you")), Appended)
            assert isinstance(await claim(store, TakeClaim(KEY, "you")), ClaimRefused)
            assert isinstance(await claim(store, ClearClaim(DAYS, day("2023-01-01"))), Appended)
            # The same command may be sent again, and is judged anew.
            assert isinstance(await store.append(refused), ClaimRefused)

    async def test_a_conflict_or_a_repetition_takes_no_claim(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, LimitClaim(SEAT, 5))
            one = append(write("thing/1"), claims=[CountClaim(SEAT, 1)])
            await store.append(one)
            await store.append(one)
            await store.append(append(write("thing/1"), claims=[CountClaim(SEAT, 1)]))
            assert (await store.counter(SEAT)).used == 1

    # ------------------------------------------------------------------------------------------------------- races

    async def test_the_last_seat_is_sold_once(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await claim(store, LimitClaim(SEAT, 1))
            sales = [
                append(write(f"sale/{n}", book=f"book-{n % 4}"), claims=[CountClaim(SEAT, 1)]) for n in range(CALLERS)
            ]
            results = await at_once(open_store, sales)
            assert len(appended(results)) == 1
            assert sum(isinstance(result, ClaimRefused) for result in results) == CALLERS - 1
            assert (await store.counter(SEAT)).used == 1

    async def test_without_the_claim_the_last_seat_is_sold_many_times(self, open_store: OpenStore) -> None:
        """The race that the claim is there for: look first, then append."""
        async with open_store() as store:
            together = asyncio.Barrier(CALLERS)

            async def sell(number: int) -> AppendResult | None:
                taken = await store.streams(BOOK, "sale/")
                await together.wait()
                return await store.append(append(write(f"sale/{number}"))) if not taken else None

            sold = await asyncio.gather(*map(sell, range(CALLERS)))
            assert len([one for one in sold if isinstance(one, Appended)]) > 1

    async def test_a_key_nobody_has_seen_is_taken_once(self, open_store: OpenStore) -> None:
        takes = [
            append(write(f"t/{n}", book=f"book-{n % 4}"), claims=[TakeClaim(KEY, f"t{n}")]) for n in range(CALLERS)
        ]
        results = await at_once(open_store, takes)
        assert len(appended(results)) == 1

    async def test_a_clear_and_a_block_on_an_unseen_key_never_pass_each_other(self, open_store: OpenStore) -> None:
        """Whoever comes first decides: a clear that passed came before the block, so its event has the lower number.

        Both write the same book, so that their order can be told; the keys are new, so that no row could be locked.
        """
        for attempt in range(10):
            key = f"days:{attempt}"
            clear = append(write(f"clear/{attempt}"), claims=[ClearClaim(key, day("2023-01-01"))])
            block = append(
                write(f"block/{attempt}"), claims=[BlockClaim(key, "o", day("2022-01-01"), day("2024-01-01"))]
            )
            cleared, blocked = await at_once(open_store, [clear, block])
            assert isinstance(blocked, Appended)
            if isinstance(cleared, Appended):
                assert cleared.sequences[BOOK] < blocked.sequences[BOOK]
