"""What reads of the API are measured against: the same FastAPI routes, which return a constant.

A process as the API's is (uvicorn, uvloop, the same options), with a FastAPI of its defaults in it: no key, no edge, no
log, no database. Each route has the API's own path, parameters and declared answer.

- `bytes`: the answer's bytes are there already. No FastAPI route can be faster.
- `model`: the answer is an object of the response model, which FastAPI makes into JSON: a route as most are written.

Run as a program: `python -m benchmarks.constant_api bytes|model PORT DIRECTORY`; the directory holds `trainee.json` and
`list.json`, the bytes that the API has answered.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, Response

from api.pagination import Page, WindowHere
from api.trainees import NumberInPath, TraineeItem, TraineeOut, filters
from projections.trainees import TraineeFilter

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


if __name__ == "__main__":
    which, port, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    app = constant_app(which, (directory / "trainee.json").read_bytes(), (directory / "list.json").read_bytes())
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
