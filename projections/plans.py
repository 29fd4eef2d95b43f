"""The adopted plans: the exact rules that a campaign runs on, kept for as long as its ledger."""

import hashlib
from datetime import datetime
from typing import Any, Final

import asyncpg

from domain.plan import Plan

MAX_CACHED: Final = 64

_ADOPT = """
INSERT INTO app.plans (campaign, number_prefix, sha256, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_HELD = "SELECT campaign, number_prefix, sha256 FROM app.plans WHERE campaign = $1 OR number_prefix = $2"
_BY_COLUMN: Final = {
    "campaign": "SELECT sha256, body FROM app.plans WHERE campaign = $1",
    "number_prefix": "SELECT sha256, body FROM app.plans WHERE number_prefix = $1",
    "sha256": "SELECT sha256, body FROM app.plans WHERE sha256 = $1",
}
_ADOPTED_AT = "SELECT campaign, adopted_at FROM app.plans ORDER BY campaign"


class UnknownPlan(LookupError):
    """No plan was adopted for this campaign, prefix or digest."""


class PlanConflict(ValueError):
    """The campaign has another plan, or its number prefix is taken. An adopted plan never changes."""


class PlanDamaged(RuntimeError):
    """The text of a plan does not have the digest that it goes by."""


class PlanStore:
    """Adopts plans and finds them again. Plans never change, so each is read once per process."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._cached: dict[tuple[str, str], Plan] = {}

    async def adopt(self, plan: Plan) -> None:
        """Keep a plan that `domain.plan_loader` has accepted; again changes nothing.

        Raises PlanConflict, and PlanDamaged when the plan goes by a digest that is not its own.
        """
        body = plan.canonical()
        # A copied plan can carry the digest of the one it was copied from.
        if hashlib.sha256(body).hexdigest() != plan.sha256():
            raise PlanDamaged(f"the plan of {plan.id} does not have the digest {plan.sha256()}")
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_ADOPT, plan.id, plan.number_prefix, plan.sha256(), body)
            held = await connection.fetch(_HELD, plan.id, plan.number_prefix)
        for each in held:
            if each["campaign"] != plan.id:
                raise PlanConflict(f"the number prefix {plan.number_prefix} belongs to {each['campaign']}")
            if each["sha256"] != plan.sha256():
                raise PlanConflict(f"{plan.id} runs on the plan {each['sha256']}")

    async def by_campaign(self, campaign: str) -> Plan:
        """The plan of a campaign. Raises UnknownPlan."""
        return await self._find("campaign", campaign)

    async def by_prefix(self, prefix: str) -> Plan:
        """The plan whose numbers begin with `prefix` (`zz22`). Raises UnknownPlan."""
        return await self._find("number_prefix", prefix)

    async def by_sha256(self, sha256: str) -> Plan:
        """The plan with this digest, the rule version that events and refusals name. Raises UnknownPlan."""
        return await self._find("sha256", sha256)

    async def adopted(self) -> dict[str, datetime]:
        """When each campaign's plan was adopted, by campaign."""
        return {record["campaign"]: record["adopted_at"] for record in await self._pool.fetch(_ADOPTED_AT)}

    async def _find(self, column: str, value: str) -> Plan:
        cached = self._cached.get((column, value))
        if cached is not None:
            return cached
        record = await self._pool.fetchrow(_BY_COLUMN[column], value)
        if record is None:
            raise UnknownPlan(f"no plan was adopted with the {column} {value!r}")
        # The text was checked by the loader before it was adopted; the digest says that it is still that text.
        plan = Plan.model_validate_json(record["body"])
        if plan.sha256() != record["sha256"]:
            raise PlanDamaged(f"the plan of {plan.id} does not have the digest {record['sha256']}")
        if len(self._cached) >= MAX_CACHED:
            self._cached.clear()
        self._cached[column, value] = plan
        return plan
