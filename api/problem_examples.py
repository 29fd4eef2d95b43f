"""How each problem looks, for the API's description: refusals in the domain's own words, all others by their page."""

from functools import cache
from string import Formatter
from typing import Any, Final

from api.docs import PROBLEMS
from api.problem_types import BY_SLUG, INVALID, MALFORMED, REFUSALS, ProblemType
from api.problems import Problem, refused
from api.validation import NOT_JSON, Fault, unknown_field
from domain.refusals import WORDINGS, refuse
from domain.wording import Wording

ORIGIN: Final = "https://xunji.example.invalid"
REQUEST_ID: Final = "0b6f1b2d7a904c3a8f0b5b1f6f6a3f11"

_SAMPLES: Final[dict[str, object]] = {
    "allowed": "withdraw, enroll",
    "as_of": "2022-10-10 09:00",
    "attended": 40,
    "begins": "2022-10-10 08:30",
    "book": "2022-zhengzhou",
    "closes": "2022-12-31",
    "command": "approve",
    "completed_on": "2021-11-12",
    "count": 3,
    "county": "410181",
    "day": "2022-10-10",
    "days": 5,
    "deadline": "2022-08-29 18:00",
    "ends": "2022-10-16",
    "expected": "3",
    "host": "h012",
    "known": "gp1, gp2",
    "leave": 1,
    "level": "county",
    "limit": 12,
    "line": "gp1:410181",
    "number": "zz22-410181-00123",
    "opens": "2022-08-25",
    "phase": "selected",
    "position": "principal",
    "project_type": "gp1",
    "required": 7,
    "restriction": "zz22-410181-00123-r1",
    "roles": "county / bureau",
    "school": "410181-s01",
    "seats": 4,
    "session": "am",
    "stage": "primary",
    "starts": "2022-10-10",
    "subject": "mathematics",
    "trainee": "zz22-410181-00123",
    "training_class": "zz22-c-h012-01",
    "until": "2025-10-10",
    "used": 12,
    "version": 5,
    "years": 2,
}
"""What stands for the parts that a refusal's words are filled with. A part that is not here is shown as an ellipsis."""

_HEADINGS: Final = ("What happened", "What to do", "发生了什么", "怎么办")


@cache
def examples() -> dict[str, dict[str, Any]]:
    """An OpenAPI example of every problem, by its slug."""
    return {slug: _example(type_) for slug, type_ in sorted(BY_SLUG.items())}


def _example(type_: ProblemType) -> dict[str, Any]:
    document = _problem(type_).document(ORIGIN, REQUEST_ID)
    return {"summary": f"{type_.title} {type_.title_zh}", "value": document}


def _problem(type_: ProblemType) -> Problem:
    if type_ is INVALID:
        return Problem(type_, unknown_field("identity_nummer", ("identity_number", "name", "telephone")))
    if type_ is MALFORMED:
        return Problem(type_, NOT_JSON)
    code = type_.slug.replace("-", "_")
    if code in WORDINGS and REFUSALS.get(code) is type_:
        return refused(refuse(code, **_parts(WORDINGS[code])))
    happened, remedy, happened_zh, remedy_zh = _page(type_)
    return Problem(type_, Fault(code, happened, happened_zh, remedy, remedy_zh))


def _parts(words: Wording) -> dict[str, Any]:
    texts = (words.zh, words.en, words.remedy_zh, words.remedy_en)
    names = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
    return {name: _SAMPLES.get(name, "…") for name in names}


def _page(type_: ProblemType) -> list[str]:
    """The sections of `docs/problems/{slug}.md`, each as one line."""
    parts = (PROBLEMS / f"{type_.slug}.md").read_text(encoding="utf-8").split("\n## ")
    sections = dict(part.split("\n", 1) for part in parts[1:])
    return [" ".join(sections[heading].split()) for heading in _HEADINGS]
