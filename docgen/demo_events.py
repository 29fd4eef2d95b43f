"""Which events the demo shows, docs/demo-events.md.

    python -m docgen.demo_events

The list is `simulator/shown.py`, to which the runs of `tests/demo` are held.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docgen.event_catalogue import COMMITTED as CATALOGUE
from simulator.shown import IN_AN_EVENTFUL_YEAR, NOWHERE, nowhere

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "demo-events.md"
HEAD: Final = """\
# What the demo shows · 演示中出现的事件

<!-- Written by `python -m docgen.demo_events`; do not edit. -->

Every type of event in [events/catalogue.json](events/catalogue.json), and where it is recorded: in every run of `make
demo`, only in the story `--scenario eventful-year`, or in none, and then why and which test shows it. The other named
stories show parts of the eventful year by themselves ([demo.md](demo.md#named-stories)). `event_types` in the figures
of a run counts them.

每一种事件在哪一种演示中出现;没有出现的,写明原因和相应的测试。
"""


def types() -> dict[str, str]:
    """Every type of event with the kind of stream that it stands in, in the catalogue's order."""
    catalogue: dict[str, Any] = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {type_: str(about["stream"]).partition("/")[0] for type_, about in catalogue.items()}


def usual() -> frozenset[str]:
    """What a usual year records."""
    return frozenset(types()) - IN_AN_EVENTFUL_YEAR - nowhere()


def as_text() -> str:
    """docs/demo-events.md."""
    return "\n".join((HEAD, *_table(), *_reasons())) + "\n"


def _table() -> Iterator[str]:
    shown = usual()
    counts = (
        f"{len(shown)} types in a usual year, {len(IN_AN_EVENTFUL_YEAR)} more in the eventful one",
        f"{len(nowhere())} in none, of {len(types())}.",
    )
    yield ", ".join(counts)
    yield "\n| Stream · 事件流 | A usual year · 寻常之年 | Only `eventful-year` · 仅多事之年 | In no run · 未出现 |"
    yield "|---|---|---|---|"
    kinds = dict.fromkeys(types().values())
    for kind in kinds:
        own = [type_ for type_, of in types().items() if of == kind]
        cells = (shown, IN_AN_EVENTFUL_YEAR, nowhere())
        yield f"| {kind} | " + " | ".join(_named(own, each) for each in cells) + " |"


def _named(own: list[str], among: frozenset[str]) -> str:
    return ", ".join(f"`{type_}`" for type_ in own if type_ in among) or "—"


def _reasons() -> Iterator[str]:
    yield "\n## In no run · 未出现\n\n| Events · 事件 | About · 内容 | Why · 原因 |\n|---|---|---|"
    for about, (why, of_it) in NOWHERE.items():
        yield f"| {', '.join(f'`{type_}`' for type_ in sorted(of_it))} | {about} | {why} |"


if __name__ == "__main__":
    COMMITTED.write_text(as_text(), encoding="utf-8")
