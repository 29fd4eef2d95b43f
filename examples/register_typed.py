"""Register everybody of a class who is on its list and has arrived (报到), with the typed client.

    make client && pip install ./build/client
    XUNJI=https://xunji.example.edu.cn XUNJI_KEY=xj_… python3 register_typed.py zz22-c-h012-01 < arrived.txt

`arrived.txt` has one trainee's number a line. The client is generated from docs/openapi.json, so a type checker tells
what an answer holds before anything is sent.
"""

import hashlib
import os
import sys

from xunji_client import AuthenticatedClient
from xunji_client.api.classes import get_class, register_trainees_of_class
from xunji_client.api.institutions import get_me
from xunji_client.models import ClassOut, ManyRowsRegistrationRow, MeOut, OperationOut, ProblemDocument, RegistrationRow


class Refused(Exception):
    """xunji refused the request as a whole."""

    def __init__(self, problem: ProblemDocument) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail} {problem.detail_zh}")


def whoever_calls(client: AuthenticatedClient) -> MeOut:
    """Whose key it is. Raises Refused."""
    me = get_me.sync(client=client)
    if isinstance(me, ProblemDocument):
        raise Refused(me)
    assert me is not None, "raise_on_unexpected_status"
    return me


def open_class(client: AuthenticatedClient, number: str) -> ClassOut:
    """The class. Raises Refused."""
    found = get_class.sync(number, client=client)
    if isinstance(found, ProblemDocument):
        raise Refused(found)
    assert isinstance(found, ClassOut), "raise_on_unexpected_status, and nothing was asked for conditionally"
    return found


def register(client: AuthenticatedClient, training_class: str, trainees: list[str]) -> int:
    """Register them; how many rows were refused, each of which is explained on standard error. Raises Refused."""
    # The same list is the same request, however often it is sent.
    key = "register-" + hashlib.sha256("\n".join((training_class, *trainees)).encode()).hexdigest()[:40]
    body = ManyRowsRegistrationRow(items=[RegistrationRow(trainee=each) for each in trainees])
    answer = register_trainees_of_class.sync(training_class, client=client, body=body, idempotency_key=key)
    if isinstance(answer, ProblemDocument):
        raise Refused(answer)
    assert answer is not None, "raise_on_unexpected_status"
    if isinstance(answer, OperationOut):
        print(f"Kept, and done as soon as everything is there: /v1/operations/{answer.id}", file=sys.stderr)
        return 0
    for row in answer.items:
        if row.operation:
            print(row.number, f"kept, see {row.operation}", file=sys.stderr)
        elif row.receipt:
            print(row.receipt.number, row.receipt.phase)
        elif row.problem:
            for error in row.problem.errors:
                print(error.code, error.detail_zh, error.remedy_zh, file=sys.stderr)
    return answer.failed


def main() -> int:
    training_class = sys.argv[1]
    client = AuthenticatedClient(
        base_url=os.environ["XUNJI"], token=os.environ["XUNJI_KEY"], raise_on_unexpected_status=True
    )
    with client:
        me, found = whoever_calls(client), open_class(client, training_class)
        print(f"{me.organisation}: {found.number}, {found.phase}", file=sys.stderr)
        trainees = [line.strip() for line in sys.stdin if line.strip()]
        return 1 if register(client, training_class, trainees) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(str(refused))
