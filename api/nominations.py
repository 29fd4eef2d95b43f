"""Nominations come in here, one or many. The teacher is resolved to a random id and sealed; what goes on to Temporal
and into the ledger holds no name and no number of his.
"""

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Body, Response
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from api import people, problem_types
from api.bulk import Options, OptionsHere, answer_of_jobs, meant
from api.commands import Envelope, Target
from api.idempotency import Answer, Once, OnceHere
from api.people import PersonIn
from api.problems import Problem, documented, refused
from api.receipts import (
    CampaignId,
    CommandReceipt,
    Failed,
    Job,
    ManyRows,
    RowResults,
    answer_of,
    parsed_row,
)
from api.routing import router
from api.services import Services, ServicesHere, step
from api.validation import Fault
from domain.identity import IdentityDocument
from domain.numbers import trainee_number
from domain.plan import Plan
from domain.refusals import refuse
from domain.trainee_messages import Code, Nominate
from domain.trainee_state import attributes_of
from projections import institutions
from projections.plans import UnknownPlan
from workflows.messages import Receipt

routes = router("/v1/nominations", "nominations")
UNBORN = "not-nominated"
"""Stands for the numbers of nominations that are only tried."""


class Nomination(BaseModel):
    """A teacher put forward for a project type. `county` and `school` default to the caller's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    campaign: CampaignId
    project_type: Annotated[Code, Field(examples=["gp1"])]
    county: Annotated[Code | None, Field(examples=["410181"])] = None
    school: Annotated[Code | None, Field(examples=["410181-s01"])] = None
    stage: Annotated[Code, Field(examples=["primary"])]
    subject: Annotated[Code, Field(examples=["mathematics"])]
    position: Annotated[Code, Field(examples=["teacher"])] = "teacher"
    rural: bool = False
    years_of_service: Annotated[int, Field(ge=0, le=60)] = 0
    self_nominated: Annotated[
        bool, Field(description="The nominee signs for the nominating organisation: the next level approves.")
    ] = False
    person: PersonIn
    waiver: Annotated[
        str, Field(max_length=80, description="The restriction whose waiver the nomination rests on, if any.")
    ] = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A nomination whose plan, organisations and identity number are known to be right."""

    index: int
    row: Nomination
    plan: Plan
    county: str
    school: str
    identity: IdentityDocument


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, ManyRows) or (isinstance(value, dict) and "items" in value) else "one"


OneOrMany = Annotated[
    Annotated[Nomination, Tag("one")] | Annotated[ManyRows[Nomination], Tag("many")], Discriminator(_one_or_many)
]


@routes.post(
    "",
    operation_id="nominate",
    summary="Nominate one teacher, or up to 2,000",
    status_code=201,
    response_model=CommandReceipt,
    responses={
        207: {"model": RowResults, "description": "A result for every row of `items`"},
        **documented(400, 409, 413, 415),
    },
    dependencies=[step("nominations:write", "trainee", Nominate.name)],
)
async def nominate(
    services: ServicesHere, once: OnceHere, options: OptionsHere, body: Annotated[OneOrMany, Body()]
) -> Response:
    """Put a teacher forward. Every reason why the plan does not allow it comes at once.

    More than 500 rows are carried out after the answer, as an operation.
    """
    asked = meant(once, options)

    async def one() -> Answer:
        if options.together:
            raise Problem(problem_types.INVALID, _ONLY_ROWS)
        checked = await check(services, once, 0, cast("Nomination", body))
        receipt = await nominate_checked(services, once, checked, await reserve_numbers(services, once, [checked]))
        return answer_of(receipt, status=201, location=f"/v1/trainees/{receipt.number}")

    async def many() -> Answer:
        return await _nominate_many(services, asked, cast("ManyRows[Nomination]", body).items, options)

    return await asked.answer(one if isinstance(body, Nomination) else many)


async def _nominate_many(services: Services, once: Once, items: list[Any], options: Options) -> Answer:
    checked: list[Checked] = []
    failed: list[Failed] = []
    for index, raw in enumerate(items):
        try:
            checked.append(await check(services, once, index, parsed_row(Nomination, raw)))
        except Problem as problem:
            failed.append(Failed(index, problem))
    if options.dry_run:
        numbers = {each.index: f"{UNBORN}-{each.index}" for each in checked}
    else:
        numbers = await reserve_numbers(services, once, checked)
    # Two rows for one teacher keep their order, so that the first one wins.
    jobs = [
        Job(
            each.index,
            each.identity.text,
            _job(services, once, each, numbers, options),
            None if options.together else numbers[each.index],
        )
        for each in checked
    ]
    return await answer_of_jobs(services, once, jobs, failed, options, success=201)


