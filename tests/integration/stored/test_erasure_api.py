"""Erasure, replay and export over HTTP: who may, what is answered, and that no log and no audit line names a client."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.erasure.kept_hashes import LOG_NAME, SECRET_NAME, KeptHashes, read_log
from shared.erasure.keys import ClientKey
from shared.logging import configure_logging
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway
from tests.integration.stored.erasure_support import PERSON, add_page, add_source, erase, everything, key_of, places
from tests.integration.worker.scoring_support import features_of, score
from tests.roles import as_role, as_upkeep
from tests.support import OWNER, add_clients, add_model, submit_bulk, submit_singles
from worker.erasure.duties import ErasureDuty
from worker.errands.kinds import make_handlers
from worker.errands.runner import ErrandRunner
from worker.scoring.scorer import Scorer


@pytest.fixture
def key(engine: Engine) -> ClientKey:
    """The person among a hundred clients, with a live model."""
    add_model(engine)
    add_clients(engine, 100)
    add_clients(engine, 1, first=PERSON)
    return key_of(engine)


@pytest.fixture
def gateway(engine: Engine, settings: Settings, key: ClientKey) -> Iterator[Gateway]:
    """A gateway, and a client with an admin key of the owner of all jobs here."""
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as gateway:
        yield gateway


@pytest.fixture
def errands(engine: Engine) -> Iterator[None]:
    """A worker that does errands, with the rights that it has."""
    ready, stopped = as_role(engine, DatabaseRole.WORKER), threading.Event()
    runner = threading.Thread(target=ErrandRunner(ready, make_handlers(ready), worker="w", stopped=stopped).run)
    runner.start()
    yield
    stopped.set()
    runner.join()


def test_the_way_of_an_erasure(gateway: Gateway, engine: Engine, scorer: Scorer, tmp_path: Path) -> None:
    """202 with a place to ask; done by the upkeep's duty; then 410 for the prediction and for a replayed call."""
    asked_for = {"json": {"client_id": PERSON}, "headers": {"Idempotency-Key": "k1"}}
    job = gateway.post("/v1/predict", **asked_for).json()
    score(scorer)
    request_id = gateway.get(f"/v1/jobs/{job['id']}").json()["request_id"]

    answer = gateway.post("/v1/erasures", json={"client_id": str(PERSON), "reason": "art. 17"})
    assert answer.status_code == 202
    place = answer.headers["Location"]
    asked = answer.json()
    assert asked.pop("elsewhere") == []
    assert gateway.get(place).json() == {**asked, "status": "queued"}
    assert ErasureDuty(tmp_path).run(as_upkeep(engine)) == "1 erasures ended"
    done = gateway.get(place).json()
    assert (done["status"], done["pages"], done["answers"], done["source"]) == ("done", 1, 1, "clients")
    assert gateway.get("/v1/erasures").json() == {"erasures": [done]}

    gone = gateway.get(f"/v1/predictions/{request_id}")
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/erased")
    assert gateway.get("/problems/erased").status_code == 200
    again = gateway.post("/v1/predict", **asked_for)
    assert (again.status_code, again.json()["type"]) == (410, "/problems/erased")
    (row,) = gateway.get(f"/v1/jobs/{job['id']}/results").json()["rows"]
    assert (row["client_id"], row["probability"], row["error_code"]) == (None, None, "erased")
    for document in (done, gone.json(), again.json(), row):
        assert str(PERSON) not in json.dumps(document)


