"""Adopted plans are found by campaign, prefix and digest, and never change."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from domain.plan import Plan
from projections.plans import PlanConflict, PlanDamaged, PlanStore, UnknownPlan
from tests.specification import the_plan

Pool: TypeAlias = "asyncpg.Pool[Any]"
PLAN = the_plan()


def other(**changes: object) -> Plan:
    """The plan with some of its sections replaced."""
    return Plan.model_validate({**PLAN.model_dump(mode="json"), **changes})


async def test_a_plan_is_found_again_in_another_process(pool: Pool) -> None:
    await PlanStore(pool).adopt(PLAN)
    store = PlanStore(pool)
    assert await store.by_campaign(PLAN.id) == PLAN
    assert await store.by_prefix(PLAN.number_prefix) == PLAN
    found = await store.by_sha256(PLAN.sha256())
    assert found == PLAN
    assert found.sha256() == PLAN.sha256()
    assert found.canonical() == PLAN.canonical()
    assert set(await store.adopted()) == {PLAN.id}


async def test_a_plan_is_read_once(pool: Pool) -> None:
    store = PlanStore(pool)
    await store.adopt(PLAN)
    first = await store.by_campaign(PLAN.id)
    await pool.execute("TRUNCATE app.plans")
    assert await store.by_campaign(PLAN.id) is first


async def test_adopting_again_changes_nothing_and_another_text_is_refused(pool: Pool) -> None:
    store = PlanStore(pool)
    await store.adopt(PLAN)
    adopted = await store.adopted()
    await store.adopt(PLAN)
    assert await store.adopted() == adopted
    with pytest.raises(PlanConflict, match="runs on the plan"):
        await store.adopt(other(edition=PLAN.edition + 1))
    with pytest.raises(PlanConflict, match="belongs to 2022-zhengzhou"):
        await store.adopt(other(id="2023-zhengzhou"))
    assert await PlanStore(pool).by_campaign(PLAN.id) == PLAN
    assert await store.adopted() == adopted


async def test_an_unknown_plan_says_what_was_asked_for(pool: Pool) -> None:
    store = PlanStore(pool)
    for asked in (store.by_campaign("x"), store.by_prefix("x"), store.by_sha256("x")):
        with pytest.raises(UnknownPlan, match="'x'"):
            await asked


async def test_a_copy_with_its_original_s_digest_is_not_adopted(pool: Pool) -> None:
    forged = PLAN.model_copy(update={"edition": PLAN.edition + 1})
    forged.__dict__["_sha256"] = PLAN.sha256()
    with pytest.raises(PlanDamaged):
        await PlanStore(pool).adopt(forged)
    assert await PlanStore(pool).adopted() == {}


async def test_a_changed_text_is_noticed(pool: Pool) -> None:
    await PlanStore(pool).adopt(PLAN)
    body = PLAN.canonical().replace(b'"edition":1', b'"edition":2')
    await pool.execute("UPDATE app.plans SET body = $1", body)
    with pytest.raises(PlanDamaged):
        await PlanStore(pool).by_campaign(PLAN.id)
