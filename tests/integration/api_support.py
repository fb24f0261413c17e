"""A real gateway on a real socket for the tests, a stand-in worker, and a network that can be cut."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import Connection, Engine, make_url, text

from api.server.main import make_server
from api.server.services import Services
from shared.api_keys import create_key
from shared.batches.claims import Claim, Counts, claim, finish
from shared.config import Settings
from shared.messaging.messages import NOTICES, Notice, format_notice
from shared.postgres.engine import autocommit, transaction
from tests.support import wait_until


class Gateway(httpx.Client):
    """A client of a running gateway, with its collaborators for the tests that look inside."""

    services: Services


@contextlib.contextmanager
def running_gateway(settings: Settings, key: str | None = None) -> Iterator[Gateway]:
    """A gateway in a thread of this process, and a client that sends `key`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = make_server(settings)
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
    """Finish waiting batches as a worker would; returns how many.

    With `settings` the notices are sent as well. Answers are 0.25 and 0.75 in turn.
    """
    query = text("SELECT id FROM prediction_batches WHERE status = 'queued' ORDER BY id LIMIT :limit")
    with autocommit(engine) as connection:
        batch_ids = connection.execute(query, {"limit": limit}).scalars().all()
    for batch_id in batch_ids:
        held = claim(engine, batch_id, worker="stand-in", lease_seconds=10)
        assert held is not None
        finish(engine, held, partial(_write_answers, held))
        if settings is not None:
            with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
                redis.publish(NOTICES, format_notice(Notice(batch_id, held.job_id, held.request_count)))
    return len(batch_ids)


def _write_answers(held: Claim, connection: Connection, cancelled: frozenset[int]) -> Counts:
    first, last = held.request_ids
    values = {"first": first, "last": last, "fence": held.fence, "v": held.model_version, "cancelled": list(cancelled)}
    return Counts(connection.execute(_ANSWER, values).rowcount, 0)


_ANSWER = text("""
INSERT INTO prediction_outputs
    (request_id, probability, label, threshold, model_version, client_version, fence)
SELECT request_id, 0.25 + request_id % 2 * 0.5, request_id % 2, 0.5, :v,
       CASE WHEN client_id IS NULL THEN NULL ELSE 1 END, :fence
FROM prediction_requests
WHERE request_id >= :first AND request_id < :last AND request_id <> ALL(CAST(:cancelled AS bigint[]))
""")


class Network:
    """A TCP connection to PostgreSQL that can be cut, frozen, or made to lose one answer. Use it as a context."""

    def __init__(self, database_url: str) -> None:
        url = make_url(database_url)
        self._target = (url.host or "127.0.0.1", url.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.set(host="127.0.0.1", port=self._listener.getsockname()[1]).render_as_string(hide_password=False)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._up = threading.Event()
        self._up.set()
        self._lose_answer_to: bytes | None = None
        self._let_pass = 0
        self._refuses = False
        self._closed = False
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Network:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._up.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self) -> None:
        """Break every connection; new ones work."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def go_down(self) -> None:
        """Break every connection and let no new one live."""
        self._refuses = True
        self.cut()

    def come_up(self) -> None:
        """Undo `go_down` and `freeze`."""
        self._refuses = False
        self._up.set()

    def freeze(self) -> None:
        """Swallow everything without a word."""
        self._up.clear()

    def lose_answer_to(self, query: bytes, *, after: int = 0) -> None:
        """Let the next query that holds these bytes reach the server, and cut the connection before it answers.

        The first `after` of them get their answers.
        """
        self._let_pass, self._lose_answer_to = after, query

    def _accept(self) -> None:
        while not self._closed:
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            near, _ = self._listener.accept()
            if self._refuses:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pairs.append((near, far))
            thread = threading.Thread(target=self._carry, args=(near, far))
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, contextlib.suppress(OSError):
            is_losing = False
            while True:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(65536)
                    self._up.wait()
                    if not data or (is_losing and source is far):
                        return
                    if self._lose_answer_to and self._lose_answer_to in data:
                        self._let_pass -= 1
                        if self._let_pass < 0:
                            self._lose_answer_to, is_losing = None, True
                    (far if source is near else near).sendall(data)
