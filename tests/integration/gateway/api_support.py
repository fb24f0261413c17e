"""A real gateway on a real socket for the tests, a stand-in worker, and a network that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import Connection, Engine, text

from api.server.main import make_server
from api.server.services import Services
from api.server.wire.tls import Certificate
from shared.access.api_keys import create_key
from shared.access.roles import PLAIN_ROLES
from shared.batches.claims import Answers, Claim, claim, finish
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.messaging.messages import NOTICES, Notice, format_notice
from shared.postgres.engine import transaction
from shared.sources.selection import selection_query
from shared.sources.source import read_source
from shared.status import Queue
from tests.roles import as_worker, settings_of
from tests.support import wait_until

READER = (*PLAIN_ROLES, "features")  # of a key that may see a client's features


class Gateway(httpx.Client):
    """A client of a running gateway, with its collaborators for the tests that look inside."""

    services: Services


@contextlib.contextmanager
def running_gateway(
    settings: Settings, key: str | None = None, certificate: Certificate | None = None
) -> Iterator[Gateway]:
    """A gateway in a thread of this process, and a client that sends `key`; it speaks plain HTTP alone."""
    own = settings_of(DatabaseRole.GATEWAY, settings)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = make_server(own, certificate=certificate)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), what="gateway started")
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            port = listener.getsockname()[1]
            with Gateway(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
                client.services = server.config.app.state.services  # type: ignore[union-attr]
                yield client
        finally:
            server.should_exit = True
            thread.join()


def new_key(engine: Engine, owner: str, **options: Any) -> str:
    """A fresh API key."""
    with transaction(engine) as connection:
        return create_key(connection, owner, **options)[0]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def answer_batches(engine: Engine, settings: Settings | None = None, *, limit: int | None = None) -> int:
    """Plan what waits to be planned and finish waiting batches as workers would; returns how many were finished.

    With `settings` the notices are sent as well. Answers are 0.25 and 0.75 in turn.
    """
    plan_selections(engine)
    worker, answered = as_worker(engine), 0
    for queue in (Queue.INTERACTIVE, Queue.BULK):
        while answered != limit and (held := claim(worker, queue, worker="stand-in", lease_seconds=10, most=1)):
            finish(worker, [(held[0], _answers(held[0]))])
            answered += 1
            if settings is not None:
                send_notice(settings, Notice(held[0].batch_id, held[0].job_id, held[0].request_count))
    return answered


def send_notice(settings: Settings, notice: Notice) -> None:
    """Publish a notice as a worker does."""
    with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        redis.publish(NOTICES, format_notice(notice))


def _answers(held: Claim) -> Answers:
    values = ("0.75" if row % 2 else "0.25" for row in range(held.request_count))
    return Answers(values=f"{{{','.join(values)}}}", threshold=0.5)


def plan_selections(engine: Engine, *, batch_rows: int = 10, pages: int | None = None) -> int:
    """Plan waiting selections as a worker's planner would; returns how many plans were claimed.

    With `pages` only so many are written of each, and the plan stays open.
    """
    plans = 0
    while held := claim(as_worker(engine), Queue.PLAN, worker="stand-in-planner", lease_seconds=60):
        with transaction(as_worker(engine)) as connection:
            _plan(connection, held[0], batch_rows, pages)
        plans += 1
    return plans


def _plan(connection: Connection, held: Claim, batch_rows: int, pages: int | None) -> None:
    values = {"plan": held.batch_id, "job": str(held.job_id)}
    selection = connection.execute(text("SELECT selection FROM predictq.jobs WHERE id = :job"), values).scalar_one()
    source = read_source(connection, "clients")
    found = [key for (key,) in connection.exec_driver_sql(*selection_query(source, selection["where"], after=None))]
    parts = [found[start : start + batch_rows] for start in range(0, len(found), batch_rows)]
    for keys in parts[:pages]:
        connection.execute(_ADD_PAGE, {**values, "keys": keys, "rows": len(keys)})
    if pages is None:
        connection.execute(_END_PLAN, {**values, "rows": len(found)})
        connection.execute(text("SELECT predictq.end_job(:job)"), values)


_ADD_PAGE = text("""
WITH batch AS (
    INSERT INTO predictq.prediction_batches (queue, job_id, owner, model_version_id, request_count)
    SELECT 'bulk', p.job_id, p.owner, p.model_version_id, :rows FROM predictq.prediction_batches p WHERE p.id = :plan
    RETURNING id
), counted AS (
    UPDATE predictq.prediction_batches SET planned_rows = planned_rows + :rows WHERE id = :plan
)
INSERT INTO predictq.batch_requests (batch_id, request_count, source_id, job_id, keys_int8)
SELECT b.id, :rows, j.source_id, j.id, :keys FROM batch b CROSS JOIN predictq.jobs j WHERE j.id = :job
""")
_END_PLAN = text("""
WITH gone AS (DELETE FROM predictq.prediction_batches WHERE id = :plan)
UPDATE predictq.jobs SET request_count = :rows, snapshots = 1 WHERE id = :job
""")


def add_columns_of_numbers(engine: Engine) -> None:
    """Give the clients three columns more, which filters may name: a double, a real, and a number of any size."""
    with transaction(engine) as connection:
        connection.execute(_ADD_COLUMNS)
        connection.execute(_KNOW_COLUMNS)


_ADD_COLUMNS = text("""
ALTER TABLE predictq_data.clients ADD wide double precision, ADD narrow real, ADD amount numeric
""")
_KNOW_COLUMNS = text("""
UPDATE predictq.sources
SET columns = columns || jsonb_build_array(jsonb_build_object('name', 'wide', 'type', 'double precision'),
                                           jsonb_build_object('name', 'narrow', 'type', 'real')),
    filters = filters || jsonb_build_array(jsonb_build_object('name', 'amount', 'type', 'numeric'))
WHERE name = 'clients'
""")
