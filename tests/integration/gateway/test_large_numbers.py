"""Numbers beyond 64 bits, in filters and in tables: what was accepted can be told, to everybody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import Phase, example, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError

from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.jobs.accepting.bulk import accept_selection
from shared.postgres.engine import transaction
from shared.sources.filter_values import value_text
from shared.sources.key_types import Unfit
from shared.status import JobStatus
from tests.integration.gateway.api_support import (
    Gateway,
    add_columns_of_numbers,
    answer_batches,
    new_key,
    running_gateway,
)
from tests.integration.gateway.test_events import listening
from tests.roles import as_role
from tests.support import bulk_job
from worker.errands.kinds import make_handlers
from worker.errands.runner import ErrandRunner

LARGE = (1e20, 2.0**64, -9.3e18, 1.9e19, 1e308, -1e308, 2**64 - 1, -(2**63))
DIGITS = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?", fullmatch=True, alphabet="-.0123456789")
EXPONENTS = st.integers(-999, 999)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)


@pytest.fixture(scope="module")
def gateway(engine_and_settings: tuple[Engine, Settings]) -> Iterator[Gateway]:
    """A gateway whose clients have three columns more: a double, a real, and a number of any size."""
    engine, settings = engine_and_settings
    add_columns_of_numbers(engine)
    with running_gateway(settings, new_key(engine, "alice", is_admin=True)) as client:
        yield client


def doubles(value: object) -> object:
    """The value with whole numbers as doubles, as which the column has them."""
    return json.loads(json.dumps(value), parse_int=float)


@given(number=NUMBERS, place=st.sampled_from(["value", "list", "range"]))
@example(1e20, "range")
@example(2.0**64, "list")
@given_settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_any_filter_that_is_accepted_can_be_told(gateway: Gateway, number: float, place: str) -> None:
    """By the answer, by its repetition under the key, alone, and in the list; with the very number that was sent."""
    sent = {"value": number, "list": [number, None], "range": {"gt": number}}[place]
    body, headers = orjson.dumps({"where": {"wide": sent}}), {"Content-Type": "application/json"}
    key = {"Idempotency-Key": str(uuid4())}
    made = gateway.post("/v1/jobs", content=body, headers=headers | key)
    assert made.status_code == 202, made.text
    told = [made.json(), gateway.post("/v1/jobs", content=body, headers=headers | key).json()]
    told += [
        gateway.get(made.headers["location"]).json(),
        gateway.get("/v1/jobs", params={"limit": 1}).json()["jobs"][0],
    ]
    assert {job["id"] for job in told} == {made.json()["id"]}
    for job in told[1:]:  # a filter of hundreds of digits is too long to be told
        assert doubles(job["asked"].get("where", {"wide": sent})) == doubles({"wide": sent})
    waited = gateway.post("/v1/jobs", content=body, headers=headers | {"Prefer": "wait=0"})
    assert waited.status_code in (200, 202), waited.text


@given(
    kind=st.sampled_from(["real", "double precision", "numeric"]),
    digits=st.sampled_from(["1", "-3.4028235", "3.4028236", "1.4", "0.7", "-17976931348623157", "49", "0", "0.0"])
    | DIGITS,
    exponent=st.sampled_from([-999, -400, -325, -324, -46, -45, -44, 37, 38, 39, 292, 308, 309, 999]) | EXPONENTS,
)
@given_settings(max_examples=300, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_no_number_that_is_taken_is_refused_by_postgresql(
    engine_and_settings: tuple[Engine, Settings], kind: str, digits: str, exponent: int
) -> None:
    """And of those that are refused it would take none."""
    number = f"{digits}e{exponent}"
    try:
        written = value_text(kind, number)
    except Unfit:
        written = None
    with engine_and_settings[0].connect() as connection:
        try:
            connection.execute(text(f"SELECT CAST(:number AS {kind})"), {"number": number})
            is_taken = True
        except DataError:
            is_taken = False
    assert (written is not None) is is_taken


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/count"])
@pytest.mark.parametrize("where", [{"narrow": {"lt": 1e39}}, {"narrow": [1, 1e-50]}, {"wide": "1e999"}])
def test_a_number_that_no_such_column_holds_is_refused_at_once(gateway: Gateway, path: str, where: object) -> None:
    """With the place and what the column can have, before anybody asks a worker."""
    refused = gateway.post(path, json={"where": where})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/filter-refused")
    assert "its type" in refused.json()["detail"]


@pytest.mark.parametrize("number", LARGE)
def test_streams_tell_of_such_a_job_and_of_those_beside_it(
    gateway: Gateway, engine_and_settings: tuple[Engine, Settings], number: float
) -> None:
    """The task that tells everybody goes on; the job runs to its end."""
    engine, _ = engine_and_settings
    job = str(accept_selection(engine, bulk_job(engine, owner="alice"), {"wide": {"lt": number}}).job_id)
    with listening(gateway, f"/v1/jobs/{job}/events") as events:
        assert next(events).job["asked"]["where"] == {"wide": {"lt": number}}
        answer_batches(engine)
        assert list(events)[-1].status == JobStatus.SUCCEEDED
    assert gateway.services.job_events.failures == 0


def test_a_client_with_large_numbers_can_be_exported(
    gateway: Gateway, engine_and_settings: tuple[Engine, Settings]
) -> None:
    """Her row in the source, and the filters of jobs that name her; beyond doubles, her number is a text."""
    engine, _ = engine_and_settings
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE predictq_data.clients SET wide = -3e25, amount = power(10::numeric, 5000) WHERE client_id = 7")
        )
    where = {"client_id": 7, "wide": {"lt": 1e20}}
    job = accept_selection(engine, bulk_job(engine, owner="alice"), where).job_id
    worker, stopped = as_role(engine, DatabaseRole.WORKER), threading.Event()
    runner = threading.Thread(target=ErrandRunner(worker, make_handlers(worker), worker="w", stopped=stopped).run)
    runner.start()
    try:
        answer = gateway.post("/v1/clients/export", json={"client_id": 7})
    finally:
        stopped.set()
        runner.join()
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["source_row"]["state"] == "read", document["source_row"]
    (row,) = document["source_row"]["rows"]
    assert (row["wide"], row["amount"]) == (-3e25, "1" + "0" * 5000)
    assert [UUID(named["job_id"]) for named in document["jobs"]] == [job]
    assert document["jobs"][0]["filter"] == where
