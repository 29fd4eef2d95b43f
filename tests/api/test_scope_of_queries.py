"""No query of the API forgets whose rows it is about.

A statement on a table that several organisations have rows in names the organisation, or stands below with the reason
why it need not. A read of the views takes the viewer and limits itself by him, or stands below with the reason why
whoever calls it may have it all. Anything new fails here until somebody has said which of the two it is.

And what a caller asks for goes through `services.own_rows`, where PostgreSQL limits the rows by itself
(`tests/api/test_row_security.py`); each use of the pool that sees everything stands below with its reason.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent
TENANT_TABLE: Final = re.compile(
    r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(?:app\.(?:api_keys|idempotency|webhook_endpoints|webhook_requests|operations"
    r"|imports|import_results|inbox|deliveries|mailboxes|sessions|accounts)\b|ledger\.outbox\b|view\.\w+)"
)
SCOPED: Final = re.compile(r"\b(?:organisation|recipient)\s*=\s*\$\d")
INSERTS: Final = re.compile(r"^\s*INSERT INTO [^;]*\borganisation\b", re.DOTALL)

UNSCOPED: Final = {
    # Who calls is what these find out.
    ("auth", "_SELECT"): "by the key's id, whose secret is compared",
    ("auth", "touch"): "by the ids of keys that were let in",
    ("accounts", "_SELECT"): "by the account's name, whose password is compared",
    ("sessions", "_USE"): "by the hash of the token that the browser has shown",
    ("sessions", "_END"): "by the hash of the token that the browser has shown",
    # Before the statement, another one has found the row by its organisation.
    ("keys", "revoke_key"): "the second statement: the first has found the key by organisation and id",
    ("import_routes", "run"): "whether there is an id that follows from the caller's organisation",
    ("inbox", "_GROW"): "of an operation whose id follows from the caller's organisation",
    ("operations", "_ROWS"): "of an operation that the statement before has found by its organisation",
    ("kept_imports", "_RESULTS"): "of an import that was found by its organisation",
    ("deliveries", "_OURS"): "which organisations are the viewer's: his own and those below",
    ("deliveries", "_NOTICES"): "to the recipients that `_visible` has found; every one for the bureau",
    ("deliveries", "_DELIVERIES"): "of notices that the statement before has found by their recipients",
    ("deliveries", "_UNDELIVERABLE"): "of the organisations that `_visible` has found; every one for the bureau",
    # The process's own work, for nobody who asks.
    ("idempotency", "sweep"): "forgets by age",
    ("sessions", "_SWEEP"): "forgets by age",
    ("draining", "_ADVANCE"): "by the id of the work under way",
    ("draining", "_ANYTHING"): "whether there is anything to be done",
    ("draining", "_FAILED"): "by the place of the work under way",
    ("draining", "_FINISH"): "by the place of the work under way",
    ("draining", "_AWAY"): "says of all waiting work that a server is away",
    ("draining", "_LOCK"): "by the id of the work under way",
    ("draining", "_NEXT"): "takes up work, whoever asked for it",
    ("inbox", "_COUNT"): "how much is kept, of everybody",
    ("inbox", "_FIGURES"): "how much is kept, of everybody; no row of anybody",
    ("inbox", "_LIST"): "for operators",
    ("import_work", "carry_out"): "by the id of the work under way",
    ("kept_imports", "load"): "by the id of the work under way",
    ("kept_imports", "keep"): "by the id of the work under way",
    ("kept_imports", "kept_firsts"): "by the id of the work under way",
    ("kept_imports", "forget_results"): "by the id of the work under way",
    ("kept_imports", "_COUNT"): "by the id of the work under way",
    ("rows_together", "_ROWS"): "by the id of the work under way",
    ("rows_together", "_FINISH"): "by the places of the work under way",
    ("inbox", "_KEPT_FOR"): "of cases that the caller was let see",
    ("operations", "_CLAIM"): "takes up work, whoever asked for it",
    ("operations", "_ADVANCE"): "by the lease of this process",
    ("operations", "_RENEW"): "by the lease of this process",
    ("operations", "_FINISH"): "by the lease of this process",
    ("operations", "_WAIT"): "by the lease of this process",
    ("operations", "_FAIL"): "by the lease of this process",
    ("operations", "_SWEEP"): "forgets by age",
    # The bureau's operators, whose every mailbox is.
    ("mailboxes", "_COLUMNS"): "scope mailboxes:read is the bureau's",
    ("mailboxes", "_LIST"): "scope mailboxes:read is the bureau's",
}
READS_OF_ALL: Final = {
    ("outcome_imports", "attendance.marked"): "of a trainee of the calling host's class",
    ("attendance_recording", "attendance.members"): "as the system: of a class of the calling host",
    ("attendance", "attendance.days"): "of a class that the caller was let into; its members are the viewer's own",
    ("attendance_recording", "attendance.days"): "of a class of the calling host",
    (
        "bulletins",
        "bulletins.compute",
    ): "organisations only; exact figures of others are left out before they are shown",
    ("bulletins", "bulletins.issued"): "which bulletins were published",
    ("bulletins", "bulletins.one_issued"): "published cells; exact figures of others are left out",
    ("bulletins", "campaigns.get"): "campaigns are everybody's",
    ("campaigns", "campaigns.get"): "campaigns are everybody's",
    ("campaigns", "campaigns.page"): "campaigns are everybody's",
    ("projects", "campaigns.get"): "campaigns are everybody's",
    ("projects", "campaigns.page"): "campaigns are everybody's",
    ("campaigns", "restrictions.figures"): "only for the bureau",
    ("health", "checkpoints.status"): "how far the views are; no row of anybody",
    ("identity_reviews", "trainees_in_order.to_review"): "scope people:read is the bureau's",
    ("person_records", "persons.cases"): "scope people:read is the bureau's",
    ("person_records", "persons.restrictions"): "scope people:read is the bureau's",
    ("person_records", "persons.page"): "scope people:read is the bureau's",
    ("accounts", "institutions.successor_of"): "of the organisation that signs in",
    ("nominations", "institutions.successor_of"): "of a school that the caller nominates for",
    ("quotas", "trainees.waiting"): "of a line that the viewer was let see",
    ("waiting", "trainees.waiting"): "for one place: of a nomination that the caller was let see",
    ("training_days", "training_days.page"): "scope training-days:read is the bureau's",
}
AS_THE_SYSTEM: Final = {
    # The process's own work, for nobody who asks.
    ("app", "create_app.lifespan"): "forgets kept answers by age",
    ("draining", "Drainer.__init__"): "handles what any organisation has sent",
    ("import_work", "Noun.carry_out"): "carries on with the work of any organisation",
    ("import_work", "_check_all"): "carries on with the work of any organisation",
    ("import_work", "_keep_all"): "carries on with the work of any organisation",
    ("import_work", "_send_all"): "carries on with the work of any organisation",
    ("rows_together", "carry_out"): "carries on with the work of any organisation",
    ("rows_together", "_results.progress"): "by the lease of this process",
    ("rows_together", "_require_turn"): "whether anybody's commands for the same cases were kept before",
    ("rows_together", "_write_down"): "carries on with the work of any organisation",
    ("kept_imports", "load"): "carries on with the work of any organisation",
    ("kept_imports", "kept_firsts"): "carries on with the work of any organisation",
    ("operations", "Operations.run_one"): "takes up work, whoever asked for it",
    ("operations", "_renew_for_ever"): "keeps the lease of this process",
    ("operations", "_wait"): "by the lease of this process",
    ("operations", "_give_back"): "by the lease of this process",
    ("operations", "sweep"): "forgets by age",
    # What belongs to nobody.
    ("clock", "advance_clock.run"): "the demo's clock",
    ("clock", "set_clock_speed.run"): "the demo's clock",
    ("events", "_writing"): "which transactions write to the outbox; no row of anybody",
    ("health", "_database"): "how far the views are and how much is kept; no row of anybody",
    ("ledger", "get_ledger_keys"): "keys, signed roots and proofs are everybody's",
    ("ledger", "get_checkpoint"): "keys, signed roots and proofs are everybody's",
    ("ledger", "prove_inclusion"): "keys, signed roots and proofs are everybody's",
    ("ledger", "prove_consistency"): "keys, signed roots and proofs are everybody's",
    # What an answer to the caller rests on although he may not see it.
    ("bulletins", "get_bulletins"): "figures over all cases; exact ones of others are left out before they are shown",
    ("nomination_rows", "_judge"): "facts of a decision: what is known of the person anywhere, and claims",
    ("quotas", "list_quotas"): "how many wait for each line: an auditor sees the number and no nomination",
    ("quotas", "list_waiting"): "of a line that the viewer was let see",
    ("sign_in", "_staff_of"): "who calls is what this finds out",
    ("waiting", "get_trainee_waiting"): "for one place: of a nomination that the caller was let see",
}
"""The parts that `api/app.py` makes with this pool are the doors (keys, sessions, accounts, limits), what is nobody's
(plans, numbers, clock, checkpoints), the ledger with its vault, and the process's own work (inbox, trail)."""
NO_READS: Final = {"trainees.TraineeFilter"}
VIEWERS: Final = {"caller.actor", "once.caller.actor", "viewer"}


