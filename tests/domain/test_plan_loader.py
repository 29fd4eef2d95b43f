"""Every mistake in a plan is found at once, where it stands, with what was expected there."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.plan_loader import MAX_DEPTH, MAX_PLAN_CHARACTERS, PlanError, PlanProblem, load_plan

WHOLE = (Path(__file__).parents[2] / "plans" / "2022-zhengzhou.yaml").read_text(encoding="utf-8")
# A hundred hosts fewer, because every test here reads the file.
TEXT = "".join(line for line in WHOLE.splitlines(keepends=True) if not re.search(r"id: h0[3-9]\d|id: h1[0-3]\d", line))

MARK = "§"


def broken(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert old in text, f"the plan no longer holds {old!r}"
        text = text.replace(old, new, 1)
    return text


def problems_of(text: str) -> list[PlanProblem]:
    with pytest.raises(PlanError) as caught:
        load_plan(text)
    assert caught.value.problems
    return caught.value.problems


class Mistake(NamedTuple):
    """`new` replaces `old` in the plan; MARK in it is where the problem must point to."""

    old: str
    new: str
    path: str
    expected: str
    message: str


MISTAKES = [
    Mistake(
        "last_offer: null",
        "last_offer: §2024-05-01",
        path="seat_rules.last_offer",
        expected="a day from 2022-08-25 to 2023-02-10",
        message="lies outside the campaign",
    ),
    Mistake(
        "last_offer: null",
        "last_offer: §20221001",
        path="seat_rules.last_offer",
        expected="2022-08-31",
        message="2022-08-31",
    ),
    Mistake(
        "rural: required",
        "§rurl: required",
        path="project_types[0].rurl",
        expected="the key rural",
        message="did you mean `rural`",
    ),
    Mistake(
        "  opens: ",
        "  §openz: ",
        path="dates.openz",
        expected="the key opens",
        message="did you mean `opens`",
    ),
    Mistake(
        "title_en: Zh",
        "§nonsense: Zh",
        path="nonsense",
        expected="one of id, edition",
        message="unknown key `nonsense`",
    ),
    Mistake(
        "level: national",
        "level: §nationwide",
        path="project_types[0].level",
        expected="'national'",
        message="found nationwide",
    ),
    Mistake(
        "opens: 2022-08-25",
        "opens: §20220825",
        path="dates.opens",
        expected="a date like",
        message="found 20220825",
    ),
    Mistake(
        "opens: 2022-08-25",
        "opens: §2022-13-25",
        path="dates.opens",
        expected="readable",
        message="can't be read",
    ),
    Mistake(
        "opens: 2022-08-25",
        "opens: §2022-08-25 10:00:00",
        path="dates.opens",
        expected="a date like",
        message="found 2022-08-25 10:00",
    ),
    Mistake(
        "2022-08-29 18:00",
        "§2022-08-29 1800",
        path="dates.selection.school.at",
        expected="an instant",
        message="found 2022-08-29 1800",
    ),
    Mistake(
        "2022-08-29 18:00",
        "§2022-08-29",
        path="dates.selection.school.at",
        expected="an instant",
        message="found 2022-08-29",
    ),
    Mistake(
        "2022-08-29 18:00",
        "§18",
        path="dates.selection.school.at",
        expected="an instant",
        message="found 18",
    ),
    Mistake(
        "edition: 1 ",
        "edition: §true ",
        path="edition",
        expected="a whole number",
        message="found true",
    ),
    Mistake(
        "edition: 1 ",
        "edition: §0 ",
        path="edition",
        expected="1 or more",
        message="found 0",
    ),
    Mistake(
        "restriction_years: 3",
        "restriction_years: §30",
        path="rules.restriction_years",
        expected="10 or less",
        message="found 30",
    ),
    Mistake(
        "id: zdxq",
        "id: §410199",
        path="recipients[15].id",
        expected="quotes",
        message="found 410199",
    ),
    Mistake(
        "number_prefix: zz22",
        "number_prefix: §ZZ",
        path="number_prefix",
        expected="text of the form",
        message="found ZZ",
    ),
    Mistake(
        "training@zdxq.example.invalid",
        "§a@zz.gov.cn",
        path="recipients[15].contact_email",
        expected="form",
        message="found a@zz.gov.cn",
    ),
    Mistake(
        "  invented: true",
        "  invented: §false",
        path="quotas.invented",
        expected="True",
        message="found false",
    ),
    Mistake(
        "stages: [senior]",
        "stages: §[]",
        path="project_types[8].stages",
        expected="1 or more",
        message="found a list",
    ),
    Mistake(
        "bureau: zzedu",
        "bureau: §[zzedu]",
        path="bureau",
        expected="text",
        message="found a list",
    ),
    Mistake(
        "id: zdxq",
        'id: §"410171"',
        path="recipients[15].id",
        expected="once",
        message="already used by item 13",
    ),
    Mistake(
        "edition: 1 ",
        "edition: 1\n§edition: 2 ",
        path="edition",
        expected="each key once",
        message="twice",
    ),
    Mistake(
        "contact: office-key",
        "contact: §office-keys",
        path="project_types[1].contact",
        expected="office-key",
        message="did you mean `office-key`",
    ),
    Mistake(
        "[chinese, mathematics, english, physics, politics",
        "[§chinesse, mathematics, english, physics, politics",
        path="project_types[1].subjects[0]",
        expected="chinese",
        message="did you mean `chinese`",
    ),
    Mistake(
        "levels: [national], rating: C",
        "levels: [national, §national], rating: C",
        path="hosts[10].levels[1]",
        expected="once",
        message="twice",
    ),
    Mistake(
        "announced_hosts: 14",
        "announced_hosts: §13",
        path="levels[1].announced_hosts",
        expected="at least 14",
        message="13 announced",
    ),
    Mistake(
        "{gp1: 84",
        "{§gp1: 79",
        path="quotas.city_totals.gp1",
        expected="at least 80",
        message="add up to 80",
    ),
    Mistake(
        "city_totals: {gp1: 84, ",
        "§city_totals: {",
        path="quotas.city_totals",
        expected="a city total for gp1",
        message="no city total",
    ),
    Mistake(
        "city_totals: {gp1: 84, ",
        "city_totals: {gp1: 84, §gp0: 3, ",
        path="quotas.city_totals.gp0",
        expected="gp1",
        message="no project type `gp0`",
    ),
    Mistake(
        "    jks:  ",
        "    §jkss: ",
        path="quotas.seats.jkss",
        expected="jks",
        message="did you mean `jks`",
    ),
    Mistake(
        "{gp2: 2, gp3: 1, gp5: 4",
        "{gp2: 2, §gp33: 1, gp5: 4",
        path="quotas.seats.jszx.gp33",
        expected="gp3",
        message="no project type `gp33`",
    ),
    Mistake(
        "{gp2: 2, gp3: 1, gp5: 4",
        "{§gp7: 1, gp3: 1, gp5: 4",
        path="quotas.seats.jszx.gp7",
        expected="project_county",
        message="jszx is not one",
    ),
    Mistake(
        "{gp2: 2, gp3: 1, gp5: 4",
        "{gp2: 2, gp3: §0, gp5: 4",
        path="quotas.seats.jszx.gp3",
        expected="1 or more",
        message="found 0",
    ),
    Mistake(
        "closes: 2023-02-10",
        "closes: §2022-12-30",
        path="dates.closes",
        expected="later than dates.soft_end",
        message="after dates.soft_end",
    ),
    Mistake(
        "{rule: restriction_years,",
        "{rule: §restriction_yers,",
        path="rules.basis[1].rule",
        expected="restriction_years",
        message="did you mean",
    ),
    Mistake(
        "{rule: restriction_starts,",
        "{rule: §restriction_years,",
        path="rules.basis[2].rule",
        expected="each rule once",
        message="two bases",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.path}: {mistake.message}")
def test_a_problem_stands_where_the_mistake_is(mistake: Mistake) -> None:
    marked = broken((mistake.old, mistake.new))
    before, text = marked[: marked.index(MARK)], marked.replace(MARK, "")
    (problem,) = [problem for problem in problems_of(text) if problem.path == mistake.path]
    assert problem.line == before.count("\n") + 1
    assert problem.column == len(before) - before.rfind("\n")
    assert mistake.expected in problem.expected
    assert mistake.message in problem.message_en
    assert problem.message_zh
    assert problem.found


def test_a_missing_key_is_shown_where_it_should_stand() -> None:
    text = broken(("    rural: required\n", ""))
    (problem,) = problems_of(text)
    assert (problem.path, problem.expected, problem.found) == (
        "project_types[0].rural",
        "the key rural",
        "nothing",
    )
    assert text.splitlines()[problem.line - 1][problem.column - 1 :] == "id: gp1"


def test_all_problems_come_at_once_and_by_line() -> None:
    text = broken(
        ("edition: 1 ", "edition: x "),
        ("2022-08-29 18:00", "2022-09-29 18:00"),
        ("rural: required", "rurl: required"),
        ("    jks:  ", "    jkss: "),
        ("{gp1: 84", "{gp1: 79"),
    )
    problems = problems_of(text)
    assert [problem.path for problem in problems] == [
        "edition",
        "dates.selection.county.at",
        "project_types[0].rural",
        "project_types[0].rurl",
        "quotas.city_totals.gp1",
    ]
    # Only the reference to a recipient needs the section that is wrong, and comes once that is mended.
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)
    mended = text.replace("rurl: required", "rural: required")
    assert "quotas.seats.jkss" in [problem.path for problem in problems_of(mended)]


def test_deadlines_must_be_in_order() -> None:
    text = broken(("2022-08-30 24:00", "2022-08-31 24:00"))
    (problem,) = problems_of(text)
    assert problem.path == "dates.selection.city.at"
    assert problem.expected == "later than dates.selection.county.at"


def test_a_rule_without_a_basis_is_noticed() -> None:
    text = "\n".join(line for line in TEXT.splitlines() if "rule: restriction_starts" not in line)
    (problem,) = problems_of(text)
    assert (problem.path, problem.expected) == ("rules.basis", "an entry for restriction_starts")


def test_a_level_without_hosts_is_noticed() -> None:
    text = TEXT.replace("levels: [national, provincial]", "levels: [national]").replace(
        "levels: [provincial]", "levels: [national]"
    )
    text = text.replace("announced_hosts: 153", "announced_hosts: 999")
    assert {problem.path for problem in problems_of(text)} == {f"project_types[{n}].level" for n in range(7, 12)}


def test_the_bureau_can_not_be_a_recipient() -> None:
    assert "recipients[18].id" in [problem.path for problem in problems_of(broken(("bureau: zzedu", "bureau: jks")))]


def test_a_gb_code_belongs_to_one_recipient() -> None:
    text = broken(("gb_code: null", 'gb_code: "410181"'))
    paths = [problem.path for problem in problems_of(text)]
    assert paths == ["recipients[7].gb_code", "recipients[15].gb_code"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
        ("a: [1", 1, "not valid YAML"),
        ("a: 1\nb: {", 2, "not valid YAML"),
        ("a: \x01", 1, "not valid YAML"),
        ("a: &x 1\nb: *x\n", 2, "aliases"),
        ("a: " + "[" * (MAX_DEPTH + 5), 1, "nested too deeply"),
        ("a: " + "[" * 50_000, 1, "nested too deeply"),
        ("---\na: 1\n---\nb: 2\n", 3, "not valid YAML"),
        ("x" * (MAX_PLAN_CHARACTERS + 1), 1, "too large"),
        ("? [a]\n: 1\n", 1, "a key must be a word"),
        ("- 1\n", 1, "keys with values is expected"),
        ("word", 1, "keys with values is expected"),
        ("id: !!python/name:os.system x\n", 1, "can't be read"),
    ],
)
def test_what_is_no_plan_at_all(text: str, line: int, message: str) -> None:
    problems = problems_of(text)
    assert any(message in problem.message_en for problem in problems)
    assert problems[0].line == line


def test_an_empty_mapping_misses_every_key() -> None:
    assert {problem.path for problem in problems_of("{}")} >= {"id", "dates", "rules", "quotas", "hosts"}


def test_a_found_value_is_cut_short() -> None:
    (problem,) = problems_of(broken(("number_prefix: zz22", f"number_prefix: {'z' * 5000}")))
    assert len(problem.found) == 80


def test_the_error_reads_as_a_list_of_places() -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(broken(("edition: 1 ", "edition: x ")))
    line = next(number for number, line in enumerate(TEXT.splitlines(), 1) if line.startswith("edition:"))
    assert str(caught.value) == f"{line}:10 edition: a whole number is expected, found x"


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_a_damaged_file_gives_problems_within_it_or_a_plan(data: st.DataObject) -> None:
    lines = TEXT.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[number])))
    lines[number] = lines[number][:column] + data.draw(st.text(max_size=6)) + lines[number][column:]
    text = "\n".join(lines)
    problems: list[PlanProblem] = []
    try:
        load_plan(text)
    except PlanError as error:
        problems = error.problems
        assert problems
    # YAML also breaks lines at U+0085, U+2028 and U+2029, as splitlines does; the file's end is one more.
    assert all(1 <= problem.line <= len(text.splitlines()) + 1 and problem.column >= 1 for problem in problems)
    assert all(problem.message_zh and problem.message_en for problem in problems)
