"""The stories that can be played: what happens more often in each, and what happens in no other.

A story is data. `population.generate` draws from it, `programme.compose` writes its script, and what it is named for
is seen in its report (`demo/report.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulator.script import SEATED_WEIGHTS, SEATED_WISHES, FateKind, Wish


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named story.

    `wishes` must occur, `weights` say how often each fate comes to those who have a seat. `is_messy`: some nominations
    must be refused. `changes_classes`: classes are postponed and go online. `reallocates`: a county cannot fill a line,
    and another one takes its seats over. `reverses`: a restriction is taken back, and its teacher nominated again.
    `is_eventful`: what happens seldom happens once each (`simulator/rarities.py`).
    """

    name: str
    title_zh: str
    title_en: str
    wishes: tuple[Wish, ...]
    weights: tuple[tuple[FateKind, float], ...]
    is_messy: bool = True
    changes_classes: bool = False
    reallocates: bool = False
    reverses: bool = False
    is_eventful: bool = False


USUAL: Final = Scenario("usual", "寻常之年", "A usual year", SEATED_WISHES, SEATED_WEIGHTS)

_STORIES: Final = (
    USUAL,
    Scenario(
        "quiet-year",
        "平静之年",
        "A quiet year: nearly everybody completes, and nobody is restricted",
        wishes=(Wish("completed", follow_up="on_time"),),
        weights=(("completed", 94), ("withdrawn", 3), ("city_rejects", 2), ("excused_absent", 1)),
        is_messy=False,
    ),
    Scenario(
        "epidemic-autumn",
        "疫情之秋",
        "An epidemic autumn: classes are postponed or go online, and some teachers are in quarantine",
        wishes=(
            Wish("completed", follow_up="on_time"),
            Wish("withdrawn"),
            Wish("declines"),
            Wish("excused_absent"),
            Wish("not_completed", objection="none"),
        ),
        weights=(("completed", 74), ("withdrawn", 8), ("declines", 8), ("excused_absent", 8), ("not_completed", 2)),
        changes_classes=True,
    ),
    Scenario(
        "underfilled-county",
        "名额未满",
        "A county cannot fill its seats: it says so, and another one takes them over",
        wishes=SEATED_WISHES,
        weights=SEATED_WEIGHTS,
        reallocates=True,
    ),
    Scenario(
        "reversed-restriction",
        "撤销限制",
        "A restriction is taken back, and the teacher may be nominated again",
        wishes=(*SEATED_WISHES, Wish("dismissed", objection="none"), Wish("dismissed", objection="none")),
        weights=SEATED_WEIGHTS,
        reverses=True,
    ),
    Scenario(
        "eventful-year",
        "多事之年",
        "An eventful year: all of the above, and once each nearly everything that happens seldom",
        wishes=(
            *SEATED_WISHES,
            Wish("dismissed", objection="none"),
            Wish("dismissed", objection="none"),
            *(Wish("completed", returned=False, follow_up=each) for each in ("on_time", "on_time", "on_time", "never")),
        ),
        weights=SEATED_WEIGHTS,
        changes_classes=True,
        reallocates=True,
        reverses=True,
        is_eventful=True,
    ),
)

SCENARIOS: Final[Mapping[str, Scenario]] = {each.name: each for each in _STORIES}
"""Every story by its name."""