def test_an_erasure_names_the_sources_that_it_does_not_reach(gateway: Gateway, engine: Engine, tmp_path: Path) -> None:
    """One over a view has answers for her key, whatever its type; one over the same table is named with none, too."""
    for name, storage, keys in (
        ("a view", "text", [str(PERSON), "2", str(PERSON)]),
        ("same table", "int8", [2]),
        ("others", "int8", [1, 2]),
        ("pairs", "text", ['["1","2"]']),
    ):
        add_page(engine, add_source(engine, name, storage, ["a", "b"] if name == "pairs" else ["id"]), storage, keys)
    with transaction(engine) as connection:
        connection.execute(
            text("""UPDATE predictq.sources o SET relation_schema = s.relation_schema, relation_name = s.relation_name
                    FROM predictq.sources s WHERE o.name = 'same table' AND s.name = 'clients'""")
        )
    order = {"client_id": PERSON, "source": "clients", "reason": "art. 17"}
    answer = gateway.post("/v1/erasures", json=order)
    assert answer.status_code == 202
    named = [
        {"source": "a view", "is_same_table": False, "answers": 2},
        {"source": "same table", "is_same_table": True, "answers": 0},
    ]
    assert answer.json()["elsewhere"] == named
    assert str(PERSON) not in answer.text
    ErasureDuty(tmp_path).run(as_upkeep(engine))
    assert len(places(engine, key_of(engine, str(PERSON), "a view"))) == 1  # as was said

    back = gateway.post("/v1/erasures", json={**order, "client_id": str(PERSON), "source": "a view"}).json()[
        "elsewhere"
    ]
    assert back == []  # under `clients` nothing is left of her


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"client_id": "x-9", "reason": "r"}, 422, "client-key-refused"),
        ({"client_id": 2**70, "reason": "r"}, 422, "invalid-request"),
        ({"client_id": True, "reason": "r"}, 422, "invalid-request"),
        ({"client_id": 1.5, "reason": "r"}, 422, "invalid-request"),
        ({"client_id": {"a": 1}, "reason": "r"}, 422, "client-key-refused"),
        ({"client_id": 5}, 422, "invalid-request"),
        ({"client_id": 5, "reason": "of client 5"}, 422, "client-key-refused"),
        ({"client_id": 5, "reason": "r", "source": "nowhere"}, 404, "source-unknown"),
    ],
)
def test_what_is_refused(gateway: Gateway, body: dict[str, object], status: int, problem: str) -> None:
    """A key that cannot be one, a source that is none, and a reason that names the client."""
    answer = gateway.post("/v1/erasures", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")


def test_only_an_admin_may(gateway: Gateway, engine: Engine) -> None:
    """Neither erasing, asking how it stands, replaying nor exporting is for a plain key."""
    plain = bearer(new_key(engine, "other"))
    order = {"client_id": 5, "reason": "r"}
    line = {"source": "clients", "hash": "0" * 64}
    for answer in (
        gateway.post("/v1/erasures", json=order, headers=plain),
        gateway.post("/v1/erasures/replay", json={"erased": [line], "reason": "r"}, headers=plain),
        gateway.post("/v1/clients/export", json={"client_id": 5}, headers=plain),
        gateway.get("/v1/erasures", headers=plain),
        gateway.get(f"/v1/erasures/{uuid7()}", headers=plain),
    ):
        assert answer.status_code == 403
    assert gateway.get(f"/v1/erasures/{uuid7()}").status_code == 404
    assert gateway.get("/v1/erasures/nonsense").status_code == 404


def test_a_hold_is_a_conflict(gateway: Gateway) -> None:
    """A held client is not erased: 409, and the problem names the hold, not the client."""
    hold = gateway.post("/v1/holds", json={"client_id": PERSON, "source": "clients", "reason": "a case"}).json()
    answer = gateway.post("/v1/erasures", json={"client_id": PERSON, "reason": "r"})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/held")
    assert f"Hold {hold['id']} " in answer.json()["detail"]
    assert str(PERSON) not in answer.text


@pytest.mark.usefixtures("errands")
def test_all_that_is_held_of_a_client(gateway: Gateway, engine: Engine, scorer: Scorer) -> None:
    """One file: answers with the features as scored, what is open and what was cancelled, and the row in the source."""
    bulk = submit_bulk(engine, [1, PERSON, *range(2, 70), PERSON])
    (single,) = submit_singles(engine, [PERSON])
    score(scorer, Queue.BULK)
    score(scorer)
    waiting = submit_bulk(engine, [PERSON])
    cancelled = submit_bulk(engine, [PERSON])
    gateway.post(f"/v1/jobs/{cancelled.job_id}/cancel")

    answer = gateway.post("/v1/clients/export", json={"client_id": PERSON})
    assert answer.status_code == 200
    assert str(PERSON) not in answer.headers["Content-Disposition"]
    document = answer.json()
    assert (document["source"], document["client_key"]) == ("clients", str(PERSON))
    found = {row["request_id"]: row for row in document["predictions"]}
    assert {request_id: row["state"] for request_id, row in found.items()} == {
        f"{bulk.batch_ids[0]}-1": "answered",
        f"{bulk.batch_ids[0]}-70": "answered",
        str(single.request_id): "answered",
        f"{waiting.batch_ids[0]}-0": "open",
        f"{cancelled.batch_ids[0]}-0": "cancelled",
    }
    scored = found[str(single.request_id)]
    assert scored["features"] == features_of(PERSON)
    assert scored["job_id"] == str(single.job_id)
    assert scored["value"] is not None
    assert document["source_row"]["state"] == "read"
    assert document["source_row"]["rows"][0].items() >= {"client_id": PERSON, "age": features_of(PERSON)["age"]}.items()
    # The act is kept, without the client.
    with transaction(engine) as connection:
        acts = connection.execute(text("SELECT action, CAST(a AS text) AS line FROM predictq.audit_log a")).all()
    assert [act.action for act in acts] == ["job.cancel", "client.export"]
    assert str(PERSON) not in acts[1].line


@pytest.mark.usefixtures("errands")
def test_an_export_of_nobody(gateway: Gateway) -> None:
    """A client of whom nothing is held is an empty file, not an error: that is an answer, too."""
    document = gateway.post("/v1/clients/export", json={"client_id": 987_654_321}).json()
    assert document["predictions"] == []
    assert document["source_row"] == {"state": "read", "rows": []}


def test_an_export_while_no_worker_answers(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """What predictq holds comes all the same, and of the source row it is said that nobody has read it."""
    monkeypatch.setattr("api.intake.errands._QUEUE_SECONDS", 0.2)
    document = gateway.post("/v1/clients/export", json={"client_id": PERSON}).json()
    assert document["predictions"] == []
    assert document["source_row"]["state"] == "unavailable"
    assert "No worker" in document["source_row"]["detail"]


def test_a_replay_finds_the_erased_again(gateway: Gateway, engine: Engine, scorer: Scorer, tmp_path: Path) -> None:
    """After a restore the same persons go again, of all key types, by hashes alone; all others stay."""
    text_source = add_source(engine, "texts", "text")

    def load() -> None:
        submit_bulk(engine, [PERSON, *range(1, 80)])
        for _ in range(21):  # more pages of hers than one step of a replay goes through
            submit_singles(engine, [PERSON, 7])
            score(scorer)
        score(scorer, Queue.BULK)
        add_page(engine, text_source, "text", ["ZQXJ-äö", "other"])

    persons = [key_of(engine), key_of(engine, "ZQXJ-äö", "texts")]
    load()
    for person in persons:
        erase(engine, person, tmp_path)
    load()  # as a restored backup would bring them back
    assert all(places(engine, person) for person in persons)

    log = (tmp_path / LOG_NAME).read_text()
    assert str(PERSON) not in log
    assert "ZQXJ" not in log
    erased = [line._asdict() for line in read_log(log.splitlines())]
    answer = gateway.post("/v1/erasures/replay", json={"erased": erased, "reason": "restore"})
    assert answer.status_code == 202
    assert ErasureDuty(tmp_path).run(as_upkeep(engine)) == "3 erasures ended"
    replayed = gateway.get(answer.headers["Location"]).json()
    assert (replayed["kind"], replayed["status"], replayed["answers"]) == ("replay", "done", 2)
    assert not any(places(engine, person) for person in persons)
    assert len(places(engine, key_of(engine, 7))) == 44
    shown = everything(engine)
    assert str(PERSON) not in shown
    assert not any(line["hash"] in shown for line in erased)


def test_a_replay_without_the_secret_fails(gateway: Gateway, engine: Engine, tmp_path: Path) -> None:
    """Hashes cannot be compared without their secret: the replay says what to do, and keeps no hash."""
    line = {"source": "clients", "hash": "ab" * 32}
    place = gateway.post("/v1/erasures/replay", json={"erased": [line], "reason": "r"}).headers["Location"]
    ErasureDuty(tmp_path / "empty").run(as_upkeep(engine))
    failed = gateway.get(place).json()
    assert failed["status"] == "failed"
    assert "PREDICTQ_ERASURE_DIRECTORY" in failed["error"]
    assert line["hash"] not in everything(engine)


def test_a_replay_with_another_secret_fails(gateway: Gateway, engine: Engine, tmp_path: Path) -> None:
    """It would find nobody and say that it was done. Put back beside the running process, the right one finds her."""
    first, second = tmp_path / "backup", tmp_path / "restored"
    duty = ErasureDuty(second)
    KeptHashes(second).keep("clients", "1")
    KeptHashes(first).keep("clients", str(PERSON))
    add_page(engine, key_of(engine).source.id or 0, "int8", [PERSON, 7])
    (line,) = read_log((first / LOG_NAME).read_text().splitlines())

    def replay() -> dict[str, Any]:
        place = gateway.post("/v1/erasures/replay", json={"erased": [line._asdict()], "reason": "r"}).headers[
            "Location"
        ]
        duty.run(as_upkeep(engine))
        return dict(gateway.get(place).json())

    failed = replay()
    assert (failed["status"], failed["pages"]) == ("failed", 0)
    assert line.secret in failed["error"]
    assert KeptHashes(second).secret().fingerprint in failed["error"]
    assert "Put the erasures.secret there" in failed["error"]
    shutil.copy(first / SECRET_NAME, second)
    done = replay()
    assert (done["status"], done["answers"]) == ("done", 1)
    assert not places(engine, key_of(engine))


@pytest.mark.usefixtures("own_logging")
def test_no_log_names_her(
    engine: Engine,
    settings: Settings,
    key: ClientKey,
    scorer: Scorer,
    postgres: EmbeddedPostgres,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever is asked, well or badly: neither the logs of gateway and upkeep nor PostgreSQL's hold the key."""
    configure_logging(settings.model_copy(update={"log_level": "DEBUG"}), service="test")
    submit_bulk(engine, [PERSON])
    score(scorer, Queue.BULK)
    admin = new_key(engine, OWNER, is_admin=True)
    with running_gateway(settings, admin) as gateway:
        gateway.post("/v1/clients/export", json={"client_id": PERSON})
        gateway.post("/v1/erasures", json={"client_id": PERSON, "reason": "r", "source": "nowhere"})
        gateway.post("/v1/erasures", json={"client_id": PERSON, "reason": str(PERSON)})
        gateway.post("/v1/erasures", json={"client_id": PERSON, "wrong": PERSON})
        gateway.post("/v1/erasures", content=f"{{{PERSON}")
        assert gateway.post("/v1/erasures", json={"client_id": PERSON, "reason": "r"}).status_code == 202
        with transaction(engine) as connection:  # something that must go wrong
            connection.execute(
                text("ALTER TABLE predictq.erasures ADD CONSTRAINT never CHECK (step <> 'pages') NOT VALID")
            )
        with pytest.raises(Exception, match="was interrupted"):
            ErasureDuty(tmp_path).run(as_upkeep(engine))
        with transaction(engine) as connection:
            connection.execute(text("ALTER TABLE predictq.erasures DROP CONSTRAINT never"))
        assert ErasureDuty(tmp_path).run(as_upkeep(engine)) == "1 erasures ended"
    output = "".join(capfd.readouterr())
    assert output
    assert str(PERSON) not in output
    with transaction(engine) as connection:
        audit = connection.execute(text("SELECT CAST(a AS text) FROM predictq.audit_log a")).scalars().all()
    assert len(audit) == 3
    assert str(PERSON) not in "".join(audit)
    # PostgreSQL would quote the row of a failed constraint, but for how `up` and compose set it up.
    assert str(PERSON) not in postgres.log_path.read_text(errors="replace")
