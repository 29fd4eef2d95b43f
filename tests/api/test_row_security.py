"""A query that forgets whose rows it is about is stopped by PostgreSQL: for a caller there are the rows of his own
organisation and no others, and for nobody there is none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from api.own_rows import OwnRows
from api.permissions import Caller, KeyRole
from database import CALLER_ROLE, caller_pool
from migrations import migrate
from projections.rebuild import rebuild
from tests.api.front_door import (
    API,
    AUDITOR,
    BUREAU,
    COUNTY,
    HOST,
    OTHER_COUNTY,
    OTHER_HOST,
    OTHER_SCHOOL,
    ROLE_OF,
    SCHOOL,
)
from tests.api.test_tenants import World, world

__all__ = ("world",)

EVERYBODY: Final = (BUREAU, COUNTY, OTHER_COUNTY, SCHOOL, OTHER_SCHOOL, HOST, OTHER_HOST, AUDITOR)
Whose = dict[KeyRole, str]
"""By role, the rows that an organisation `$1` of this role sees; those of a role that is not named see none."""

EVERY_ROLE: Final[tuple[KeyRole, ...]] = ("bureau", "county", "school", "host", "auditor")


def own(column: str = "organisation", **others: str) -> Whose:
    """Rows that carry the organisation's id, whatever its role; `others` are roles that see other ones."""
    return {role: others.get(role, f"{column} = $1") for role in EVERY_ROLE}


BELOW: Final = "{0} = $1 OR {0} IN (SELECT id FROM view.institutions WHERE parent = $1)"
NEIGHBOURS: Final = (
    "kind IN ('bureau', 'host') OR id = $1 OR parent = $1 "
    "OR id = (SELECT me.parent FROM view.institutions me WHERE me.id = $1)"
)
NOMINATED: Final[Whose] = {"bureau": "true", "county": "county = $1", "school": "school = $1"}
WITH_OWN: Final = "EXISTS (SELECT FROM view.trainees own WHERE own.training_class = {{0}}.number AND own.{0} = $1)"
CLASS_OF: Final[Whose] = {
    "bureau": "true",
    "host": "{0}.host = $1",
    "county": WITH_OWN.format("county"),
    "school": WITH_OWN.format("school"),
}
WHOSE: Final[dict[str, Whose]] = {
    "view.trainees": NOMINATED | {"host": "host = $1"},
    "view.restrictions": NOMINATED,
    "view.classes": {role: each.format("t") for role, each in CLASS_OF.items()},
    "view.attendance": {
        role: f"EXISTS (SELECT FROM view.classes c WHERE c.number = t.training_class AND {each.format('c')})"
        for role, each in CLASS_OF.items()
    },
    "view.quotas": {"bureau": "true", "auditor": "true", "county": "owner = $1"},
    "view.institutions": dict.fromkeys(EVERY_ROLE, NEIGHBOURS) | {"bureau": "true", "auditor": "true"},
    "view.persons": {"bureau": "true"},
    "view.training_days": {"bureau": "true"},
    "view.campaigns": dict.fromkeys(EVERY_ROLE, "true"),
    "view.bulletins": dict.fromkeys(EVERY_ROLE, "true"),
    "app.api_keys": own(bureau="true", county=BELOW.format("organisation")),
    "app.idempotency": own(),
    "app.webhook_endpoints": own(),
    "app.webhook_requests": own(),
    "app.operations": own(),
    "app.inbox": own(),
    "app.imports": own(),
    "app.import_results": dict.fromkeys(
        EVERY_ROLE, "EXISTS (SELECT FROM app.imports i WHERE i.id = t.import AND i.organisation = $1)"
    ),
    "app.personal_reads": {"bureau": "true", "auditor": "true"},
    "app.deliveries": own(bureau="true", county=BELOW.format("organisation")),
    "app.mailboxes": {"bureau": "true"},
    "ledger.outbox": own("recipient", bureau="true", county=BELOW.format("recipient")),
}
"""Said once more, and in other words than the policies have."""

