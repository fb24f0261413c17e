"""The small parts of the embedded stack, without its servers."""

import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from devstack.errors import (
    AlreadyRunning,
    ChildFailed,
    NotPrepared,
    NotRunning,
    NotWritable,
    PortTaken,
    UserUnnamed,
)
from devstack.files import make_private_directory, write_private
from devstack.lock import is_held
from devstack.servers.accounts import Account, can_enter, unprivileged_account
from devstack.servers.ports import free_port, is_free
from devstack.servers.postgres_settings import default_settings, render
from devstack.servers.redis import EmbeddedRedis
from devstack.state import StackState, StateDirectory, load_state
from devstack.supervision.child import Child
from devstack.supervision.process import ChildProcess
from devstack.supervision.recovery import LONGEST_DELAY, Event, WatchedChild

STATE = StackState(os.getpid(), "postgresql://", "redis://", "http://127.0.0.1:1", "pq_key")


def python_child(tmp_path: Path, code: str, ready: Callable[[], bool] = lambda: True) -> Child:
    return Child("worker", [sys.executable, "-c", code], dict(os.environ), tmp_path / "worker.log", ready)


def test_a_second_stack_is_refused_and_a_third_party_finds_the_first(tmp_path: Path) -> None:
    """One stack per directory; its state is private, complete, and gone when it stops."""
    directory = tmp_path / "my stack"
    with StateDirectory(directory) as state:
        state.publish(STATE)
        assert load_state(directory) == STATE
        assert (directory / "stack.json").stat().st_mode & 0o777 == 0o600
        with pytest.raises(AlreadyRunning) as refused:
            StateDirectory(directory).acquire()
        assert refused.value.pid == os.getpid()
    with pytest.raises(NotRunning, match="predictq up"):
        load_state(directory)


def test_the_state_of_a_dead_stack_is_not_believed(tmp_path: Path) -> None:
    """What a killed supervisor left behind leads nobody astray."""
    with StateDirectory(tmp_path) as state:
        state.publish(STATE)
        left = (tmp_path / "stack.json").read_text()
    (tmp_path / "stack.json").write_text(left)
    with pytest.raises(NotRunning):
        load_state(tmp_path)


