"""A client's hash, as it stands in addresses of screens, leads only those to her who have answers of her."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from shared.jobs.accepting.singles import accept_singles
from shared.postgres.engine import autocommit
from shared.status import Queue
from tests.integration.access.test_roles import OTHER, add_other_model
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.worker.scoring_support import score
from tests.support import add_clients, add_model, single_job
from worker.scoring.scorer import Scorer

ALICES, BOBS, NOBODYS, BULK = 1, 2, 3, 4  # clients, by who has asked for them; alice has asked in bulk, too
CALLS = ("/v1/clients/answers", "/v1/clients/features")


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """Alice's and bob's single predictions share a page; a bulk job is alice's."""
    add_model(engine)
    add_clients(engine, 80)
    with running_gateway(settings, new_key(engine, "root", is_admin=True)) as client:
        yield client


@pytest.fixture
def hashes(gateway: Gateway, engine: Engine, scorer: Scorer) -> dict[int, str]:
    """What the clients are called by, once all that was asked is answered."""
    jobs = [single_job(engine, client, owner=owner) for client, owner in ((ALICES, "alice"), (BOBS, "bob"))]
    with autocommit(engine) as connection:
        accept_singles(connection, jobs)
    ids = [BULK, *range(10, 80)]
    assert gateway.post("/v1/jobs", json={"client_ids": ids}, headers=bearer(new_key(engine, "alice"))).is_success
    score(scorer)
    score(scorer, Queue.BULK)
    clients = (ALICES, BOBS, NOBODYS, BULK)
    return {client: ask(gateway, client_id=client).json()["client_hash"] for client in clients}


def ask(gateway: Gateway, key: str | None = None, path: str = CALLS[0], **named: Any) -> Any:
    place = {"source": "clients"} if path == CALLS[0] else {"model": "default"}
    return gateway.post(path, json={**place, **named}, headers=bearer(key) if key else {})


def test_a_hash_leads_to_a_client_of_whom_the_owner_has_an_answer(
    gateway: Gateway, engine: Engine, hashes: dict[int, str]
) -> None:
    """Also where the answer lies in a page with another owner's, and for an admin to everybody who was scored."""
    for owner, clients in (("alice", (ALICES, BULK)), ("bob", (BOBS,))):
        key = new_key(engine, owner)
        for client in clients:
            found = ask(gateway, key, client_hash=hashes[client]).json()
            assert (found["client_id"], len(found["answers"])) == (client, 1)
    assert ask(gateway, client_hash=hashes[ALICES]).json()["client_id"] == ALICES


def test_a_key_for_some_models_is_told_no_answer_of_another(
    gateway: Gateway, engine: Engine, hashes: dict[int, str]
) -> None:
    """Though it names the client by her key, and her answers are its owner's."""
    assert ALICES in hashes
    for models, answers in ((["another"], 0), (["another", "default"], 1)):
        answer = ask(gateway, new_key(engine, "alice", models=models), client_id=ALICES)
        assert (answer.status_code, len(answer.json().get("answers", ()))) == (200 if answers else 404, answers)


@pytest.mark.parametrize("path", CALLS)
def test_a_hash_tells_nothing_of_a_client_whom_others_have_asked_for(
    gateway: Gateway, engine: Engine, hashes: dict[int, str], path: str
) -> None:
    """Neither her key nor that anybody has: the refusal is that of a client whom nobody has scored."""
    bob = new_key(engine, "bob", roles=["read", "features"])
    limited = new_key(engine, "alice", roles=["read", "features"], models=[OTHER])
    add_other_model(engine)  # it reads the same source, else that would be as if it were not there
    told = [(bob, ALICES), (bob, BULK)]
    told += [(limited, client) for client in (ALICES, BULK) if path == CALLS[0]]  # the other call names the model
    for key, client in told:
        refused, unknown = (ask(gateway, key, path, client_hash=hashes[hidden]) for hidden in (client, NOBODYS))
        assert (refused.status_code, refused.json()["type"]) == (404, "/problems/client-not-found")
        assert {**refused.json(), "request_id": None} == {**unknown.json(), "request_id": None}
