"""For every operation with a key a request that is right in itself: what remains is who sends it, and about whose."""

from typing import Any

from api.permissions import ProcessWithCommands, commands_of_people
from api.routing import KeyRoute
from spreadsheets.writing import XLSX
from tests.api.front_door import API, COUNTY, HOST, OTHER_SCHOOL
from tests.api.nomination_files import as_file, as_text, row
from tests.api.nominations import nomination
from tests.api.test_permissions import UUID_TEXT, body_of
from tests.api.test_quotas import BODIES as QUOTA_BODIES

_DECIDED = {"decided_by": "b7", "reasons": "事实清楚", "document": "文件 1"}
_PROCESSES: dict[str, tuple[ProcessWithCommands, str]] = {
    "trainees": ("trainee", "_trainee"),
    "classes": ("class", "_class"),
    "restrictions": ("restriction", "_restriction"),
    "campaigns": ("campaign", "_campaign"),
}
_IDENTITY = {"identity_number": "410181199003070014"}
_BECAUSE = {"reason": "维护"}


def request_for(api: API, route: KeyRoute, trainee: str) -> dict[str, Any]:
    """What the HTTP client is given beside method and path; `trainee` is whom rows for many are about."""
    operation = str(route.operation_id)
    if operation == "open_campaign":
        return {"content": api.plan.canonical(), "headers": {"Content-Type": "application/yaml"}}
    if operation == "import_nominations":
        return {
            "content": as_file(row(90)),
            "headers": {"Content-Type": XLSX},
            "params": {"campaign": api.plan.id},
        }
    if operation in _ABOUT_A_CLASS:
        about: dict[str, Any] = {"params": {"training_class": f"{api.plan.number_prefix}-c-{HOST}-99"}}
        content = as_text(row(90)) if "GET" not in (route.methods or ()) else None
        return about | ({"content": content, "headers": {"Content-Type": "text/csv"}} if content else {})
    if "GET" in (route.methods or ()):
        return {"params": _QUERIES.get(operation, {}) | _campaign_query(api, operation)}
    body = _body(api, route, operation, trainee)
    return {} if body is None else {"json": body}


def _body(api: API, route: KeyRoute, operation: str, trainee: str) -> dict[str, Any] | None:
    name = route.path.rpartition("/")[2]
    noun = route.path.split("/")[2]
    own = _own_bodies(api, trainee)
    if operation in own:
        return own[operation]
    if noun == "quotas":
        return QUOTA_BODIES[name]
    process, ending = _PROCESSES[noun]
    body = body_of(name, commands_of_people(process)[name])
    is_for_one = operation.endswith(ending)
    return body if is_for_one else {"items": [body | {"trainee": trainee}]}


def _own_bodies(api: API, trainee: str) -> dict[str, dict[str, Any] | None]:
    person = nomination(api, 80)["person"]
    return {
        "nominate": nomination(api, 81),
        "plan_class": {
            "campaign": api.plan.id,
            "project_type": "gp5",
            "starts": "2022-10-10",
            "ends": "2022-10-16",
            "place": "郑州",
            "capacity": 20,
        },
        "register_trainees_of_class": {"items": [{"trainee": trainee}]},
        "record_outcomes_of_class": {"items": [{"trainee": trainee, "outcome": "fail", "reasons": ["late"]}]},
        "mark_attendance_of_class": {
            "items": [{"trainee": trainee, "day": "2022-10-10", "session": "morning", "units": 1}]
        },
        "record_restriction": {
            "campaign": api.plan.id,
            "person": {"name": "王小明"} | _IDENTITY,
            "starts": "2021-03-01",
            "until": "2024-03-01",
            "document": "文件 2",
        },
        "substitute_trainee": {"reason": "ill", "stage": "primary", "subject": "chinese", "person": person},
        "substitute_trainees": {
            "items": [{"trainee": trainee, "reason": "ill", "stage": "primary", "subject": "chinese", "person": person}]
        },
        "reopen_campaign": {"county": COUNTY, "until": "2022-10-01T00:00:00Z", "reason": "水灾"},
        "remove_host_campaign": {"host": "h001", "reason": "场地"},
        "register_institution": {"id": f"{COUNTY}-s77", "name_zh": "第七十七小学", "email": "s77@example.invalid"},
        "change_contact": {"email": "new@example.invalid"},
        "issue_key": {},
        "revoke_key": None,
        "close_school": {"successor": OTHER_SCHOOL, "document": "文件 3"},
        "suspend_host": _DECIDED,
        "reinstate_host": {"decided_by": "b7", "reasons": "事实清楚"},
        "find_person": _IDENTITY,
        "correct_person": {"name": "王晓明", "decided_by": "b7", "document": "文件 4"},
        "transfer_person": {"county": "410182", "on": "2022-09-01", "document": "文件 5"},
        "join_person": {"double": UUID_TEXT, "decided_by": "b7", "reasons": "同一人"},
        "erase_person": {},
        "register_webhook_endpoint": {"url": "https://example.com/hook"},
        "disable_webhook_endpoint": None,
        "rotate_webhook_secret": {},
        "test_webhook_endpoint": None,
        "redeliver_notices": {"notice": UUID_TEXT},
        "pause_mailbox": _BECAUSE,
        "resume_mailbox": _BECAUSE,
        "skip_notice": _BECAUSE | {"notice": UUID_TEXT},
        "redeliver_from_mailbox": _BECAUSE | {"endpoint": f"we_{'0' * 16}", "notice": UUID_TEXT},
        "advance_clock": {"until": "2022-08-26T00:00:00Z"},
        "set_clock_speed": {"days_per_second": 1_000},
    }


_QUERIES: dict[str, dict[str, Any]] = {
    "list_candidates": {"project_type": "gp5"},
    "export_bulletin": {"kind": "counties"},
    "get_issued_bulletin": {"kind": "counties", "period": "final", "version": 1},
    "list_training_days": {"cycle": "2021-2025"},
    "export_training_days": {"cycle": "2021-2025"},
    "prove_inclusion": {"sequence": 1, "size": 1},
    "prove_consistency": {"from": 1, "to": 1},
}
_ABOUT_A_CLASS = frozenset(
    {
        "import_registrations",
        "import_attendance",
        "import_outcomes",
        "get_registration_template",
        "get_attendance_template",
        "get_outcome_template",
    }
)
_ABOUT_A_CAMPAIGN = frozenset(
    {
        "list_quotas",
        "list_candidates",
        "get_bulletins",
        "get_issued_bulletin",
        "export_bulletin",
        "export_quotas",
        "get_nomination_template",
    }
)


def _campaign_query(api: API, operation: str) -> dict[str, Any]:
    return {"campaign": api.plan.id} if operation in _ABOUT_A_CAMPAIGN else {}