EVERYBODYS: Final = {"view.campaigns", "view.bulletins"}
OUT_OF_REACH: Final = {
    "app.accounts": "who calls is found out before there is a caller",
    "app.sessions": "who calls is found out before there is a caller",
    "app.rate_limits": "spent before anything is done for a caller; its subjects are hashes",
    "app.number_series": "counters of numbers, nobody's",
    "app.numbers": "which command got which number; asked by the command's id alone",
    "app.plans": "everybody's, and read once by each process",
    "app.inbox_lease": "which process drains",
    "app.demo_clock": "the time, everybody's",
    "projection.lease": "which process projects",
    "view.build": "which build this is",
    "view.checkpoints": "how far the views have read",
    "view.parked": "what the views could not take in; for operators",
    "vault.subjects": "keys of persons: asked by their random ids, which stand in cases that were let see",
    "ledger.blocks": "claims, which decisions ask for",
    "ledger.holds": "claims, which decisions ask for",
    "ledger.counters": "claims, which decisions ask for, and how many seats a line has left",
    "ledger.commands": "what was answered to a command, by its id",
    "ledger.books": "positions, nobody's",
    "ledger.streams": "versions of streams, by their names",
    "ledger.events": "the ledger knows no tenants: whose a stream is comes of its events, and `api/cases.py` asks them",
    "ledger.checkpoints": "signed roots, everybody's",
    "ledger.cosignatures": "countersigned roots, everybody's",
    "ledger.successions": "which key followed which, everybody's",
    "ledger.witnessed": "roots of other ledgers",
    "ledger.procedures": "what operators did to books",
}
"""Tables that the callers' role may not touch at all, and why they have no rows of tenants, or are asked otherwise."""

TABLES: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relrowsecurity AS is_protected,
       (SELECT jsonb_object_agg(p.polname, p.polroles::regrole[]::text) FROM pg_policy p WHERE p.polrelid = c.oid)::text
           AS policies,
       has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE')
           OR has_table_privilege($1, c.oid, 'DELETE, TRUNCATE, TRIGGER, REFERENCES') AS is_in_reach
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast|^pg_temp'
ORDER BY 1
"""
POLICIES: Final = '{"own_rows": "{xunji_caller}", "all_of_it": "{xunji_app}"}'


def caller(organisation: str) -> Caller:
    return Caller("0" * 16, organisation, ROLE_OF[organisation], frozenset())


@pytest_asyncio.fixture
async def one(api: API) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """A pool of the callers' role with a single connection, which everybody shares."""
    async with caller_pool(api.settings, min_size=1, max_size=1, reset=_leave_as_it_is) as pool:
        yield pool


async def _leave_as_it_is(_: Any) -> None:
    """As in `api/app.py`."""


async def unprotected(connection: Any) -> list[str]:
    """The tables that a caller could reach without a policy, or that nobody has said anything about."""
    wrong = []
    for name, is_protected, policies, is_in_reach in await connection.fetch(TABLES, CALLER_ROLE):
        if name in OUT_OF_REACH:
            wrong += [f"{name} is said to be out of reach"] if is_in_reach else []
        elif name not in WHOSE:
            wrong.append(f"{name} has no policy (`app.protect`), and no reason why it needs none")
        elif not (is_protected and policies == POLICIES):
            wrong.append(f"{name}: row security {is_protected}, {policies}")
    return wrong


# ------------------------------------------------------------------------------------------------------ the tables


async def test_every_table_has_its_policy_or_is_out_of_reach(api: API) -> None:
    connection = await asyncpg.connect(api.settings.database_url.get_secret_value())
    try:
        assert await unprotected(connection) == []
        found = {row["name"] for row in await connection.fetch(TABLES, CALLER_ROLE)}
        assert set(WHOSE) | set(OUT_OF_REACH) - {"app.demo_clock"} <= found, "no such table any more"
        # The test can fail: a new table, and one whose policy was taken away.
        await connection.execute("CREATE TABLE app.new (organisation text); GRANT SELECT ON app.new TO xunji_caller")
        await connection.execute(
            "ALTER TABLE app.inbox DISABLE ROW LEVEL SECURITY; DROP POLICY own_rows ON app.imports"
        )
        assert [each.split(maxsplit=1)[0].rstrip(":") for each in await unprotected(connection)] == [
            "app.imports",
            "app.inbox",
            "app.new",
        ]
    finally:
        await connection.close()


async def test_views_that_were_built_anew_have_their_policies(api: API) -> None:
    """A build is another schema, which is renamed; migrating again changes nothing."""
    await api.seen()
    url = api.settings.database_url.get_secret_value()
    connection = await asyncpg.connect(url)
    try:
        await rebuild(connection)
        assert [each for each in await unprotected(connection) if not each.startswith('"view@')] == []
        before = await connection.fetch("SELECT oid, polrelid, polqual::text FROM pg_policy ORDER BY oid")
        await migrate(url)
        assert await connection.fetch("SELECT oid, polrelid, polqual::text FROM pg_policy ORDER BY oid") == before
    finally:
        await connection.close()
    seen = await api.services.own_rows(caller(HOST)).fetch("SELECT id FROM view.institutions")
    assert {row["id"] for row in seen} == {BUREAU, HOST, OTHER_HOST}
    assert await api.services.callers_pool.fetch("SELECT id FROM view.institutions") == []


