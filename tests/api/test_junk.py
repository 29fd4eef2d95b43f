"""Whatever is sent, to whatever address: a problem document, never a failure of ours."""

import json
from typing import Any

from api.app import describe_without_settings
from tests.api.front_door import API, BUREAU, COUNTY, HOST, SCHOOL, check_problem

DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
BODIES: list[Any] = [
    None,
    [],
    "text",
    0,
    1e308,
    {"": None},
    {"items": {}},
    {"items": [None, 1, "x", [], {}, {"trainee": None}, {"trainee": "zz22-410181-00001"}]},
    {"items": [{"trainee": "zz22-410181-00001\n"}, {"person": {"identity_number": 5}}]},
    {"reason": "\u0000", "host": "\u202e", "leave": 10**30, "accepted": "yes", "first_day": "2022-02-30"},
    {"campaign": "x" * 10_000, "person": {"name": "\ud83dx", "identity_number": ["1"]}},
    {"until": "0001-01-01T00:00:00+23:59", "days_per_second": 1e-320},
    {"until": "9999-12-31T23:59:59-23:59"},
    {"url": "https://[::1%25eth0]/", "event_types": ["a.b"] * 101},
    {"id": "410181-s01", "name_zh": " ", "email": "@"},
    {"scopes": ["\u0000"], "expires_at": 10**20},
    {"expires_at": "9999-12-31T23:59:59-23:59"},
    DEEP,
]
QUERIES = ("", "?limit=%00", "?cursor=" + "A" * 399, "?campaign=%FF%FE", "?limit=1e3&limit=2", "?a=b&a=c", "?%00=1")
PERSON = "00000000-0000-4000-8000-000000000001"
NUMBERS = (
    "2022-zhengzhou:gp5:410181",
    "zz22-410181-00001",
    "zz22-c-h001-01",
    "zz22-410181-00001-r1",
    "prior-00001",
    "410181-s01",
    "2022-zhengzhou",
    "%00",
    "a%2Fb",
    PERSON,
)


async def test_junk_is_answered_with_a_problem(api: API) -> None:
    prefix = api.plan.number_prefix
    sent = 0
    for path, item in describe_without_settings()["paths"].items():
        name = path[path.find("{") : path.find("}") + 1] if "{" in path else ""
        addresses = [path.replace(name, each.replace("zz22", prefix)) for each in NUMBERS] if name else [path]
        for method in item:
            # A command needs one number that it can read; what it does with others is tried by the reads.
            tried = [each for each in addresses if method != "post" or not name or _fits(path, each)]
            for address in tried:
                sent += await _send_all(api, method.upper(), address.replace("{key_id}", "0" * 16))
    assert sent > 800


def _fits(path: str, address: str) -> bool:
    part = {
        "trainees": "-00001/",
        "classes": "-01/",
        "restrictions": "-r1/",
        "institutions": "-s01/",
        "quotas": ":410181/",
        "campaigns": "2022-zhengzhou/",
        "people": "-4000-",
        "webhook-endpoints": "we_",
        "mailboxes": "410181/",
    }
    return part[path.split("/")[2]] in address


async def _send_all(api: API, method: str, address: str) -> int:
    organisation = {0: BUREAU, 1: COUNTY, 2: SCHOOL, 3: HOST}[len(address) % 4]
    requests: list[tuple[str, bytes]] = [(f"{address}{query}", b"") for query in QUERIES]
    if method == "POST":
        requests = [(address, json.dumps(body).encode()) for body in BODIES]
    for url, content in requests:
        headers = {"Content-Type": "application/json"}
        response = await api.call(organisation, method, url, content=content, headers=headers)
        if response.status_code >= 500:
            assert check_problem(response.json(), response) == "temporal-unavailable", (method, url, content)
        elif response.status_code >= 400:
            check_problem(response.json(), response)
    return len(requests)
