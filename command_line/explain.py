"""`xunji explain NOMINATION`: by which rules, on which facts, with which verdicts a nomination stands."""

from typing import Annotated

import asyncpg
import typer

from command_line.shared import AsJSON, State, configured, fail, out, print_json, run
from domain.explanation import Explanation
from domain.numbers import number_prefix, stream_name
from event_schemas import SCHEMAS
from ledger.store import Ledger
from projections.plans import PlanStore, UnknownPlan
from services.explanations import explanation_of

MARKS = {True: "✓", False: "✗", None: "?"}


def explain(
    nomination: Annotated[str, typer.Argument(help="Its number, e.g. zz22-410181-00123.")],
    state: State = None,
    as_json: AsJSON = False,
) -> None:
    """Say which rule version a nomination rested on, on which facts, and what each rule said."""

    async def work() -> int:
        settings = configured(state)
        async with asyncpg.create_pool(settings.database_url.get_secret_value(), min_size=1, max_size=2) as pool:
            ledger, plans = Ledger(pool, SCHEMAS), PlanStore(pool)
            try:
                campaign = (await plans.by_prefix(number_prefix(nomination))).id
                events = await ledger.read_stream(campaign, stream_name("trainee", nomination))
                if not events:
                    raise UnknownPlan(nomination)
                account = await explanation_of(plans, nomination, events)
            except UnknownPlan:
                fail(f"There is no nomination {nomination}.\n  → Give its number, e.g. zz22-410181-00123.")
            finally:
                await ledger.close()
        if as_json:
            print_json(account.model_dump(mode="json"))
        else:
            _show(account)
        return 0

    run(work())


def _show(account: Explanation) -> None:
    lines = [f"{account.number}, submitted {account.submitted_at:%Y-%m-%d %H:%M}Z", f"rules {account.rule_version}"]
    read = ", ".join(f"{book} {sequence}" for book, sequence in account.sequences.items())
    lines.append(f"facts as of {read}" if account.facts_kept else "facts were not kept yet when this was nominated")
    for each in account.verdicts:
        facts = ", ".join(f"{name}: {value}" for name, value in each.facts.items())
        lines.append(f"{MARKS[each.holds]} {each.rule:24} {each.zh} / {each.en}")
        lines.append(f"    {facts}  [{each.source}]")
        if each.reason is not None:
            lines.append(f"    → {each.reason.zh} {each.reason.en}")
    lines.extend(f"order: {each.name_zh} / {each.name_en}: {each.place}" for each in account.priority)
    for step in account.decisions:
        shown = ", ".join(f"{name}: {value}" for name, value in step.data.items())
        lines.append(f"{step.at:%Y-%m-%d %H:%M}Z {step.type} {shown}")
    for line in lines:
        out.print(line, highlight=False, markup=False)
