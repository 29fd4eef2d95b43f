"""The drawn state machines, docs/state-machines.md: found by deciding every command in every situation.

    python -m docgen.state_machines

The arrows are what `decide` and `evolve` do, not what a table says: `docgen.lifecycles` holds the situations that are
tried. A step that leaves the phase as it is stands below the drawing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docgen.lifecycles.all import LIFECYCLES
from docgen.lifecycles.exploring import NOT_YET, Label, Lifecycle, Transition, View, transitions

COMMITTED: Final = Path(__file__).parent.parent / "docs" / "state-machines.md"
HEAD: Final = """\
# State machines · 状态机

<!-- Written by `python -m docgen.state_machines`; do not edit. -->

What each process can become, as the code decides it. An arrow is a command that was decided in a situation of the
phase where it begins; `tests/domain/machines` walks at random and takes no step that is not drawn here. Which situation
allows which command, and why another refuses it, stands in [commands-and-states.md](commands-and-states.md).

每个箭头都是程序实际作出的决定。各情形下允许哪些命令、为何拒绝,见 [commands-and-states.md](commands-and-states.md)。
"""


def as_text(lifecycles: tuple[Lifecycle, ...] = LIFECYCLES) -> str:
    """docs/state-machines.md."""
    return "\n".join((HEAD, *(line for each in lifecycles for line in _chapter(each))))


def drawn(lifecycle: Lifecycle) -> tuple[tuple[View, tuple[Transition, ...]], ...]:
    """The steps that change the phase, by the view that draws each: the first one that holds it."""
    left = [each for each in transitions(lifecycle) if each.before != each.after]
    found = []
    for view in lifecycle.views:
        found.append((view, tuple(each for each in left if view.holds(each))))
        left = [each for each in left if not view.holds(each)]
    assert not left, f"no view draws {left}"
    return tuple(found)


def diagram(lifecycle: Lifecycle, steps: tuple[Transition, ...]) -> str:
    """The steps as Mermaid text; arrows between the same two phases are one arrow with all their commands."""
    shown = {phase for each in steps for phase in (each.before, each.after)}
    begins = lifecycle.begins_in in shown and lifecycle.begins_in
    lines = ["stateDiagram-v2"]
    lines += [
        f'    state "{label.zh}<br/>{label.en}" as {_id(phase)}'
        for phase, label in lifecycle.phases.items()
        if phase in shown
    ]
    lines += [f"    [*] --> {_id(begins)}"] if begins else []
    arrows: dict[tuple[str, str], list[Label]] = {}
    for each in steps:
        arrows.setdefault((each.before, each.after), []).append(lifecycle.commands[each.command])
    for (before, after), commands in arrows.items():
        words = "<br/>".join(f"{label.zh} {label.en}" for label in commands)
        lines.append(f"    {_id(before)} --> {_id(after)} : {words}")
    lines += [f"    {_id(phase)} --> [*]" for phase in lifecycle.phases if phase in shown & lifecycle.ended]
    return "\n".join(lines)


def _id(phase: str) -> str:
    return "[*]" if phase == NOT_YET else phase.replace("-", "_")


def _chapter(lifecycle: Lifecycle) -> Iterator[str]:
    yield f"\n## {lifecycle.title.zh} · {lifecycle.title.en}"
    for view, steps in drawn(lifecycle):
        if len(lifecycle.views) > 1:
            yield f"\n### {view.title.zh} · {view.title.en}"
        yield f"\n```mermaid\n{diagram(lifecycle, steps)}\n```"
    yield from _staying(lifecycle)


def _staying(lifecycle: Lifecycle) -> Iterator[str]:
    """The steps that a drawing would only show as loops."""
    loops: dict[str, list[str]] = {}
    for each in transitions(lifecycle):
        if each.before == each.after:
            loops.setdefault(each.before, []).append(each.command)
    if not loops:
        return
    yield "\n| Stays in · 停留在 | Commands · 命令 |\n|---|---|"
    for phase, commands in loops.items():
        label = lifecycle.phases[phase]
        words = ", ".join(f"{lifecycle.commands[name].zh} `{name}`" for name in commands)
        yield f"| {label.zh} `{phase}` | {words} |"


if __name__ == "__main__":
    COMMITTED.write_text(as_text() + "\n", encoding="utf-8")
