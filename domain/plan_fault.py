"""What a check of a plan finds, and where; `domain.plan_loader` gives it a line and a column."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

PathStep = str | int
"""A key or an index of a list."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at `path` of the plan; `path` points into the YAML as it was written."""

    path: tuple[PathStep, ...]
    expected: str
    found: str
    message_zh: str
    message_en: str


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is near."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown(path: tuple[PathStep, ...], kind_zh: str, kind_en: str, found: str, known: Iterable[str]) -> Fault:
    """A reference to something that the plan does not have."""
    names = list(known)
    nearest = nearest_name(found, names)
    hint_zh, hint_en = (f"是否为“{nearest}”？", f"; did you mean `{nearest}`?") if nearest else ("", "")
    return Fault(
        path,
        f"one of {', '.join(names[:20])}" + (", …" if len(names) > 20 else ""),
        found,
        f"没有编号为“{found}”的{kind_zh}。{hint_zh}",
        f"there is no {kind_en} `{found}`{hint_en}",
    )
