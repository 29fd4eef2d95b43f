"""Every command in every situation, docs/commands-and-states.md: allowed, or refused with its codes.

    python -m docgen.command_table

Each cell was decided, with the command as the organisation sends it whose step it is. Where several roles or several
forms of a command are possible, one that is allowed makes the cell allowed.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from docgen.lifecycles.all import LIFECYCLES
from docgen.lifecycles.exploring import NOT_YET, Cell, Label, Lifecycle, Situation, cells
from domain.refusals import WORDINGS

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "commands-and-states.md"
NOT_YET_LABEL: Final = Label("尚不存在", "it does not exist yet")
HEAD: Final = """\
# Commands and states · 命令与状态

<!-- Written by `python -m docgen.command_table`; do not edit. -->

What becomes of every command in every situation, as the code decides it. A command by anybody whose step it is not is
refused as `not_your_part` in all of them, and is not repeated here. The phases are drawn in
[state-machines.md](state-machines.md); the words of each code stand [below](#codes--代码).

每一格都由程序实际作出决定。非本单位的操作一律拒绝(`not_your_part`),此处不重复。
"""


def as_text(lifecycles: tuple[Lifecycle, ...] = LIFECYCLES) -> str:
    """docs/commands-and-states.md."""
    decided = {each.kind: cells(each) for each in lifecycles}
    lines = [HEAD]
    for lifecycle in lifecycles:
        lines += _chapter(lifecycle, decided[lifecycle.kind])
    lines += _codes(cell for each in decided.values() for cell in each)
    return "\n".join(lines) + "\n"


def _chapter(lifecycle: Lifecycle, decided: tuple[Cell, ...]) -> Iterator[str]:
    yield f"\n## {lifecycle.title.zh} · {lifecycle.title.en}"
    for situation in lifecycle.situations:
        own = [cell for cell in decided if cell.situation is situation]
        yield f"\n### {_heading(lifecycle, situation)}\n"
        yield "| | Commands · 命令 |\n|---|---|"
        yield from _rows(own)


def _heading(lifecycle: Lifecycle, situation: Situation) -> str:
    phase = lifecycle.phase_in(situation)
    label = NOT_YET_LABEL if phase == NOT_YET else lifecycle.phases[phase]
    words = f"{label.zh} · {label.en}"
    return f"{words}: {situation.label.zh} · {situation.label.en}" if situation.label else words


def _rows(own: list[Cell]) -> Iterator[str]:
    allowed: dict[str, list[str]] = {}
    refused: dict[str, list[str]] = {}
    for cell in own:
        for phase in dict.fromkeys(after for _, after in cell.allowed):
            roles = ", ".join(dict.fromkeys(role for role, after in cell.allowed if after == phase))
            allowed.setdefault(phase, []).append(f"`{cell.command}` ({roles})")
        if not cell.allowed:
            refused.setdefault(", ".join(f"`{code}`" for code in cell.codes), []).append(f"`{cell.command}`")
    for phase, commands in allowed.items():
        yield f"| 允许 allowed → `{phase}` | {', '.join(commands)} |"
    for codes, commands in refused.items():
        yield f"| 拒绝 refused: {codes} | {', '.join(commands)} |"


def _codes(decided: Iterable[Cell]) -> Iterator[str]:
    used = sorted({code for cell in decided if not cell.allowed for code in cell.codes})
    yield "\n## Codes · 代码\n\n`{…}` is filled in when a command is refused.\n"
    yield "| Code | 原因 | Why | 怎么办 | What to do |\n|---|---|---|---|---|"
    for code in used:
        words = WORDINGS[code]
        yield f"| `{code}` | {words.zh} | {words.en} | {words.remedy_zh} | {words.remedy_en} |"


if __name__ == "__main__":
    COMMITTED.write_text(as_text(), encoding="utf-8")
