"""The columns of a file: what they may be called, which of them a problem means, and what is shown of their cells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from spreadsheets.table import Headings

RESULT: Final = "result"
RESULT_HEADING: Final = "导入结果 Result"
RESULT_NAMES: Final = (RESULT_HEADING, "导入结果", "result")
SUCCEEDED_MARK: Final = "OK"
SHOWN_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one kind of file. `masks` say what may be shown of a personal one; `pointers` lead to columns
    where a pointer into the command is not the column's own name.
    """

    headings: Headings
    masks: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    pointers: Mapping[str, str] = field(default_factory=dict)

    def column_of(self, pointer: str) -> str:
        """The column that a pointer means: `/person/name` → `name`; "" when there is none."""
        first = pointer.removeprefix("/").split("/", 1)[0]
        name = self.pointers.get(pointer) or self.pointers.get(f"/{first}", first)
        return name if name in self.headings.names else ""

    def shown(self, column: str, text: str) -> str:
        """What may be shown of a cell: nothing personal in the clear."""
        mask = self.masks.get(column)
        return mask(text) if mask is not None else text[:SHOWN_CHARACTERS]