def statements() -> Iterator[tuple[str, str, str]]:
    """Every text in `api/` that reads or writes a tenant's table: its module, the function or constant, the text."""
    for path in sorted((ROOT / "api").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place: dict[int, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id.startswith("_"):
                    place |= {id(each): target.id for each in ast.walk(node.value)}
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                place |= {id(each): node.name for each in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and TENANT_TABLE.search(node.value):
                yield path.stem, place.get(id(node), "?"), node.value


def test_every_statement_names_the_organisation_or_says_why_not() -> None:
    unscoped = {
        (module, name) for module, name, text in statements() if not SCOPED.search(text) and not INSERTS.match(text)
    }
    assert unscoped - set(UNSCOPED) == set(), "name the organisation in the statement, or say here why not"
    assert set(UNSCOPED) - unscoped == set(), "no such statement any more"


def reads() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call in `api/` of a function of `projections`."""
    for path in sorted((ROOT / "api").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {
            each.asname or each.name: each.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "projections"
            for each in node.names
        }
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in modules:
                assert isinstance(node, ast.Call)
                yield path.stem, f"{modules[called.value.id]}.{called.attr}", node


def test_every_read_of_the_views_has_its_viewer_or_says_why_not() -> None:
    of_all, seen = set(), 0
    for module, name, call in reads():
        if name in NO_READS:
            continue
        view, function = name.split(".")
        parameters = list(
            inspect.signature(getattr(importlib.import_module(f"projections.{view}"), function)).parameters
        )
        if "viewer" in parameters:
            given = ast.unparse(call.args[parameters.index("viewer")])
            if given == "SYSTEM":
                of_all.add((module, name))
                continue
            assert given in VIEWERS, f"api/{module}.py gives {name} the viewer {given}"
            seen += 1
        else:
            of_all.add((module, name))
    assert of_all - set(READS_OF_ALL) == set(), "let the read take its viewer, or say here why it need not"
    assert set(READS_OF_ALL) - of_all == set(), "no such read any more"
    assert seen > 15


def uses_of_the_pool() -> Iterator[tuple[str, str]]:
    """Every place in `api/` that takes the pool of the services: its module and function."""

    def within(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = (*names, child.name)
            if isinstance(child, ast.Attribute) and child.attr == "pool" and "services" in ast.unparse(child.value):
                yield ".".join(names)
            yield from within(child, inner)

    for path in sorted((ROOT / "api").glob("*.py")):
        yield from ((path.stem, name) for name in within(ast.parse(path.read_text(encoding="utf-8")), ()))


def test_whatever_is_done_as_the_system_says_why() -> None:
    used = set(uses_of_the_pool())
    assert used - set(AS_THE_SYSTEM) == set(), "use `services.own_rows(caller)`, or say here why not"
    assert set(AS_THE_SYSTEM) - used == set(), "no such use any more"


@pytest.mark.parametrize(
    "view", ["trainees", "classes", "restrictions", "quotas", "attendance", "institutions", "trainees_in_order"]
)
def test_whoever_takes_a_viewer_limits_the_rows_by_him(view: str) -> None:
    tree = ast.parse((ROOT / "projections" / f"{view}.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    limiting = {
        name
        for name, node in functions.items()
        if any(
            isinstance(each, ast.Call) and ast.unparse(each.func).endswith((".own", "_seen_by"))
            for each in ast.walk(node)
        )
    }
    taking = {name for name, node in functions.items() if any(each.arg == "viewer" for each in node.args.args)}
    # A function may leave it to one beside it, to which it gives the viewer.
    for _ in functions:
        limiting |= {
            name
            for name in taking
            if any(
                isinstance(each, ast.Call)
                and isinstance(each.func, ast.Name | ast.Attribute)
                and ast.unparse(each.func).rpartition(".")[2] in limiting
                and "viewer" in map(ast.unparse, each.args)
                for each in ast.walk(functions[name])
            )
        }
    assert taking, f"projections/{view}.py has reads with a viewer"
    assert taking - limiting - {"own", "_seen_by"} == set()
