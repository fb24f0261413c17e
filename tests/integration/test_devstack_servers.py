"""The embedded PostgreSQL and Redis, with the real programs."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from devstack.errors import AlreadyRunning, ChildFailed
from devstack.servers import redis as embedded_redis
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis

SMALL = {"shared_buffers": "16MB", "fsync": "off"}


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres", settings=SMALL)
    server.start()
    yield server
    server.destroy()


def query(server: EmbeddedPostgres, sql: str, url: str | None = None) -> list[tuple[object, ...]]:
    connection = psycopg2.connect((url or server.url).replace("+psycopg2", ""))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def count(server: EmbeddedRedis, key: str) -> int:
    with redis.Redis.from_url(server.url) as client:
        return int(client.incr(key))


def test_postgres_answers_over_tcp_and_socket_and_keeps_data_and_address(postgres: EmbeddedPostgres) -> None:
    """The role is no superuser, both addresses work, and a restart loses neither data nor URL."""
    url = postgres.url
    query(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert query(postgres, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]
    postgres.stop()
    postgres.start()
    assert postgres.url == url
    assert query(postgres, "SELECT answer FROM kept", postgres.socket_url) == [(42,)]
    assert query(postgres, "SHOW shared_buffers") == [("16MB",)]


def test_a_killed_postgres_starts_again_with_its_data(postgres: EmbeddedPostgres) -> None:
    """A stale pid file and orphaned backends do not block the next start."""
    query(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.kill()
    assert not postgres.is_running
    postgres.start()
    assert query(postgres, "SELECT answer FROM kept") == [(42,)]


def test_a_second_instance_is_refused_with_the_pid_of_the_first(postgres: EmbeddedPostgres) -> None:
    """Two servers never share a directory, and the message says who has it."""
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        EmbeddedPostgres(postgres.data_dir).start()


def test_a_destroyed_server_leaves_nothing(tmp_path: Path) -> None:
    """Tests can delete their server inside the block that runs it, wherever its data were."""
    with EmbeddedPostgres(tmp_path / "postgres", settings=SMALL) as server:
        home = server.pgdata.parent
        server.destroy()
    assert not home.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_password_is_needed_and_kept_private(postgres: EmbeddedPostgres) -> None:
    """Nobody gets in without it, and only its owner can read it."""
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        query(postgres, "SELECT 1", postgres.url.replace(postgres.address.password, "guess"))
    assert (postgres.data_dir / "address.json").stat().st_mode & 0o077 == 0


def test_a_wrong_setting_fails_with_the_log_and_the_fix(tmp_path: Path) -> None:
    """A server that cannot start says why and what to do."""
    server = EmbeddedPostgres(tmp_path / "postgres", settings={**SMALL, "shared_buffers": "plenty"})
    try:
        with pytest.raises(ChildFailed, match=r"(?s)invalid value.*Correct the value"):
            server.start()
    finally:
        server.destroy()


def test_any_directory_name_will_do(tmp_path: Path) -> None:
    """Spaces, umlauts, quotes and a path beyond the kernel's 107 bytes for a socket."""
    directory = tmp_path / ("ä ö ü " + "x" * 100) / 'it\'s "deep"'
    server = EmbeddedPostgres(directory / "postgres", settings=SMALL)
    try:
        server.start()
        assert query(server, "SELECT 1", server.socket_url) == [(1,)]
        with EmbeddedRedis(directory / "redis") as broker:
            assert count(broker, "key") == 1
    finally:
        server.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has directories that its own server cannot enter")
def test_root_can_use_a_directory_that_is_closed_to_others(tmp_path: Path) -> None:
    """PostgreSQL refuses root: it runs as nobody, with its data elsewhere, and no mode of ours is changed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "postgres", settings=SMALL)
    try:
        server.start()
        assert query(server, "SELECT 1") == [(1,)]
        assert closed.stat().st_mode & 0o777 == 0o700
        assert (closed / "postgres/location").read_text() == str(server.pgdata.parent)
    finally:
        home = server.pgdata.parent
        server.destroy()
    assert not home.exists()


def test_redis_keeps_its_data_over_restart_and_kill(tmp_path: Path) -> None:
    """The append-only file brings everything back after an orderly stop."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        assert count(server, "key") == 1
        server.restart()
        assert count(server, "key") == 2
        server.kill()
        server.start()
        assert count(server, "key") == 3


def test_redis_asks_for_its_password_and_hides_it(tmp_path: Path) -> None:
    """The password is needed, and stands on no command line."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        assert server.process is not None
        arguments = psutil.Process(server.process.pid).cmdline()
        assert not any(server.address.password in argument for argument in arguments)
        with (
            redis.Redis(port=server.address.port) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_without_a_redis_the_stand_in_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no Redis at all still gets one that answers a real client."""
    monkeypatch.setattr(embedded_redis, "find_program", lambda: None)
    with EmbeddedRedis(tmp_path / "redis") as server:
        assert count(server, "key") == 1
        assert sys.executable in server.child().argv
