"""A bar on a terminal, and nothing anywhere else."""

import io

from rich.console import Console

from command_line.progress import progress


def test_a_terminal_sees_what_is_done_of_how_much_and_nothing_stays() -> None:
    screen = io.StringIO()
    with progress("Reading", 10, Console(file=screen, force_terminal=True, width=100)) as advance:
        advance(3)
        advance(4)
    assert "Reading" in screen.getvalue()
    assert "7/10" in screen.getvalue()


def test_a_file_sees_nothing() -> None:
    screen = io.StringIO()
    with progress("Reading", 10, Console(file=screen)) as advance:
        advance(3)
    assert screen.getvalue() == ""


def test_without_a_total_it_goes_on() -> None:
    screen = io.StringIO()
    with progress("Reading", None, Console(file=screen, force_terminal=True, width=100)) as advance:
        advance(5)
    assert "5/?" in screen.getvalue()
