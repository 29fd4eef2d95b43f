"""What an auditor gets over HTTP: keys, signed roots and proofs, and nothing of any event."""

import base64
from typing import Any

import pytest

from database import operator_pool, sealer_pool
from ledger.checkpoint import Checkpoint
from ledger.keyring import Keyring, read_succession
from ledger.proofs import ConsistencyProof, InclusionProof, ProofRejected, check_consistency, check_inclusion
from ledger.rotation import rotate
from ledger_trust import checkpoint_directory, keyring_of, public_key_text, read_public_key, sealer_of
from settings import key_bytes
from tests.api.front_door import API, AUDITOR, BUREAU, COUNTY, HOST, new_key

BOOK = "institutions"
PROOFS = f"/v1/ledger/{BOOK}/proofs"


async def sealed(api: API) -> Checkpoint:
    """Every organisation's registration is in a book of its own; it is sealed, and grows afterwards."""
    async with sealer_pool(api.settings, min_size=1, max_size=2) as pool:
        (checkpoint,) = await sealer_of(api.settings, pool).seal_due()
    api.keys["later"] = await new_key(api.services, "410199", "county")
    return checkpoint


def proof_of(kind: type[Any], body: dict[str, Any]) -> Any:
    hashes = tuple(bytes.fromhex(one) for one in body["hashes"])
    if kind is InclusionProof:
        return InclusionProof(body["book"], body["sequence"], body["size"], bytes.fromhex(body["leaf_hash"]), hashes)
    return ConsistencyProof(body["book"], body["from"], body["to"], hashes)


async def test_every_event_of_a_signed_book_is_proved(api: API) -> None:
    first = await sealed(api)
    ring = keyring_of(api.settings)
    for sequence in range(1, first.size + 1):
        response = await api.get(BUREAU, f"{PROOFS}/inclusion?sequence={sequence}")
        assert response.status_code == 200, response.text
        body = response.json()
        event = await api.services.pool.fetchval(
            "SELECT body FROM ledger.events WHERE book = $1 AND sequence = $2", BOOK, sequence
        )
        checkpoint = ring.open(body["checkpoint"])
        check_inclusion(proof_of(InclusionProof, body), event, checkpoint)
        with pytest.raises(ProofRejected):
            check_inclusion(proof_of(InclusionProof, body), event.replace(b"4", b"5", 1), checkpoint)


async def test_growth_is_proved_between_two_checkpoints(api: API) -> None:
    first = await sealed(api)
    async with sealer_pool(api.settings, min_size=1, max_size=2) as pool:
        (second,) = await sealer_of(api.settings, pool).seal_due()
    shown: list[str] = []
    for query in (f"from={first.size}", f"from={first.size}&to={second.size}"):
        body = (await api.get(BUREAU, f"{PROOFS}/consistency?{query}")).json()
        notes = [keyring_of(api.settings).open(note) for note in body["checkpoints"]]
        assert notes == [first, second]
        check_consistency(proof_of(ConsistencyProof, body), *notes)
        shown.append(body["checkpoints"][0])
    older = (await api.http.get(f"/v1/ledger/{BOOK}/checkpoint?size={first.size}")).json()
    assert shown == [older["note"], older["note"]]
    assert (await api.http.get(f"/v1/ledger/{BOOK}/checkpoint?size={first.size + 1}")).status_code == 404


async def test_a_size_that_was_not_signed_comes_without_a_checkpoint(api: API) -> None:
    first = await sealed(api)
    body = (await api.get(BUREAU, f"{PROOFS}/inclusion?sequence=1&size={first.size - 1}")).json()
    assert (body["size"], body["checkpoint"]) == (first.size - 1, None)
    body = (await api.get(BUREAU, f"{PROOFS}/consistency?from=2&to={first.size}")).json()
    assert [note is None for note in body["checkpoints"]] == [True, False]


async def test_a_proof_holds_hashes_and_nothing_of_an_event(api: API) -> None:
    first = await sealed(api)
    for path in (f"inclusion?sequence={first.size}", f"consistency?from=1&to={first.size}"):
        response = await api.get(BUREAU, f"{PROOFS}/{path}")
        body = response.json()
        assert body.keys() <= {
            "book", "sequence", "size", "leaf_hash", "hashes", "checkpoint", "from", "to", "checkpoints"
        }  # fmt: skip
        assert all(len(one) == 64 and int(one, 16) >= 0 for one in body["hashes"])
        for name in (COUNTY, HOST, "单位", "example.invalid"):
            assert name not in response.text