def test_asking_for_a_stack_does_not_keep_one_from_starting(tmp_path: Path) -> None:
    """Whoever asks holds the lock for a moment: a start in that moment waits for it to end."""
    (tmp_path / "lock").touch()
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(lambda: [is_held(tmp_path) for _ in range(3000)])
        for _ in range(100):
            with StateDirectory(tmp_path):
                pass
        asking.result()


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    """Nobody else reads it and no temporary file stays."""
    path = tmp_path / "secret"
    write_private(path, "old")
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("user", "logs", "data"), [(0, 0o700, 0o711), (1000, 0o700, 0o700)])
def test_only_roots_way_to_the_servers_data_can_be_passed_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, logs: int, data: int
) -> None:
    """PostgreSQL and Redis of root run as somebody else, and come through to their data: not to the logs."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    make_private_directory(tmp_path / "logs", is_on_the_way=False)
    make_private_directory(tmp_path / "postgres")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("logs", "postgres")]
    assert modes == [logs, data]


def test_an_account_enters_only_where_every_directory_lets_it(tmp_path: Path) -> None:
    """One closed directory anywhere above is enough to keep it out; the owner comes in."""
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    status = closed.stat()
    assert can_enter(Path("/"), Account(4_000_000, 4_000_000))
    assert not can_enter(closed / "open", Account(4_000_000, 4_000_000))
    assert can_enter(closed / "open", Account(status.st_uid, status.st_gid))


def test_a_user_without_a_name_is_told_so_before_initdb_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container started under a bare user id gets a way out, not initdb's words."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(UserUnnamed, match="DATABASE_URL"):
        unprivileged_account(tmp_path / "pgdata")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error says which directory, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable, match="another directory"):
        StateDirectory(tmp_path / "file" / "stack").acquire()


def test_settings_are_quoted(tmp_path: Path) -> None:
    """A path with a quote cannot end its value and begin another setting."""
    assert "name = 'it''s a \\\\ path'\n" in render({"name": "it's a \\ path"})
    assert int(default_settings()["shared_buffers"].removesuffix("MB")) <= 1024


def test_a_taken_port_is_told_at_once(tmp_path: Path) -> None:
    """Asking for a port that is in use is an error; otherwise a free one is chosen and then remembered."""
    with EmbeddedRedis(tmp_path / "one") as server:
        port = server.address.port
        assert not is_free(port)
        with pytest.raises(PortTaken, match=str(port)):
            EmbeddedRedis(tmp_path / "two", port=port).prepare()
    assert is_free(port)
    assert free_port() != free_port()


def test_an_address_is_not_made_up(tmp_path: Path) -> None:
    """Asking for a URL before it is chosen is an error that says what to do."""
    with pytest.raises(NotPrepared, match=r"prepare\(\)"):
        _ = EmbeddedRedis(tmp_path).url


def test_a_child_that_ends_while_starting_shows_its_log_and_the_fix(tmp_path: Path) -> None:
    """The error alone is enough to know what happened."""
    child = python_child(tmp_path, "print('disk is full'); raise SystemExit(3)", lambda: False)
    process = ChildProcess(Child(**{**vars(child), "advice": {"disk is full": "Free some space."}}))
    with pytest.raises(ChildFailed, match=r"(?s)worker ended with status 3.*disk is full.*Free some space"):
        process.start()


def test_a_child_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    """A start that takes too long leaves nothing running."""
    process = ChildProcess(python_child(tmp_path, "import time; time.sleep(60)", lambda: False))
    with pytest.raises(ChildFailed, match=r"not ready within 0\.2 s"):
        process.start(timeout=0.2)
    assert not process.is_running


def test_a_stranger_on_the_port_is_asked_for_nothing(tmp_path: Path) -> None:
    """Whoever took the port before the child did is not taken for it, and gets no password and no key."""
    asked: list[str] = []

    def ready() -> bool:
        asked.append("with the password")
        return True

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        child = replace(python_child(tmp_path, "import time; time.sleep(60)", ready), port=port)
        with pytest.raises(ChildFailed, match="not ready within"):
            ChildProcess(child).start(timeout=0.5)
        assert asked == []
        watched = WatchedChild(replace(child, port=None), lambda *_: None)
        watched.start(0.0, timeout=10)
        asked.clear()
        watched.process.child = child
        assert not watched.process.is_ready()
        assert asked == []
        watched.process.stop()


def test_a_child_is_ready_once_it_listens_on_its_port(tmp_path: Path) -> None:
    """Then it is asked."""
    port = free_port()
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    process = ChildProcess(replace(python_child(tmp_path, code), port=port))
    process.start()
    assert not is_free(port)
    process.stop()


def test_a_child_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    """Stopping always ends."""
    flag = tmp_path / "deaf"
    code = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(flag)!r}, 'w'); time.sleep(60)"
    process = ChildProcess(python_child(tmp_path, code, flag.exists))
    process.start()
    process.stop(hurry=lambda: True)
    assert process.exit_status() == -9


def test_a_child_that_keeps_crashing_is_restarted_ever_more_slowly_and_reported_once(tmp_path: Path) -> None:
    """The delay doubles from 1 s to 30 s; the fifth crash in a row is reported with the log."""
    now, told = 0.0, list[tuple[Event, str]]()
    child = python_child(tmp_path, "print('no licence'); raise SystemExit(1)")
    watched = WatchedChild(child, lambda _name, event, detail: told.append((event, detail)))
    watched.start(now, timeout=10)
    for _ in range(7):
        assert watched.process.popen is not None
        watched.process.popen.wait()
        watched.check(now)
        now += 30.0
        watched.check(now)
    delays = [detail.rsplit(" in ", 1)[1] for event, detail in told if event is Event.CRASHED]
    assert delays == ["1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "30 s"]
    assert ["no licence" in detail for event, detail in told if event is Event.FAILING] == [True]
    watched.process.stop()


def test_a_minute_of_health_is_forgiven(tmp_path: Path) -> None:
    """A crash after a long good run starts at the shortest delay again."""
    told: list[str] = []
    child = python_child(tmp_path, "raise SystemExit(1)")
    watched = WatchedChild(child, lambda _name, _event, detail: told.append(detail))
    watched.start(0.0, timeout=10)
    for started, crashed in ((0.0, 1.0), (30.0, 100.0)):
        watched.check(started)
        assert watched.process.popen is not None
        watched.process.popen.wait()
        watched.check(crashed)
    assert [detail.rsplit(" in ", 1)[1] for detail in told if detail] == ["1 s", "1 s"]
    watched.process.stop()


def test_a_child_that_crashes_all_night_is_started_all_night(tmp_path: Path) -> None:
    """The pause grows to half a minute, and no further; nor does it matter whether anybody reads what is told."""

    def nobody_reads(*_: object) -> None:
        raise SystemExit(1)  # as rich does where a pipe is broken

    watched = WatchedChild(python_child(tmp_path, "raise SystemExit(1)"), nobody_reads)
    watched.start(0.0, timeout=10)
    for _ in range(1_100):
        watched._crashed(0.0, "ended")
    assert watched._restart_at == LONGEST_DELAY
    watched.process.stop()