SEEDS: Final = (
    "INSERT INTO app.mailboxes VALUES ('{school}', now(), 'x', 'bureau:b')",
    "INSERT INTO app.webhook_requests (command_id, organisation, endpoint, outbox_id, kind) "
    "VALUES (gen_random_uuid(), '{host}', 'we_0', gen_random_uuid(), 'test')",
    "INSERT INTO app.deliveries (outbox_id, organisation, channel, endpoint, attempt, problem) "
    "SELECT gen_random_uuid(), each, 'mail', 'x', 1, 'y' FROM unnest('{{{school}, {host}}}'::text[]) each",
    "INSERT INTO app.inbox (command_id, operation, process, command, organisation, key_id, request_id, outcome, "
    "finished_at) SELECT gen_random_uuid(), id, '', 'x', organisation, '', '', '{{}}', now() FROM app.operations",
    "INSERT INTO view.attendance SELECT number || '/d', 1, 1, campaign, number, starts, 0, false, '{{}}' "
    "FROM view.classes",
    "INSERT INTO view.bulletins VALUES ('x', 1, 'x', 'x', 'x', 1, 'x', now(), 1, now(), '[]')",
)


async def test_a_query_that_forgets_whose_rows_it_is_about_gives_ones_own(world: World) -> None:
    """Every table as a whole, for one of each role and for strangers: what is theirs, and nothing else."""
    services = world.api.services
    for seed in SEEDS:
        await services.pool.execute(seed.format(school=SCHOOL, host=HOST))
    hidden_from_strangers = set()
    for table, whose in WHOSE.items():
        every = {row["row"] for row in await services.pool.fetch(f"SELECT t::text AS row FROM {table} t")}
        assert every, f"there is something in {table} to be hidden"
        assert await services.callers_pool.fetch(f"SELECT * FROM {table}") == [], "nobody is acted for"
        for organisation in EVERYBODY:
            condition = whose.get(ROLE_OF[organisation], "$1::text IS NULL").replace("true", "$1::text IS NOT NULL")
            rows = await services.pool.fetch(f"SELECT t::text AS row FROM {table} t WHERE {condition}", organisation)
            unscoped = await services.own_rows(caller(organisation)).fetch(f"SELECT t::text AS row FROM {table} t")
            assert {row["row"] for row in unscoped} == {row["row"] for row in rows}, f"{table} for {organisation}"
            if organisation in (OTHER_COUNTY, OTHER_SCHOOL, OTHER_HOST) and len(rows) < len(every):
                hidden_from_strangers.add(table)
    assert hidden_from_strangers == set(WHOSE) - EVERYBODYS
    for organisation, table in ((SCHOOL, "view.trainees"), (COUNTY, "view.classes"), (HOST, "view.attendance")):
        assert await services.own_rows(caller(organisation)).fetch(f"SELECT * FROM {table}"), "his own is there"


async def test_nothing_is_written_for_somebody_else(world: World) -> None:
    services = world.api.services
    stranger = services.own_rows(caller(OTHER_HOST))
    before = await services.pool.fetch("SELECT id, url, disabled_at FROM app.webhook_endpoints")
    assert before
    assert await stranger.execute("UPDATE app.webhook_endpoints SET url = 'https://example.org'") == "UPDATE 0"
    assert (
        await stranger.execute("UPDATE app.api_keys SET revoked_at = now() WHERE organisation <> 'h002'") == "UPDATE 0"
    )
    assert await services.pool.fetch("SELECT id, url, disabled_at FROM app.webhook_endpoints") == before
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await stranger.execute(
            "INSERT INTO app.operations (id, organisation, kind, total) VALUES ($1, $2, 'command', 1)", uuid4(), HOST
        )
    for table in OUT_OF_REACH.keys() - {"app.demo_clock"}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stranger.fetch(f"SELECT * FROM {table}")


# ------------------------------------------------------------------------------------------------- the connections


async def seen_by(rows: OwnRows) -> set[str]:
    return {row["organisation"] for row in await rows.fetch("SELECT organisation FROM app.api_keys")}


