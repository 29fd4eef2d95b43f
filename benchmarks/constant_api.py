"""What reads of the API are measured against: the same FastAPI routes, which return a constant.

- `route`: the API itself, with its key, scope, limits, edge and log; only what a route does is replaced by bytes that
  are there already. What ours costs beyond it is the reading.

The other two are a FastAPI of its defaults in a process as the API's is (uvicorn, uvloop, the same options): no key, no
limits, no edge, no log, no database. Each route has the API's own path, parameters and declared answer.

- `bytes`: the answer's bytes are there already. No FastAPI route can be faster.
- `model`: the answer is an object of the response model, which FastAPI makes into JSON: a route as most are written.

Run as a program: `python -m benchmarks.constant_api route|bytes|model PORT DIRECTORY`; the directory holds
`trainee.json` and `list.json`, the bytes that the API has answered.
"""

import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, Response
from fastapi.routing import APIRoute

from api.app import create_app
from api.pagination import Page, WindowHere
from api.trainees import NumberInPath, TraineeItem, TraineeOut, filters
from observability import configure_logging
from projections.trainees import TraineeFilter
from settings import load_settings

JSON = "application/json"


def constant_app(kind: str, trainee: bytes, page: bytes) -> FastAPI:
    """The two routes, which answer with these bytes, or with what the bytes say."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    as_bytes = kind == "bytes"
    shown = Response(trainee, media_type=JSON) if as_bytes else TraineeOut.model_validate_json(trainee)
    listed = Response(page, media_type=JSON) if as_bytes else Page[TraineeItem].model_validate_json(page)

    @app.get("/v1/trainees", response_model=Page[TraineeItem])
    async def list_trainees(window: WindowHere, wanted: Annotated[TraineeFilter, Depends(filters)]) -> Any:
        return listed

    @app.get("/v1/trainees/{number}", response_model=TraineeOut)
    async def get_trainee(number: NumberInPath, if_none_match: Annotated[str | None, Header()] = None) -> Any:
        return shown

    return app


def constant_routes(trainee: bytes, page: bytes) -> FastAPI:
    """The API on the settings of the environment, in which the two routes do nothing but answer with these bytes."""
    settings = load_settings()
    configure_logging("api", settings.log_format, settings.log_level)
    app = create_app(settings)
    answers = {"get_trainee": Response(trainee, media_type=JSON), "list_trainees": Response(page, media_type=JSON)}
    for each in app.routes:
        if isinstance(each, APIRoute) and each.operation_id in answers:
            each.dependant.call = _returning(answers[each.operation_id])
    gc.collect()
    gc.freeze()
    return app


def _returning(answer: Response) -> Callable[..., Awaitable[Response]]:
    async def constant(**_: Any) -> Response:
        return answer

    return constant


if __name__ == "__main__":
    which, port, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    contents = (directory / "trainee.json").read_bytes(), (directory / "list.json").read_bytes()
    app = constant_routes(*contents) if which == "route" else constant_app(which, *contents)
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
