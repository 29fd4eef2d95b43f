"""How a long reading tells its caller how far it is."""

from collections.abc import Callable
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Told how many more events are done, page by page; it may be called from another thread."""


def uncounted(_count: int) -> None:
    """Nobody wants to know."""