OWN_KEYS: Final = {
    **{each: {each} for each in (SCHOOL, OTHER_SCHOOL, HOST, OTHER_HOST, AUDITOR)},
    COUNTY: {COUNTY, SCHOOL},
    OTHER_COUNTY: {OTHER_COUNTY, OTHER_SCHOOL},
    BUREAU: set(EVERYBODY),
}


async def nobody_is_acted_for(pool: "asyncpg.Pool[Any]") -> None:
    assert await pool.fetch("SELECT * FROM app.api_keys") == []
    for name in ("xunji.role", "xunji.organisation"):
        assert not await pool.fetchval("SELECT current_setting($1, true)", name)


async def test_everybody_in_turn_on_one_connection_sees_his_own(one: "asyncpg.Pool[Any]") -> None:
    asked = [each for _ in range(5) for each in EVERYBODY]
    found = await asyncio.gather(*(seen_by(OwnRows(one, caller(each))) for each in asked))
    assert found == [OWN_KEYS[each] for each in asked]
    await nobody_is_acted_for(one)


async def test_an_error_leaves_nothing_behind(one: "asyncpg.Pool[Any]") -> None:
    bureau = OwnRows(one, caller(BUREAU))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await bureau.fetch("SELECT 1 / (length(organisation) - length(organisation)) FROM app.api_keys")
    await nobody_is_acted_for(one)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await bureau.execute("UPDATE app.api_keys SET revoked_at = now() WHERE 1 / (length(organisation) * 0) = 1")
    await nobody_is_acted_for(one)
    for whom in (("", HOST), ("host", ""), (None, HOST)):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await one.fetchval("SELECT app.acting_as($1, $2)", *whom)


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 0.2])
async def test_a_cancelled_request_leaves_nothing_behind(one: "asyncpg.Pool[Any]", after_s: float) -> None:
    async def read() -> None:
        await OwnRows(one, caller(BUREAU)).fetch("SELECT organisation, pg_sleep(0.1) FROM app.api_keys")

    async def change() -> None:
        async with OwnRows(one, caller(BUREAU)).transaction() as connection:
            await connection.fetch("SELECT organisation FROM app.api_keys")
            await asyncio.sleep(60)

    for each in (read, change, read):
        task = asyncio.create_task(each())
        await asyncio.sleep(after_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await nobody_is_acted_for(one)
        assert await seen_by(OwnRows(one, caller(OTHER_HOST))) == {OTHER_HOST}


async def test_requests_that_are_given_up_over_http_leave_nothing_behind(api: API) -> None:
    path = f"/v1/institutions/{BUREAU}/keys"
    for delay_ms in range(20):
        task = asyncio.create_task(api.get(BUREAU, path))
        await asyncio.sleep(delay_ms / 1_000)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await api.services.callers_pool.fetch("SELECT * FROM app.api_keys") == []
        assert (await api.get(OTHER_HOST, path)).status_code == 404


QUERIES: Final = (
    "SELECT organisation FROM app.api_keys ORDER BY organisation",
    "SELECT organisation FROM app.api_keys ORDER BY organisation LIMIT 100 -- all of them",
    "SELECT organisation FROM app.api_keys GROUP BY organisation ORDER BY 1",
    "SELECT k.organisation FROM app.api_keys k JOIN app.api_keys j USING (key_id) ORDER BY 1",
    "SELECT organisation FROM (WITH keys AS MATERIALIZED (SELECT * FROM app.api_keys) SELECT * FROM keys) k ORDER BY 1",
    "SELECT unnest(ARRAY(SELECT organisation FROM app.api_keys ORDER BY 1)) AS organisation",
    "SELECT DISTINCT organisation FROM app.api_keys UNION SELECT organisation FROM app.api_keys ORDER BY 1",
    "SELECT organisation FROM app.api_keys WHERE organisation = ANY ($1::text[]) ORDER BY 1",
)


@pytest.mark.parametrize("query", QUERIES)
async def test_whatever_the_shape_of_a_query_it_acts_before_it_reads(api: API, query: str) -> None:
    """And its rows come in their order."""
    arguments = [list(EVERYBODY)] if "$1" in query else []
    for organisation in (COUNTY, HOST):
        own_rows = api.services.own_rows(caller(organisation))
        for _ in range(7):
            # From the sixth time on PostgreSQL may have a plan for any arguments.
            found = [row["organisation"] for row in await own_rows.fetch(query, *arguments)]
            assert found == sorted(OWN_KEYS[organisation])
