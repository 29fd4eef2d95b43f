"""How many nominations each quota line gets: some more than it has seats, some fewer, as in any real year."""

from collections import Counter
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from random import Random

from domain.plan import Plan, QuotaLine

MIN_NOMINATIONS = 12
MAX_NOMINATIONS = 5_000
NOMINATIONS_PER_PROJECT_TYPE = 12
"""With fewer nominations fewer project types take part, so that the classes are worth the name."""

NOMINATIONS_PER_LINE = 3
FEW_NOMINATIONS = 50
"""With fewer than these a single line is over its quota, so that seats are left for every kind of fate."""

_OVER_SHARE = 0.2
_UNDER_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class LineDemand:
    """A quota line and how many teachers are nominated for it."""

    line: QuotaLine
    nominations: int

    @property
    def seated(self) -> int:
        """How many of them there are seats for."""
        return min(self.nominations, self.line.seats)

    @property
    def is_over(self) -> bool:
        return self.nominations > self.line.seats


def demand(plan: Plan, nominations: int, rng: Random) -> tuple[LineDemand, ...]:
    """The lines that take part, in the plan's order; their nominations add up to `nominations`.

    At least one line has more nominations than seats, and others have fewer.
    """
    if not MIN_NOMINATIONS <= nominations <= MAX_NOMINATIONS:
        raise ValueError(f"{MIN_NOMINATIONS} to {MAX_NOMINATIONS} nominations, not {nominations}")
    lines = _lines_taking_part(plan, nominations, rng)
    shares = _shares(lines, nominations, rng)
    _share_out(shares, nominations - sum(share.count for share in shares))
    return tuple(LineDemand(share.line, share.count) for share in shares if share.count)


def _lines_taking_part(plan: Plan, nominations: int, rng: Random) -> list[QuotaLine]:
    wanted = max(3, nominations // NOMINATIONS_PER_PROJECT_TYPE)
    # With few nominations, project types with a follow-up task: their cases go through more phases.
    candidates = [each.id for each in plan.project_types if each.follow_up is not None]
    if wanted < len(candidates):
        chosen = set(rng.sample(candidates, wanted))
    else:
        chosen = {each.id for each in plan.project_types}
    lines = [line for line in plan.lines() if line.project_type in chosen]
    limit = max(4, nominations // NOMINATIONS_PER_LINE)
    if len(lines) <= limit:
        return lines
    # The smallest line, to be over its quota at little cost; then others, until there are seats enough.
    smallest = min(lines, key=lambda line: line.seats)
    taken = {smallest.key}
    seats = 0
    for line in _by_turns([line for line in lines if line is not smallest], rng):
        if len(taken) < limit or seats < nominations:
            taken.add(line.key)
            seats += line.seats
    return [line for line in lines if line.key in taken]


def _by_turns(lines: list[QuotaLine], rng: Random) -> list[QuotaLine]:
    """The project types in turn, each with its larger lines first."""
    rng.shuffle(lines)
    turns: Counter[str] = Counter()
    ranked = []
    for line in sorted(lines, key=lambda line: -min(line.seats, NOMINATIONS_PER_LINE + 1)):
        ranked.append((turns[line.project_type], line))
        turns[line.project_type] += 1
    return [line for _, line in sorted(ranked, key=lambda pair: pair[0])]


@dataclass(slots=True)
class _Share:
    """A line while nominations are handed out: `count` never grows beyond `most`."""

    line: QuotaLine
    weight: float
    most: int
    count: int = 0


def _shares(lines: list[QuotaLine], nominations: int, rng: Random) -> list[_Share]:
    few = nominations < FEW_NOMINATIONS
    enough_for_all = nominations > sum(line.seats for line in lines)
    shares = []
    for line in lines:
        style = rng.random()
        if style < _UNDER_SHARE and line.seats >= 2 and not few:
            weight = rng.uniform(0.4, 0.8)
            shares.append(_Share(line, line.seats * weight, max(1, int(line.seats * weight))))
        elif style > 1 - _OVER_SHARE and not few:
            shares.append(_Share(line, line.seats * rng.uniform(1.2, 1.9), nominations))
        else:
            shares.append(_Share(line, line.seats, nominations if enough_for_all else line.seats))
    over = min(shares, key=lambda share: share.line.seats)
    over.count = over.line.seats + 1
    over.most = over.count if few else nominations
    return shares


def _share_out(shares: list[_Share], nominations: int) -> None:
    """Hands out one by one, each to the line with the largest weight per nomination (D'Hondt's rule)."""
    heap = [(-share.weight / (share.count + 1), index) for index, share in enumerate(shares)]
    heapify(heap)
    for _ in range(nominations):
        while shares[heap[0][1]].count >= shares[heap[0][1]].most:
            heappop(heap)
        index = heap[0][1]
        shares[index].count += 1
        heapreplace(heap, (-shares[index].weight / (shares[index].count + 1), index))