async def test_an_auditors_key_opens_proofs_and_nothing_else(api: API) -> None:
    await sealed(api)
    issued = await api.post(BUREAU, f"/v1/institutions/{AUDITOR}/keys", {"scopes": ["ledger:audit"]})
    assert issued.status_code == 201, issued.text
    api.keys["auditor"] = issued.json()["key"]
    assert (await api.get("auditor", f"{PROOFS}/inclusion?sequence=1")).status_code == 200
    assert (await api.get("auditor", f"{PROOFS}/consistency?from=1")).status_code == 200
    for path in ("/v1/trainees", "/v1/institutions", "/v1/restrictions"):
        assert api.problem(await api.get("auditor", path)) == "scope-missing"
    api.keys["reader"] = await new_key(api.services, COUNTY, "county", "trainees:read")
    assert api.problem(await api.get("reader", f"{PROOFS}/inclusion?sequence=1")) == "scope-missing"
    assert (await api.http.get(f"{PROOFS}/inclusion?sequence=1")).status_code == 401


async def test_what_cannot_be_proved_is_told(api: API) -> None:
    unsealed = await api.get(BUREAU, f"{PROOFS}/inclusion?sequence=1")
    assert (unsealed.status_code, api.problem(unsealed)) == (404, "unknown-number")
    first = await sealed(api)
    for path, status, slug in (
        ("inclusion?sequence=99", 422, "proof-out-of-range"),
        ("inclusion?sequence=2&size=1", 422, "proof-out-of-range"),
        ("consistency?from=3&to=2", 422, "proof-out-of-range"),
        (f"consistency?from=1&to={first.size + 50}", 422, "proof-out-of-range"),
        ("inclusion?sequence=0", 422, "invalid-request"),
        ("inclusion", 422, "invalid-request"),
        ("inclusion?sequence=9007199254740992", 422, "invalid-request"),
        ("consistency?form=1", 422, "invalid-request"),
    ):
        response = await api.get(BUREAU, f"{PROOFS}/{path}")
        assert (response.status_code, api.problem(response)) == (status, slug), path
    nowhere = await api.get(BUREAU, "/v1/ledger/nowhere/proofs/consistency?from=1&to=2")
    assert (nowhere.status_code, api.problem(nowhere)) == (404, "unknown-number")
    async with operator_pool(api.settings, min_size=1, max_size=1) as pool:
        await pool.execute("ALTER TABLE ledger.events DISABLE TRIGGER refuse_change")
        await pool.execute("DELETE FROM ledger.events WHERE book = $1 AND sequence = 2", BOOK)
    damaged = await api.get(BUREAU, f"{PROOFS}/inclusion?sequence=1")
    assert (damaged.status_code, api.problem(damaged)) == (409, "ledger-damaged")


async def test_the_keys_lead_from_an_earlier_one_to_the_present(api: API) -> None:
    await sealed(api)
    settings = api.settings
    old, new = key_bytes(settings.signing_key), bytes([7] * 32)
    before = (await api.http.get("/v1/ledger/keys")).json()
    assert (before["origin"], before["successions"], before["witness"]) == ("xunji", [], None)
    (anchor,) = before["public_keys"]
    async with operator_pool(settings, min_size=1, max_size=2) as pool:
        await rotate(
            pool,
            old_key=old,
            new_key=new,
            origin=settings.ledger_origin,
            directory=checkpoint_directory(settings),
        )
    after = (await api.http.get("/v1/ledger/keys")).json()
    ring = Keyring([read_public_key(anchor)], [read_succession(note) for note in after["successions"]])
    assert [public_key_text(key) for key in ring.present_keys()] == after["public_keys"] != [anchor]
    newest = (await api.http.get(f"/v1/ledger/{BOOK}/checkpoint")).json()
    assert ring.open(newest["note"]).size == newest["size"]
    assert base64.b64encode(old).decode() not in str(after)
