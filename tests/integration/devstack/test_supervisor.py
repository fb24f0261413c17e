"""The supervisor over real PostgreSQL and Redis, in this process and in one that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from devstack.errors import ChildFailed
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from devstack.supervision.child import Child
from devstack.supervision.recovery import Event
from devstack.supervision.supervisor import Supervisor

SETTINGS = {"shared_buffers": "16MB", "fsync": "off"}
STACK = """
import sys
from pathlib import Path
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from devstack.supervision.supervisor import StopRequested, Supervisor

def tell(name, event, detail):
    print(event, name, flush=True)

directory = Path(sys.argv[1])
settings = {"shared_buffers": "16MB", "fsync": "off"}
try:
    with Supervisor(tell) as supervisor:
        supervisor.start(EmbeddedPostgres(directory / "postgres", settings=settings).child())
        supervisor.start(EmbeddedRedis(directory / "redis").child())
        print("up", flush=True)
        supervisor.run_until_signal()
except StopRequested as stop:
    print("down", stop.number.name, flush=True)
"""


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres", settings=SETTINGS)
    yield server
    server.destroy()


@pytest.fixture
def stack(tmp_path: Path, postgres: EmbeddedPostgres) -> Iterator["subprocess.Popen[str]"]:
    """A supervisor in a session of its own, as in a terminal, over the directory of `postgres`."""
    command = [sys.executable, "-c", STACK, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def eventually(holds: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def lines_until(process: "subprocess.Popen[str]", last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1] == last:
            return lines
    raise AssertionError(f"ended without {last!r}: {lines}")


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def answers(server: EmbeddedPostgres) -> bool:
    try:
        psycopg2.connect(server.url.replace("+psycopg2", "")).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_killed_server_comes_back_at_the_same_address(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    """PostgreSQL and Redis are children like any other: a crash is noticed, told and healed."""
    told: list[tuple[str, Event]] = []
    broker = EmbeddedRedis(tmp_path / "redis")
    others = psutil.Process().children()  # the servers that other tests use
    with Supervisor(lambda name, event, _detail: told.append((name, event))) as supervisor:
        supervisor.start(postgres.child())
        supervisor.start(broker.child())
        urls = postgres.url, broker.url
        for head in psutil.Process().children():
            if head not in others and head.name() in {"postgres", "valkey-server"}:
                head.kill()
        eventually(lambda: told.count(("postgres", Event.READY)) == 2)
        eventually(lambda: told.count(("redis", Event.READY)) == 2)
        assert ("postgres", Event.CRASHED) in told
        assert (postgres.url, broker.url) == urls
        assert answers(postgres)
        with redis.Redis.from_url(broker.url) as client:
            assert client.ping()
    assert told[-2:] == [("postgres", Event.STOPPING), ("postgres", Event.STOPPED)]


def test_nothing_survives_a_supervisor_that_is_killed(
    stack: "subprocess.Popen[str]", postgres: EmbeddedPostgres
) -> None:
    """SIGKILL leaves no process behind, and the next start finds its way."""
    lines_until(stack, "up")
    children = family(stack)
    assert {"postgres", "valkey-server"} <= {child.name() for child in children}
    stack.kill()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []
    postgres.start()
    assert answers(postgres)


def test_a_start_right_after_the_supervisor_was_killed_waits_for_the_old_server(
    stack: "subprocess.Popen[str]", postgres: EmbeddedPostgres
) -> None:
    """The server of a killed supervisor is stopped safely, also when it cannot stop by itself in time."""
    lines_until(stack, "up")
    stack.kill()
    stack.wait()
    postgres.start()
    assert answers(postgres)


def test_ctrl_c_stops_in_reverse_order(stack: "subprocess.Popen[str]") -> None:
    """The terminal signals its whole foreground group; the servers are stopped by the supervisor, in order."""
    lines_until(stack, "up")
    children = family(stack)
    os.killpg(stack.pid, signal.SIGINT)
    told = lines_until(stack, "down SIGINT")
    assert told[:-1] == ["stopping redis", "stopped redis", "stopping postgres", "stopped postgres"]
    assert stack.wait(timeout=10) == 0
    assert not any(child.is_running() for child in children)


def test_a_signal_ends_what_is_going_on_and_a_second_one_forces(tmp_path: Path) -> None:
    """Ctrl-C during a long step gets out of it; one more does not wait for a deaf child."""
    deaf = tmp_path / "deaf"
    code = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(deaf)!r}, 'w'); time.sleep(60)"
    child = Child(
        "deaf", [sys.executable, "-c", code], dict(os.environ), tmp_path / "log", deaf.exists, stop_timeout=250
    )

    def tell(_name: str, event: Event, _detail: str) -> None:
        if event is Event.STOPPING:
            os.kill(os.getpid(), signal.SIGTERM)

    def long_step() -> None:
        with Supervisor(tell) as supervisor:
            supervisor.start(child)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        long_step()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_child_that_fails_to_start_takes_nothing_else_down(tmp_path: Path) -> None:
    """The error reaches the caller, and the block stops whatever had been started."""
    flag = tmp_path / "flag"
    code = f"import time; open({str(flag)!r}, 'w'); time.sleep(60)"
    good = Child("good", [sys.executable, "-c", code], dict(os.environ), tmp_path / "good", flag.exists)
    bad = Child("bad", [sys.executable, "-c", "1/0"], dict(os.environ), tmp_path / "bad", lambda: False)
    with Supervisor() as supervisor:
        supervisor.start(good)
        with pytest.raises(ChildFailed, match="ZeroDivisionError"):
            supervisor.start(bad)
    assert [child for child in psutil.Process().children() if str(flag) in _command_line(child)] == []


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):  # ended, and only waiting to be collected
        return ""
