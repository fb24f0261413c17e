"""What admins and operators do over HTTP: keys, pauses, the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import Engine, text

from api.routes.admin import audit, keys
from model.registration import SAMPLE_MODEL
from shared.access.roles import ALL_ROLES
from shared.audit.ocsf import ocsf_event
from shared.audit.writing import record_act
from shared.batches.claims import claim
from shared.batches.stalls import read_stalls
from shared.batches.unloadable import unloadable
from shared.config import Settings
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key, running_gateway
from tests.support import add_clients, add_model


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway with a live model and five clients, called by root, an admin."""
    add_model(engine)
    add_clients(engine, 5)
    with running_gateway(settings, new_key(engine, "root", is_admin=True)) as client:
        yield client


def run(engine: Engine, statement: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("/problems/")


def acts(gateway: Gateway, **query: Any) -> list[tuple[str, str, str | None]]:
    found = gateway.get("/v1/audit", params=query).json()["acts"]
    return [(act["actor"], act["action"], act["object"]) for act in found]


def test_a_key_that_would_be_expired_at_once_is_refused(gateway: Gateway) -> None:
    """Whatever zone its end is written in; nothing is made."""
    past = datetime.now(timezone(timedelta(hours=14))) - timedelta(minutes=1)
    refused = gateway.post("/v1/keys", json={"owner": "late", "expires_at": past.isoformat()})
    assert (refused.status_code, kind(refused)) == (422, "key-refused")
    assert "is past" in refused.json()["detail"]
    assert "late" not in [key["owner"] for key in gateway.get("/v1/keys").json()["keys"]]


def test_keys_and_lines_are_written_beside_the_event_loop(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred of them as JSON take milliseconds in which nobody else would be answered."""
    seen = []

    def dumps(given: Any) -> bytes:
        if isinstance(given, list):
            seen.append(asyncio._get_running_loop() is None)
        return orjson.dumps(given)

    for module in (keys, audit):
        monkeypatch.setattr(module, "orjson", SimpleNamespace(dumps=dumps))
    assert gateway.get("/v1/keys").json()["keys"]
    gateway.post("/v1/keys", json={"owner": "somebody"})
    for order in ("newest", "oldest"):
        assert gateway.get("/v1/audit", params={"order": order}).json()["acts"]
    assert seen == [True, True, True]


def test_keys_are_made_listed_replaced_and_revoked(gateway: Gateway) -> None:
    """Shown once; the list has all but the key; two are good while one replaces the other; each act has its line."""
    ends = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    wanted = {
        "owner": "alice",
        "roles": ["read", "features"],
        "models": [SAMPLE_MODEL],
        "note": "nightly",
        "expires_at": ends,
    }
    made = gateway.post("/v1/keys", json=wanted)
    assert made.status_code == 201
    key, prefix = made.json()["key"], made.json()["prefix"]
    assert {name: made.json()[name] for name in ("owner", "roles", "models", "note")} == {
        name: wanted[name] for name in ("owner", "roles", "models", "note")
    }
    assert gateway.get("/v1/models", headers=bearer(key)).status_code == 200
    assert gateway.post("/v1/predict", json={"client_id": 1}, headers=bearer(key)).status_code == 403
    rotated = gateway.post(f"/v1/keys/{prefix}/rotate", json={"overlap_seconds": 3600}).json()
    assert (rotated["owner"], rotated["roles"], rotated["models"]) == ("alice", ["read", "features"], [SAMPLE_MODEL])
    assert rotated["expires_at"][:19] == made.json()["expires_at"][:19]
    for good in (key, rotated["key"]):
        assert gateway.get("/v1/models", headers=bearer(good)).status_code == 200
    assert kind(gateway.post(f"/v1/keys/{prefix}/rotate")) == "key-unknown"  # once
    listed = {item["prefix"]: item for item in gateway.get("/v1/keys").json()["keys"]}
    assert listed[prefix]["rotated_to"] == rotated["prefix"]
    assert listed[prefix]["expires_at"] < listed[rotated["prefix"]]["expires_at"]
    assert "key" not in listed[prefix]
    assert gateway.post(f"/v1/keys/{rotated['prefix']}/revoke").json()["revoked_at"]
    assert kind(gateway.post(f"/v1/keys/{rotated['prefix']}/revoke")) == "key-unknown"
    assert acts(gateway) == [
        ("root", "key.revoke", f"key {rotated['prefix']}"),
        ("root", "key.rotate", f"key {prefix}"),
        ("root", "key.create", f"key {prefix}"),
    ]
    assert key not in gateway.get("/v1/audit").text


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"owner": "a\x1b[31m"}, "no control characters"),
        ({"owner": "a\u202eb"}, "no control characters"),
        ({"owner": " "}, "give a name"),
        ({"owner": "a", "note": "x\n"}, "no control characters"),
        ({"owner": "a", "roles": ["admin"], "models": ["m"]}, "for all models"),
        ({"owner": "a", "roles": ["king"]}, "read"),
        ({"owner": "a", "models": []}, "models"),
        ({"owner": "x" * 101}, "100"),
        ({"owner": "alice "}, "no blanks at its ends"),
        ({"owner": "a", "models": ["", "default"]}, "No model can be called ''"),
        ({"owner": "a", "models": ["nosuch\u0007"]}, "No model can be called"),
        ({"owner": "a", "models": ["default:1"]}, "No model can be called 'default:1'"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_words(gateway: Gateway, wanted: dict[str, Any], said: str) -> None:
    """Nothing is stored, and no name can turn a terminal's line around."""
    answer = gateway.post("/v1/keys", json=wanted)
    assert answer.status_code == 422
    assert said in answer.text
    assert len(gateway.get("/v1/keys").json()["keys"]) == 1


def test_a_key_for_a_model_that_is_not_there_says_so(gateway: Gateway, engine: Engine) -> None:
    """A misspelt name makes a key that can do nothing: whoever made it hears of it, as whoever replaces it."""
    add_model(engine)
    made = gateway.post("/v1/keys", json={"owner": "a", "models": ["default", "defualt"]}).json()
    assert made["unknown_models"] == ["defualt"]
    assert gateway.post(f"/v1/keys/{made['prefix']}/rotate").json()["unknown_models"] == ["defualt"]
    assert gateway.post("/v1/keys", json={"owner": "a", "models": ["default"]}).json()["unknown_models"] == []
    assert gateway.post("/v1/keys", json={"owner": "a"}).json()["unknown_models"] == []


def test_a_registration_has_a_line_before_its_file_is_opened(gateway: Gateway) -> None:
    """Whether or not its caller waits for the end: no worker is there to say one."""
    wanted = {"upload_id": "01a208a7-76d9-74fb-a6a9-68511ddfcb4b", "file_name": "churn.skops"}
    assert kind(gateway.post("/v1/models/churn/versions", json=wanted)) == "no-worker"
    assert acts(gateway) == [("root", "model.ask", "churn")]
    assert gateway.get("/v1/audit").json()["acts"][0]["after"] == wanted


def test_a_pause_holds_work_back_and_a_resumption_lets_it_go_on(gateway: Gateway, engine: Engine) -> None:
    """With a reason, for all to see; jobs are accepted meanwhile, and nothing is lost."""
    operator = bearer(new_key(engine, "carol", roles=("operate", "read")))
    limited = bearer(new_key(engine, "dave", roles=("operate", "read"), models=["other"]))
    wanted = {"queue": "bulk", "reason": "the warehouse is being moved"}
    begun = gateway.post("/v1/pauses", json=wanted, headers=operator)
    assert (begun.status_code, begun.json()["actor"]) == (201, "carol")
    again = gateway.post("/v1/pauses", json={**wanted, "reason": "another"})
    assert (again.status_code, again.json()) == (200, begun.json())
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2]})
    assert job.status_code == 202
    assert answer_batches(engine) == 0
    assert [item["reason"] for item in gateway.get("/v1/pauses", headers=operator).json()["pauses"]] == [
        wanted["reason"]
    ]
    assert gateway.delete(f"/v1/pauses/{begun.json()['id']}", headers=limited).status_code == 403
    assert gateway.delete(f"/v1/pauses/{begun.json()['id']}", headers=operator).status_code == 204
    assert kind(gateway.delete(f"/v1/pauses/{begun.json()['id']}")) == "pause-unknown"
    assert answer_batches(engine) == 1
    assert gateway.get(job.headers["location"]).json()["status"] == "succeeded"
    assert acts(gateway) == [("carol", "pause.end", "the queue bulk"), ("carol", "pause.begin", "the queue bulk")]
    assert gateway.get("/v1/audit").json()["acts"][1]["reason"] == wanted["reason"]
    for refused, expected in (
        ({"reason": "x"}, 422),
        ({"queue": "bulk", "reason": " "}, 422),
        ({"model": "no", "reason": "x"}, 404),
    ):
        assert gateway.post("/v1/pauses", json=refused).status_code == expected
    assert gateway.post("/v1/pauses", json=wanted, headers=limited).status_code == 403
    assert gateway.post("/v1/pauses", json={"model": SAMPLE_MODEL, "reason": "x"}, headers=limited).status_code == 403


