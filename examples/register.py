"""Register everybody of a class who has arrived (报到), with nothing but Python.

    XUNJI=https://xunji.example.edu.cn XUNJI_KEY=xj_… python3 register.py zz22-c-h012-01 < arrived.txt

`arrived.txt` has one trainee's number a line. Running it again is safe: the same list is the same request. Ends with 1
when a row was refused. A list may have up to 500 rows.
"""

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

ATTEMPTS = 6
LONGEST_PAUSE_S = 30.0
TIMEOUT_S = 120
WORTH_REPEATING = frozenset({429, 502, 503, 504})


class Refused(Exception):
    """The whole request was refused; `problem` says what is wrong and the way out, in English and Chinese."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['status']} {problem['title']}: {problem['detail']} {problem['detail_zh']}")
        self.problem = problem


def post(address: str, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a change; repeat it under the same Idempotency-Key while the service is away. Raises Refused."""
    content = json.dumps(body).encode()
    request = urllib.request.Request(
        address + path,
        content,
        {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            # The same content to the same place is the same request, however often it is sent.
            "Idempotency-Key": "register-" + hashlib.sha256(path.encode() + content).hexdigest()[:40],
        },
    )
    for attempt in range(1, ATTEMPTS + 1):
        wait_s = 2.0**attempt
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            if error.code not in WORTH_REPEATING or attempt == ATTEMPTS:
                raise Refused(problem_of(error)) from None
            wait_s = float(error.headers.get("Retry-After", wait_s))
        except OSError:
            if attempt == ATTEMPTS:
                raise
        time.sleep(min(wait_s, LONGEST_PAUSE_S))
    raise AssertionError("the last attempt returns or raises")


def problem_of(error: urllib.error.HTTPError) -> dict[str, Any]:
    """The problem document; what something on the way has answered is no document of ours."""
    try:
        problem: dict[str, Any] = json.load(error)
    except ValueError:
        problem = {"status": error.code, "title": str(error.reason), "detail": "", "detail_zh": ""}
    return problem


def main() -> int:
    training_class = sys.argv[1]
    items = [{"trainee": line.strip()} for line in sys.stdin if line.strip()]
    path = f"/v1/classes/{training_class}/registrations"
    answer = post(os.environ["XUNJI"], os.environ["XUNJI_KEY"], path, {"items": items})
    if "items" not in answer:
        print(f"Kept, and done as soon as everything is there: /v1/operations/{answer['id']}", file=sys.stderr)
        return 0
    for row in answer["items"]:
        if row["status"] == 202:
            print(row.get("number", ""), f"kept, see {row['operation']}", file=sys.stderr)
        elif row["status"] < 300:
            print(row["number"], row["receipt"]["phase"])
        else:
            for error in row["problem"]["errors"]:
                print(row.get("number", ""), error["code"], error["detail_zh"], error["remedy_zh"], file=sys.stderr)
    return 1 if answer["failed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(str(refused))
