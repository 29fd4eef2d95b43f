"""The numbered edge cases of the regulation and the tests that carry each number: docs/cases.md, written by this.

    python -m docgen.edge_cases

A test carries a case when its name says so: `test_case_21_…`, `test_cases_51_to_55_…`, `…_edge_case_47`. Which cases
have none is listed first, so that nobody takes silence for coverage. A name proves that somebody thought of the case;
what the test asserts has to be read there.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
COMMITTED: Final = ROOT / "docs" / "cases.md"
CASES: Final[Mapping[int, str]] = {
    1: "Children's seats never exceed the parent's, nor fall below used and held; the last seat claimed twice at once",
    2: "Seats a county cannot fill go on with a window; bulletins keep original and adjusted",
    3: "An override needs role, reason and a record",
    4: "A host removed after seats were delegated",
    5: "Lists of project counties change by year",
    6: "A shortfall is reported with its reason",
    7: "A raised quota gives one offer per seat; an offer never revives; each who waits sees why",
    8: "One identity number under two names is held for review",
    9: "Every way of writing an identity number, with a clear error on the cell",
    10: "The number's prefix is not the county of work",
    11: "Telephone numbers repeat",
    12: "A correction keeps restrictions and hours attached",
    13: "A transfer during the year: the seat stays, hours and restrictions follow the person",
    14: "Retired, ill, on maternity leave or deceased before the start",
    15: "Restricted under one county, nominated by another",
    16: "Substitution before registration, never more than there are vacancies",
    17: "The cut-off after which a substitute cannot reach the days",
    18: "A for B for C, and A turns up",
    19: "Somebody else turns up",
    20: "The seat counts once",
    21: "Postponed, moved or online: everybody told, free withdrawal, the host's shortfall",
    22: "Merged: places counted once; cancelled: out of all denominators",
    23: "Overlapping dates of two selections, at nomination and at a change of dates",
    24: "Over New Year the project's year counts",
    25: "Leave before, after, denied, overstayed: only the unauthorised part counts",
    26: "Holidays inside a class",
    27: "Unmarked stays unknown and blocks completion",
    28: "A share of held units; a warning when passing has become impossible",
    29: "Scans arrive late and twice",
    30: "Paper lists after closing are corrections with evidence",
    31: "The host decides and the county suffers: both see it",
    32: "A restriction is decided only after the excuse window",
    33: "The start by policy, stored with its end; a correction never restarts it; 29 February",
    34: "A second incident: extend, parallel or stack",
    35: "Which day is tested is stated in the rule",
    36: "A restriction imposed while a nomination is in flight",
    37: "A waiver: who, why, document, one project, used once",
    38: "Reversed: eligibility back, bulletin versioned, hosts told",
    39: "Who was never confirmed cannot be absent",
    40: "A host's late list makes no mass absences",
    41: "A notice that cannot be delivered",
    42: "The last second of a day in Zhengzhou; days off by policy",
    43: "Each level has its clock",
    44: "Reopened for one county",
    45: "Returned after the deadline keeps the first time",
    46: "The system was down over a deadline",
    47: "The rates' formulas, versioned, with both their parts",
    48: "Bulletins have an as-of; a first version stays",
    49: "Small cells are suppressed",
    50: "The excused in and out of the denominator",
    51: "Certificates are never re-dated",
    52: "Revoked certificates still resolve",
    53: "What the verification page shows",
    54: "Certificate numbers are never reused",
    55: "A corrected name supersedes",
    56: "Cycle boundaries",
    57: "Reversed hours are negative entries",
    58: "A principal nominates himself",
    59: "Deputies with dates",
    60: "An administrator moves",
    61: "A host sees its own classes and the fields it needs",
    62: "Schools merge and close",
    63: "The same file twice gives the same result",
    64: "Cells that begin like a formula stay text",
    65: "Encodings, title rows, merged cells, hidden rows, row numbers",
    66: "Erasure asked for during a restriction",
    67: "Erased: statistics hold",
    68: "A refusal names rule version and facts",
    69: "Bulletins name organisations only",
    70: "Late external answers",
    71: "Bulk equals single",
    72: "How far an undo reaches",
    73: "Renamed projects",
    74: "Two records, one teacher",
}
_RANGE: Final = re.compile(r"cases_(\d+)_to_(\d+)(?!\d)")
_LISTED: Final = re.compile(r"cases?_(\d+(?:_\d+)*)(?!\d)")


def numbers_of(name: str) -> frozenset[int]:
    """The cases that a test's name carries: `test_cases_51_to_55_x` → 51 to 55, `test_case_48_72_x` → 48 and 72."""
    span = _RANGE.search(name)
    if span is not None:
        return frozenset(range(int(span[1]), int(span[2]) + 1))
    listed = _LISTED.search(name)
    return frozenset() if listed is None else frozenset(int(each) for each in listed[1].split("_"))


def carried_by_tests(root: Path = ROOT / "tests") -> dict[int, list[str]]:
    """For each number the tests as `tests/domain/test_x.py::test_case_…`, in the order of their names."""
    found: dict[int, list[str]] = {}
    for place, name in _tests(root):
        for number in numbers_of(name):
            found.setdefault(number, []).append(f"{place}::{name}")
    return {number: sorted(found[number]) for number in sorted(found)}


def _tests(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path.relative_to(root.parent).as_posix(), node.name


def as_text(found: Mapping[int, list[str]]) -> str:
    """docs/cases.md."""
    missing = [number for number in CASES if number not in found]
    lines = [
        "# Edge cases and their tests",
        "",
        "<!-- Written by `python -m docgen.edge_cases`; do not edit. -->",
        "",
        f"{len(CASES) - len(missing)} of {len(CASES)} numbered edge cases have a test that carries the number in its "
        "name.",
        "",
        "## Without a test that carries the number",
        "",
        *(f"- {number}. {CASES[number]}" for number in missing),
        *(["None."] if not missing else []),
        "",
        "## With tests",
    ]
    for number, tests in found.items():
        lines += ["", f"### {number}. {CASES[number]}", "", *(f"- `{each}`" for each in tests)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(as_text(carried_by_tests()), encoding="utf-8")