def test_paused_time_runs_towards_no_error_and_rings_no_alarm(gateway: Gateway, engine: Engine) -> None:
    """Not while it is paused, and not afterwards: from then on the patience of an hour begins anew."""
    gateway.post("/v1/jobs", json={"client_ids": [1, 2]})
    older = "created_at = now() - interval '2 hours'"
    run(engine, f"UPDATE predictq.prediction_batches SET {older}, requirements = 'torch'")
    run(engine, "UPDATE predictq.sources SET away_since = now() - interval '59 minutes', probe_at = now()")

    def is_alarmed() -> tuple[bool, bool]:
        with transaction(engine) as connection:
            return bool(read_stalls(connection, 60)), bool(unloadable(engine, Queue.BULK, patience_seconds=3600))

    assert is_alarmed() == (True, True)
    pause = gateway.post("/v1/pauses", json={"model": SAMPLE_MODEL, "reason": "x"}).json()
    run(engine, "UPDATE predictq.pauses SET created_at = now() - interval '58 minutes'")
    assert is_alarmed() == (False, False)
    gateway.delete(f"/v1/pauses/{pause['id']}")
    assert is_alarmed() == (False, False)
    with engine.connect() as connection:
        away_for = text("SELECT extract(epoch FROM now() - away_since) FROM predictq.sources")
        away = connection.execute(away_for).scalar_one()
    assert away < 120
    run(engine, "UPDATE predictq.prediction_batches SET requirements = ''")
    run(engine, "UPDATE predictq.sources SET away_since = NULL, probe_at = NULL")
    held = claim(engine, Queue.BULK, worker="w", lease_seconds=10)
    assert held[0].waited_seconds < 60


