"""Every call that changes something leaves its line in the audit log."""

from __future__ import annotations

import inspect
import sys
import threading
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from shared.errands import ClaimedErrand, claim_errand, finish_errand
from shared.postgres.engine import autocommit
from tests.integration.gateway.api_support import Gateway, answer_batches, bearer, new_key
from tests.rights.table import ACTS, CALLS, NO_LINE
from tests.rights.test_rights import _is_of_the_api, _routes, application, gateway
from tests.support import wait_until
from web.words.audit_acts import ACTIONS

__all__ = ["gateway"]


def test_every_call_that_changes_something_has_its_act() -> None:
    """Or it is said why there is none. The module of the route writes the line, and screens have words for it."""
    changing = {call.name for call in CALLS if call.method != "GET"}
    assert changing ^ (set(ACTS) | set(NO_LINE)) == set()
    assert not set(ACTS) & set(NO_LINE)
    assert set(ACTS.values()) - set(ACTIONS) == set()
    for route in filter(_is_of_the_api, _routes(application().routes)):
        for name in {f"{method} {route.path}" for method in route.methods} & set(ACTS):
            assert f'"{ACTS[name]}"' in inspect.getsource(sys.modules[route.endpoint.__module__]), name


def test_acts_that_leave_no_other_trace_have_a_line(gateway: Gateway, engine: Engine) -> None:
    """A link that signs in, a file of answers, a check that runs code of a model, rows that are deleted."""
    alice, root = bearer(new_key(engine, "alice")), bearer(new_key(engine, "root", is_admin=True))
    job = gateway.post("/v1/jobs", json={"client_ids": [1, 2]}, headers=alice).json()["id"]
    answer_batches(engine)
    rows = gateway.post("/v1/sources/clients/rows", json={"columns": ["age"]}, headers=root).json()["id"]
    done = []
    for method, path, key in (
        ("POST", "/v1/sign-in-links", alice),
        ("POST", f"/v1/jobs/{job}/exports?format=parquet", alice),
        ("DELETE", f"/v1/rows/{rows}", root),
        ("DELETE", f"/v1/rows/{rows}", root),
    ):
        done.append(gateway.request(method, path, headers=key).status_code)
    assert done == [201, 202, 204, 404]
    check = threading.Thread(
        target=gateway.post, args=("/v1/models/default/versions/1/check",), kwargs={"json": {}, "headers": root}
    )
    check.start()
    wait_until(lambda: finish_check(engine), what="the check is asked for")
    check.join()
    assert lines(engine) == [
        ("alice", "link.create", None, None),
        ("alice", "job.export", f"job {job}", {"format": "parquet"}),
        ("root", "source.drop", "clients", {"rows_id": rows}),
        ("root", "model.check", "default:1", {"rows": 1000}),
    ]


def finish_check(engine: Engine) -> bool:
    """As a worker that has checked it. Returns whether there was a check."""
    with autocommit(engine) as connection:
        held: ClaimedErrand | None = claim_errand(connection, worker="w", lease_seconds=15, kinds=("check_model",))
        if held is None:
            return False
        assert isinstance(held.id, UUID)
        return finish_errand(connection, held, {}, failed=False)


def lines(engine: Engine) -> list[tuple[Any, ...]]:
    """Actor, action, object and what was after, oldest first, of what is proven here."""
    with autocommit(engine) as connection:
        found = connection.execute(text("SELECT actor, action, object, after FROM predictq.audit_log ORDER BY id"))
        acts = ("link.create", "job.export", "source.drop", "model.check")
        return [tuple(line) for line in found if line.action in acts]
