"""Bodies that tests send."""

from typing import Any

from domain.identity import check_digit
from tests.api.front_door import API, SCHOOL


def identity_number(counter: int, division: str = "410181") -> str:
    """A valid identity number that belongs to nobody."""
    first_17 = f"{division}19{80 + counter % 20:02d}0307{counter // 20 % 1_000:03d}"
    return first_17 + check_digit(first_17)


def nomination(api: API, counter: int = 1, **changes: Any) -> dict[str, Any]:
    """A nomination that the plan allows; `person` changes only what it names."""
    person = {
        "name": "王小明",
        "identity_number": identity_number(counter),
        "telephone": f"138{counter:08d}",
        "email": f"teacher{counter}@example.invalid",
    } | changes.pop("person", {})
    body = {
        "campaign": api.plan.id,
        "project_type": "gp5",
        "stage": "primary",
        "subject": "chinese",
        "years_of_service": 5,
        "person": person,
    }
    return body | changes


async def nominated(api: API, counter: int = 1, **changes: Any) -> str:
    """The number of a new nomination by the school."""
    response = await api.post(SCHOOL, "/v1/nominations", nomination(api, counter, **changes))
    assert response.status_code == 201, response.text
    return str(response.json()["number"])