def test_the_audit_log_is_filtered_and_read_in_parts(gateway: Gateway, engine: Engine) -> None:
    """By time, actor and action; newest first for people, and from the beginning for whoever collects all lines."""
    with transaction(engine) as connection:
        for number in range(7):
            record_act(connection, "api key", f"actor {number % 2}", f"thing.{number % 3}", f"o {number}")
    newest = gateway.get("/v1/audit", params={"limit": 3}).json()
    rest = gateway.get("/v1/audit", params={"limit": 100, "cursor": newest["next"]}).json()
    assert [act["object"] for act in [*newest["acts"], *rest["acts"]]] == [
        f"o {number}" for number in reversed(range(7))
    ]
    assert rest["next"] is None
    assert [name for _, _, name in acts(gateway, actor="actor 1", action="thing.0")] == ["o 3"]
    assert acts(gateway, since=(datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []
    first = gateway.get("/v1/audit", params={"order": "oldest", "limit": 5}).json()
    then = gateway.get("/v1/audit", params={"order": "oldest", "limit": 5, "cursor": first["next"]}).json()
    assert [act["object"] for act in [*first["acts"], *then["acts"]]] == [f"o {number}" for number in range(7)]
    at_the_end = gateway.get("/v1/audit", params={"order": "oldest", "cursor": then["next"]}).json()
    assert (at_the_end["acts"], at_the_end["next"]) == ([], then["next"])
    for wrong in ("x", "1:2", newest["next"]):
        assert gateway.get("/v1/audit", params={"order": "oldest", "cursor": wrong}).status_code == 422


def test_a_line_that_is_committed_late_is_not_missed(gateway: Gateway, engine: Engine) -> None:
    """Whoever goes on from the last line that was shown gets those that an open transaction was still to commit."""
    with engine.connect() as late, late.begin() as open_transaction:
        record_act(late, "api key", "slow", "thing.done", "late")
        with transaction(engine) as connection:
            record_act(connection, "api key", "quick", "thing.done", "early")
        seen = gateway.get("/v1/audit", params={"order": "oldest"}).json()
        assert seen["acts"] == []
        open_transaction.commit()
    found = gateway.get("/v1/audit", params={"order": "oldest", "cursor": seen["next"]}).json()
    assert sorted(act["object"] for act in found["acts"]) == ["early", "late"]


def test_an_ocsf_event_says_who_what_and_from_where(gateway: Gateway) -> None:
    """In the fields that collectors know, with the number of the class and of what was done."""
    made = gateway.post("/v1/keys", json={"owner": "alice"}, headers={"X-Request-ID": "call-7"}).json()
    (act,) = gateway.get("/v1/audit").json()["acts"]
    event = ocsf_event(act)
    assert (event["class_uid"], event["category_uid"], event["activity_id"], event["type_uid"]) == (6003, 6, 1, 600301)
    assert event["actor"]["user"]["name"] == "root"
    assert event["actor"]["user"]["credential_uid"].startswith("pq_")
    assert event["src_endpoint"] == {"ip": "127.0.0.1"}
    assert event["api"] == {"operation": "key.create", "request": {"uid": "call-7"}}
    assert event["resources"] == [{"name": f"key {made['prefix']}"}]
    assert abs(event["time"] / 1000 - datetime.now(UTC).timestamp()) < 600
    signed_in = ocsf_event({**act, "action": "session.sign_in"})
    assert (signed_in["class_uid"], signed_in["activity_name"], signed_in["user"]["name"]) == (3002, "Logon", "root")
    assert (event["status"], event["status_id"]) == ("Success", 1)
    erased, failed = (ocsf_event({**act, "action": f"erasure.{end}"}) for end in ("done", "failed"))
    assert (erased["activity_name"], erased["status"]) == ("Delete", "Success")
    assert (failed["activity_name"], failed["status"], failed["status_id"]) == ("Delete", "Failure", 2)


def test_only_admins_see_keys_and_the_audit_log(gateway: Gateway, engine: Engine) -> None:
    """Everything short of admin is not enough."""
    almost = bearer(new_key(engine, "bob", roles=[role for role in ALL_ROLES if role != "admin"]))
    for method, path in (
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("GET", "/v1/audit"),
        ("POST", "/v1/keys/x/revoke"),
    ):
        assert gateway.request(method, path, headers=almost, json={"owner": "x"}).status_code == 403
