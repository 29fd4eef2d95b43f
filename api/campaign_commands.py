"""What the bureau changes in a running campaign: `POST /v1/campaigns/{campaign}/reopen` and `…/remove-host`."""

from typing import Annotated, Any, cast

from fastapi import Body, Path, Response

from api.commands import Envelope, Target
from api.conditional import Versions, seen
from api.idempotency import Answer, OnceHere
from api.permissions import commands_of_people, roles_of
from api.problems import documented, not_found
from api.receipts import CampaignId, CommandReceipt, answer_of
from api.routing import router
from api.services import ServicesHere, step
from domain.decision import Command
from projections.plans import UnknownPlan

routes = router("/v1/campaigns", "campaigns")
IdInPath = Annotated[CampaignId, Path(description="The campaign's id.")]


def _add_route(name: str, command: type[Command]) -> None:
    words = (command.__doc__ or name).splitlines()[0]
    whose = " / ".join(roles_of("campaign", name))
    expected_here = seen("campaign", name)

    async def one(
        campaign: IdInPath,
        services: ServicesHere,
        once: OnceHere,
        body: command = Body(),  # type: ignore[valid-type]  # noqa: B008
        expected: Versions = expected_here,
    ) -> Response:
        async def run() -> Answer:
            try:
                plan = await services.plans.by_campaign(campaign)
            except UnknownPlan:
                raise not_found("campaign", campaign) from None
            target = Target("campaign", campaign, campaign, plan.title_en)
            envelope = Envelope(once.caller, once.command_id(), once.digest, once.correlation_id, expected)
            return answer_of(await services.commands.send(target, cast("Command", body), envelope))

        return await once.answer(run)

    route: dict[str, Any] = {
        "methods": ["POST"],
        "operation_id": f"{name.replace('-', '_')}_campaign",
        "summary": words.split(". ")[0].rstrip("."),
        "description": f"{words} Whose step it is: {whose}.",
        "response_model": CommandReceipt,
        "responses": documented(400, 404, 409, 413, 415),
        "dependencies": [step("campaigns:write", "campaign", name)],
    }
    routes.add_api_route(f"/{{campaign}}/{name}", one, **route)


for _name, _command in commands_of_people("campaign").items():
    _add_route(_name, _command)
