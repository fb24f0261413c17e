"""The table of clients belongs to somebody else: a lock on it, its slowness, or another type of key stops nobody."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from api.intake import model_directory
from model.artefact import build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.models.registry import promote_version, register_version
from shared.sources.lookup import may_look_up
from shared.sources.source import Source, add_source, read_source
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.models import SIGNATURE, TestModel
from tests.roles import as_role
from tests.support import OWNER, add_clients, add_model


@pytest.fixture
def gateway(engine: Engine, settings: Settings) -> Iterator[Gateway]:
    """A gateway over ten clients and a live model."""
    add_clients(engine, 10)
    add_model(engine)
    with running_gateway(settings, new_key(engine, OWNER)) as client:
        yield client


def test_an_open_alter_table_stops_no_single_job(engine: Engine, gateway: Gateway) -> None:
    """While somebody alters the table, jobs are accepted without a look at it; afterwards 404 is said at once again."""
    assert gateway.post("/v1/predict", json={"client_id": 99}).status_code == 404
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq_data.clients ADD COLUMN note text"))
        for client_id in (1, 99):
            answer = gateway.post("/v1/predict", json={"client_id": client_id})
            assert answer.status_code == 202, answer.text
    gateway.services.intake._unseen_until = 0
    assert gateway.post("/v1/predict", json={"client_id": 99}).status_code == 404


def add_other(engine: Engine, name: str, relation: str, *, is_indexed: bool = True) -> Source:
    """A live model and its source, both of this name, which `relation` makes in the schema public."""
    with engine.begin() as connection:
        connection.execute(text(relation))
        clients = read_source(connection, "clients")
        settings = {"is_indexed": is_indexed}
        other = Source(0, name, None, "public", name, clients.key, clients.columns, settings=settings)
        other = add_source(connection, other)
        version = new_version(build_artefact(TestModel(), SIGNATURE, 0.5, name=name), model=name, source_id=other.id)
        promote_version(connection, register_version(connection, version).id)
    return other


# Each look at a client takes 60 ms.
_SLOW_VIEW = """
CREATE VIEW public.slow AS SELECT * FROM predictq_data.clients WHERE pg_sleep(0.06)::text = '';
GRANT SELECT ON public.slow TO predictq_gateway, predictq_worker
"""


@pytest.mark.parametrize("is_indexed", [False, True])
def test_a_slow_source_stops_nobody(engine: Engine, gateway: Gateway, is_indexed: bool) -> None:
    """However many calls name clients of a slow source at once, none is refused, and none of another model."""
    add_other(engine, "slow", _SLOW_VIEW, is_indexed=is_indexed)
    calls = [{"client_id": 1 + number % 10, "model": "slow"} for number in range(90)]
    calls += [{"client_id": 1 + number} for number in range(5)]
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = list(threads.map(lambda call: gateway.post("/v1/predict", json=call), calls))
    assert {(answer.status_code, answer.text if answer.is_error else "") for answer in answers} == {(202, "")}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == len(calls)


_TABLE = """
CREATE TABLE public.people AS SELECT * FROM predictq_data.clients;
ALTER TABLE public.people ADD PRIMARY KEY (client_id);
GRANT SELECT ON public.people TO predictq_gateway, predictq_worker
"""
_CHANGES = [
    "ALTER TABLE public.people ALTER client_id TYPE text",
    "ALTER TABLE public.people ALTER client_id TYPE uuid USING gen_random_uuid()",
    "ALTER TABLE public.people RENAME client_id TO id",
    "ALTER TABLE public.people RENAME TO persons",
    "REVOKE SELECT ON public.people FROM predictq_gateway",
]


@pytest.mark.parametrize("change", _CHANGES)
def test_a_source_that_was_altered_stops_no_single_job(
    engine: Engine, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """However many calls come at once, of its model and of another one, and what was remembered of it: all get in.

    An unknown client of the other one is a 404 as before.
    """
    monkeypatch.setattr(model_directory, "_REMEMBER_SECONDS", 60)
    add_other(engine, "people", _TABLE)
    unknown = [{"client_id": 99, "model": model} for model in ("people", "default")]
    assert [gateway.post("/v1/predict", json=call).status_code for call in unknown] == [404, 404]
    with engine.begin() as connection:
        connection.execute(text(change))
    calls = [{"client_id": 1 + number % 10, "model": unknown[number % 2]["model"]} for number in range(60)]
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = list(threads.map(lambda call: gateway.post("/v1/predict", json=call), calls))
    assert {(answer.status_code, answer.text if answer.is_error else "") for answer in answers} == {(202, "")}
    assert [gateway.post("/v1/predict", json=call).status_code for call in unknown] == [202, 404]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one() == len(calls) + 1


_TO_DOMAIN = """
CREATE DOMAIN public.number AS integer;
CREATE DOMAIN public.positive AS public.number CHECK (VALUE > 0);
ALTER TABLE public.people ALTER client_id TYPE public.positive
"""


@pytest.mark.parametrize(
    ("change", "may"),
    [
        *((change, False) for change in _CHANGES),
        ("ALTER TABLE public.people ALTER client_id TYPE bigint", True),
        (_TO_DOMAIN, True),
        ("SELECT", True),
    ],
)
def test_a_key_of_another_type_is_not_asked_for(engine: Engine, change: str, *, may: bool) -> None:
    """The catalogue tells, before a call fails; one that can be compared with the old one is."""
    add_clients(engine, 1)
    people = add_other(engine, "people", _TABLE)
    with engine.begin() as connection:
        connection.execute(text(change))
    with as_role(engine, DatabaseRole.GATEWAY).connect() as connection:
        assert may_look_up(connection, people) is may