def _job(services: Services, once: Once, checked: Checked, numbers: dict[int, str], options: Options) -> Any:
    async def run() -> Receipt:
        return await nominate_checked(services, once, checked, numbers, is_only_tried=options.dry_run)

    return run


async def nominate_checked(
    services: Services, once: Once, checked: Checked, numbers: dict[int, str], *, is_only_tried: bool = False
) -> Receipt:
    """Nominate. When it is only tried, nobody becomes known and nothing of him is sealed."""
    row, number = checked.row, numbers[checked.index]
    if is_only_tried:
        recognised = await people.recognise_known(services, row.person, checked.identity)
    else:
        recognised = await people.recognise(services, row.person, checked.identity)
    command = Nominate(
        project_type=row.project_type,
        county=checked.county,
        school=checked.school,
        person=recognised.reference,
        stage=row.stage,
        subject=row.subject,
        position=row.position,
        rural=row.rural,
        years_of_service=row.years_of_service,
        self_nominated=row.self_nominated,
        name_differs=recognised.name_differs,
        waiver=row.waiver,
    )
    summary = f"{row.project_type} · {checked.county}"
    target = Target(
        "trainee",
        number,
        checked.plan.id,
        summary,
        new=True,
        attributes=attributes_of("nominated", checked.plan.id, row.project_type, checked.county),
        deadline=checked.plan.selection_deadline("county"),
    )
    envelope = Envelope(once.caller, once.command_id(checked.index), once.digest, once.correlation_id)
    return await services.commands.send(target, command, envelope)


async def reserve_numbers(services: Services, once: Once, checked: list[Checked]) -> dict[int, str]:
    """A number for each row, by its index; the same ones for a repetition of the request."""
    if not checked:
        return {}
    counters = await services.numbers.reserve(
        [once.command_id(each.index) for each in checked],
        [f"{each.plan.number_prefix}-{each.county}" for each in checked],
    )
    return {
        each.index: trainee_number(each.plan.number_prefix, each.county, counter)
        for each, counter in zip(checked, counters, strict=True)
    }


# ------------------------------------------------------------------------------------------------------- checking


async def check(services: Services, once: Once, index: int, row: Nomination) -> Checked:
    """What can be known before the domain decides. Raises Problem."""
    plan = await plan_of(services, row.campaign)
    county, school = await _organisations(services, once, row)
    if plan.find_recipient(county) is None:
        wrong = refuse("no_quota_line", field="/county", county=county, project_type=row.project_type)
        raise refused(wrong)
    identity = await people.read_identity(services, row.person.identity_number, row.person.identity_document)
    return Checked(index, row, plan, county, school, identity)


async def plan_of(services: Services, campaign: str) -> Plan:
    """The plan of a campaign that a body names. Raises Problem."""
    try:
        return await services.plans.by_campaign(campaign)
    except UnknownPlan:
        fault = Fault(
            "unknown_campaign",
            f"There is no campaign {campaign}.",
            f"没有项目 {campaign}。",
            "`GET /v1/campaigns` lists them.",
            "可用 `GET /v1/campaigns` 查询。",
            pointer="/campaign",
        )
        raise Problem(problem_types.INVALID, fault) from None


async def _organisations(services: Services, once: Once, row: Nomination) -> tuple[str, str]:
    """County and school of a nomination: as given, or the caller's own. A school belongs to its county."""
    caller = once.caller
    school = row.school or caller.organisation
    if row.county is not None:
        county = row.county
    elif caller.role == "county":
        county = caller.organisation
    else:
        own = await services.registry.find(caller.organisation)
        county = own.parent if own is not None else ""
    if school != county:
        registered = await services.registry.find(school)
        if registered is None or registered.kind != "school" or registered.parent != county:
            raise another_county(school, county)
        successor = (
            await institutions.successor_of(services.own_rows(caller), school) if caller.role != "school" else ""
        )
        if successor:
            # A closed school has no keys; its county may still name it by mistake.
            raise refused(refuse("school_closed", field="/school", school=school, successor=successor))
    return county, school


_ONLY_ROWS = Fault(
    "only_for_rows",
    "`mode` and `dry_run` are for a body with `items`.",
    "`mode` 和 `dry_run` 仅用于带 `items` 的请求体。",
    "Put the nomination into `items`.",
    "请把推荐放入 `items`。",
    parameter="dry_run",
)


def another_county(school: str, county: str) -> Problem:
    fault = Fault(
        "school_of_another_county",
        f"{school} is no registered school of {county}.",
        f"{school} 不是 {county} 已登记的学校。",
        "Correct the school, or have its county register it with `POST /v1/institutions`.",
        "请更正学校，或由所属区县通过 `POST /v1/institutions` 登记。",
        pointer="/school",
    )
    return Problem(problem_types.REFUSALS["school_of_another_county"], fault)
