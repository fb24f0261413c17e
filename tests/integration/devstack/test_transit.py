"""Certificates in transit: PostgreSQL by sslmode=verify-full, Redis by rediss://, with certificates made on the spot.

Neither embedded server is built with TLS. PostgreSQL is the distribution's; in front of Valkey stands a forwarder that
speaks TLS, so that it is our side of the line that is proven.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine, make_url, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings, load_settings
from shared.errors import DatabaseUnavailable
from shared.messaging.celery_app import make_celery
from shared.messaging.messages import count_messages, make_redis, publish_work
from shared.postgres.engine import autocommit, make_engine
from shared.status import Queue
from tests.older_postgres import older_programs


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path, Path]:
    """An authority, its certificate as a file, and that of another one, which nobody has asked."""
    directory = tmp_path_factory.mktemp("authority")
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(directory / "ours.pem")
    other.cert_pem.write_to_path(directory / "other.pem")
    return ours, directory / "ours.pem", directory / "other.pem"


@pytest.fixture(scope="module")
def tls_postgres(
    authority: tuple[trustme.CA, Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that shows a certificate for `localhost`."""
    directory = tmp_path_factory.mktemp("tls") / "data"
    settings = {"ssl": "on", "fsync": "off", "shared_buffers": "16MB"}
    server = EmbeddedPostgres(directory, settings=settings, programs=older_programs())
    server.prepare()
    certificate = authority[0].issue_cert("localhost")
    files = {"server.crt": certificate.cert_chain_pems[0].bytes(), "server.key": certificate.private_key_pem.bytes()}
    owner = server.pgdata.stat()
    for name, content in files.items():
        path = server.pgdata / name
        path.write_bytes(content)
        path.chmod(0o600)
        os.chown(path, owner.st_uid, owner.st_gid)
    with server:
        yield server
        server.destroy()


def ask_postgres(server: EmbeddedPostgres, root: Path, host: str) -> bool:
    """Whether a connection that checks everything is encrypted. Raises DatabaseUnavailable."""
    query = {"sslmode": "verify-full", "sslrootcert": str(root)}
    url = make_url(server.url).set(host=host, query=query).render_as_string(hide_password=False)
    engine: Engine = make_engine(load_settings(database_url=url, redis_url="redis://h"), application_name="test")
    try:
        with autocommit(engine) as connection:
            return bool(connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar())
    finally:
        engine.dispose()


def test_postgresql_is_believed_by_its_certificate(
    tls_postgres: EmbeddedPostgres, authority: tuple[trustme.CA, Path, Path]
) -> None:
    """verify-full: the right authority and name connect, encrypted; another authority or name is refused."""
    _, ours, other = authority
    assert ask_postgres(tls_postgres, ours, "localhost")
    for root, host in ((other, "localhost"), (ours, "127.0.0.1")):
        with pytest.raises(DatabaseUnavailable):
            ask_postgres(tls_postgres, root, host)


@contextmanager
def tls_in_front_of(url: str, authority: trustme.CA) -> Iterator[int]:
    """A port that speaks TLS with a certificate for `localhost`, and hands on to the Redis of `url`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    target = make_url(url).port or 6379

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        except OSError:
            pass
        finally:
            inner_writer.transport.abort()
            writer.transport.abort()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # clients that do not believe the certificate hang up
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
        yield server.sockets[0].getsockname()[1]
        loop.call_soon_threadsafe(server.close)
    finally:
        asyncio.run_coroutine_threadsafe(end_tasks(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on until one end closes."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def end_tasks() -> None:
    """Nothing goes on after the test."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def test_redis_is_believed_by_its_certificate(redis_url: str, authority: tuple[trustme.CA, Path, Path]) -> None:
    """rediss://: our own client and Celery's connect through it; another authority or name is refused."""
    ca, ours, other = authority
    with tls_in_front_of(redis_url, ca) as port:

        def through(root: Path, host: str) -> Settings:
            url = f"rediss://:{make_url(redis_url).password}@{host}:{port}/0?ssl_ca_certs={root}"
            return load_settings(database_url="postgresql://h/d", redis_url=url)

        for root, host in ((other, "localhost"), (ours, "127.0.0.1")):
            with pytest.raises((RedisError, OSError)), make_redis(through(root, host), fails_at_once=True) as redis:
                redis.ping()
            with make_celery(through(root, host)).connection() as refused, pytest.raises(OperationalError):
                refused.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        secure = through(ours, "localhost")
        with make_redis(secure, fails_at_once=True) as redis:
            publish_work(redis, 2, Queue.BULK)
            assert count_messages(redis, Queue.BULK) == 2
        with make_celery(secure).connection() as believed:
            believed.ensure_connection(max_retries=1, timeout=5)
            assert believed.connected
