"""Pages for people: the API's documentation, and what each problem type means. Everything is served from here."""

from functools import cache
from html import escape
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from api import problem_types
from api.problem_types import BY_SLUG, ProblemType
from api.problems import Problem, documented
from api.routing import public_router
from api.validation import Fault

STATIC: Final = Path(__file__).parent / "static"
PROBLEMS: Final = Path(__file__).parent.parent / "docs" / "problems"
PAGE_HEADERS: Final = {
    # The documentation's styles set themselves on elements; scripts come from our own files only.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
routes: APIRouter = public_router("", "documentation")

_DOCS: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>xunji 训迹</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/swagger-ui.css">
<link rel="stylesheet" href="/static/pages.css">
</head>
<body>
<div id="documentation"></div>
<noscript>This page needs JavaScript. The same text as data: <a href="/openapi.json">/openapi.json</a></noscript>
<script src="/static/swagger-ui-bundle.js"></script>
<script src="/static/documentation.js"></script>
</body>
</html>
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · xunji 训迹</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/pages.css">
</head>
<body class="page">
{body}
</body>
</html>
"""


@routes.get("/docs", include_in_schema=False)
async def show_documentation() -> HTMLResponse:
    """The API's documentation, working without the internet."""
    return HTMLResponse(_DOCS, headers=PAGE_HEADERS)


@routes.get("/problems", operation_id="list_problems", summary="All problem types", response_class=HTMLResponse)
async def list_problems() -> HTMLResponse:
    """A page with every problem type, its status and its title."""
    rows = "\n".join(
        f'<li><a href="/problems/{each.slug}">{each.slug}</a> {each.status} · {escape(each.title)} {each.title_zh}</li>'
        for each in sorted(BY_SLUG.values(), key=lambda each: (each.status, each.slug))
    )
    return page_of("Problems", f"<h1>Problems 问题类型</h1>\n<ul>\n{rows}\n</ul>")


@routes.get(
    "/problems/{slug}",
    operation_id="explain_problem",
    summary="What a problem type means",
    response_class=HTMLResponse,
    responses=documented(404),
)
async def explain_problem(
    slug: Annotated[str, PathParameter(pattern=r"^[a-z0-9-]+$", max_length=64)],
) -> HTMLResponse:
    """The page that a problem's `type` leads to."""
    type_ = BY_SLUG.get(slug)
    if type_ is None:
        raise Problem(problem_types.NOT_FOUND, _NO_SUCH_PROBLEM)
    back = '<p><a href="/problems">All problems 全部问题类型</a></p>'
    return page_of(type_.slug, f"<pre>{escape(explanation(type_))}</pre>\n{back}")


@cache
def explanation(type_: ProblemType) -> str:
    """The text of `docs/problems/{slug}.md`."""
    return (PROBLEMS / f"{type_.slug}.md").read_text(encoding="utf-8")


def page_of(title: str, body: str, status: int = 200) -> HTMLResponse:
    """A page for people. `body` is HTML; whatever was put into it is escaped already."""
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status, headers=PAGE_HEADERS)


def mount_static(app: FastAPI) -> None:
    """Serve the vendored files."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


_NO_SUCH_PROBLEM = Fault("not_found", "No such problem type.", "没有这个问题类型。", "See /problems.", "见 /problems。")
