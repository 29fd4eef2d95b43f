"""The list of nominations goes from the view's columns to the wire without models, and is what its model says."""

from api.pagination import Page
from api.trainees import TraineeItem
from projections.trainee_view import ITEM_FIELDS
from tests.api.front_door import API, BUREAU, COUNTY, HOST, OTHER_COUNTY
from tests.api.test_classes import selected


async def test_the_list_is_its_models_own_json(stack: API) -> None:
    numbers = sorted([await selected(stack, counter) for counter in (1, 2, 3)])
    await stack.seen()
    pages = []
    for organisation in (BUREAU, COUNTY, HOST):
        response = await stack.get(organisation, f"/v1/trainees?campaign={stack.plan.id}&limit=2")
        assert response.headers["content-type"] == "application/json"
        page = Page[TraineeItem].model_validate_json(response.content, strict=True)
        assert page.model_dump_json().encode() == response.content
        assert [each.number for each in page.items] == numbers[:2]
        assert page.next is not None
        rest = await stack.get(organisation, f"/v1/trainees?campaign={stack.plan.id}&limit=2&cursor={page.next}")
        assert [each["number"] for each in rest.json()["items"]] == numbers[2:]
        assert rest.json()["next"] is None
        pages.append(page)
    assert pages[0] == pages[1] == pages[2]
    assert pages[0].items[0].deadline is not None or pages[0].items[0].waiting_for
    assert (await stack.get(OTHER_COUNTY, "/v1/trainees")).json() == {"items": [], "next": None}


async def test_a_host_sees_no_restriction_in_the_list(stack: API) -> None:
    number = await selected(stack, 1)
    await stack.seen()
    await stack.services.pool.execute("UPDATE view.trainees SET restriction = $1 || '-r1' WHERE number = $1", number)

    async def shown(organisation: str) -> str:
        (item,) = (await stack.get(organisation, f"/v1/trainees?campaign={stack.plan.id}")).json()["items"]
        return str(item["restriction"])

    assert (await shown(COUNTY), await shown(HOST)) == (f"{number}-r1", "")


def test_what_lies_in_the_view_is_what_the_model_shows() -> None:
    assert (*ITEM_FIELDS, "restriction") == tuple(TraineeItem.model_fields)
