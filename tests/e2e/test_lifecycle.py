"""Starting and stopping: the demonstration, Ctrl-C at any time, and servers of one's own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, make_url, text

from devstack.stack_servers import delete_data
from tests.e2e.support import command_of, predictq, running_up, stop
from tests.support import wait_until

ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def test_the_demonstration_shows_the_whole_way_and_leaves_nothing(tmp_path: Path) -> None:
    """In a directory of any name, with an empty home: a prediction, a bulk job with its rate, a trace; exit 0."""
    directory = tmp_path / "any name, até ünïcode"
    directory.mkdir()
    before = {process.pid for process in psutil.process_iter()}
    result = predictq(directory, "demo", "--clients", "10000", HOME=str(tmp_path / "no home"))
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in (
        "probability",
        "threshold",
        "label",
        "10,000 of 10,000 scored",
        "rows/s",
        "monthly_income=",
        "age=",
    ):
        assert expected in result.stdout
    assert list((directory / ".predictq").iterdir()) == []
    left = [
        process for process in psutil.process_iter()
        if process.pid not in before and str(directory) in " ".join(command_of(process))
    ]  # fmt: skip
    assert left == []


def test_a_stop_while_it_starts_leaves_no_process_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of the start is obeyed at once, and whatever was started is stopped."""
    with running_up(tmp_path, "--workers", "1", wait=False) as up:
        wait_until(lambda: up.children_named("api"), seconds=60, what="the gateway")
        assert stop(up, signal.SIGINT) == 130


def test_own_servers_are_used_and_left_running(
    tmp_path: Path, make_database: Callable[..., str], redis_url: str
) -> None:
    """With DATABASE_URL and REDIS_URL set no server of ours is started, and Ctrl-C stops only what we started."""
    database_url = make_database(migrated=False)
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with running_up(tmp_path, "--workers", "1", "--no-flower", "--json", **urls) as up:
        assert not (tmp_path / ".predictq" / "postgres").exists()
        assert up.state["database_url"] == database_url
        assert "no-live-model" not in up.refused("predict", "1")
        assert up.ask("example", "load", "hr_attrition", "--rows", "3", **urls)["first_id"] == 1
        assert up.ask("example", "train", "hr_attrition")[-1]["is_live"]
        assert up.ask("predict", "1", "--wait")["status"] == "succeeded"
        assert stop(up, signal.SIGINT) == 0
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq_data.clients")).scalar_one() == 3
    engine.dispose()


def test_a_restart_keeps_clients_and_key(tmp_path: Path) -> None:
    """What was loaded yesterday is there today, under the same key, in a terminal of ASCII, too; nothing is added."""
    plan = ("--workers", "1", "--no-flower")
    with running_up(tmp_path, *plan, delete=False) as up:
        key = up.state["api_key"]
        up.ask("example", "load", "hr_attrition", "--rows", "2")
        assert "No model is live yet" in up.log.read_text()
        assert "No model is live" in up.refused("predict", "1")
        assert stop(up, signal.SIGTERM) == 0
        assert "stopped" in up.log.read_text()
    with running_up(tmp_path, *plan, **ASCII) as up:
        assert "+ gateway" in up.log.read_text()
        assert up.state["api_key"] == key
        assert up.ask("example", "load", "hr_attrition", "--rows", "1")["first_id"] == 3


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg2://a:b@127.0.0.1:1/c", "start it, or correct DATABASE_URL"),
        ("postgresql+psycopg2://a:b@/c?host=/nowhere", "start it, or correct DATABASE_URL"),
    ],
)
def test_up_says_in_a_line_that_the_database_is_away(tmp_path: Path, url: str, said: str) -> None:
    """No traceback, nothing left running."""
    assert said in refusal_of_up(tmp_path, url)


@pytest.mark.parametrize(
    ("before", "change", "said"),
    [
        ("SELECT 1", {"password": "wr/ong"}, "correct user and password"),
        ("CREATE SCHEMA predictq; CREATE TABLE predictq.jobs (mine int)", {}, "what is not predictq's (jobs)"),
    ],
    ids=["password", "a stranger's table"],
)
def test_up_says_in_a_line_why_a_database_is_not_taken(
    make_database: Callable[..., str], tmp_path: Path, before: str, change: dict[str, str], said: str
) -> None:
    """As `migrate` does, without the password."""
    url = make_url(make_database(migrated=False))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(before))
    engine.dispose()
    line = refusal_of_up(tmp_path, url.set(**change).render_as_string(hide_password=False))  # type: ignore[arg-type]
    assert said in line
    assert "wr/ong" not in line


def refusal_of_up(directory: Path, url: str) -> str:
    """The one line that `up` ends with on this database."""
    result = predictq(directory, "up", DATABASE_URL=url)
    assert (result.returncode, result.stdout) == (1, "")
    # As root, servers that cannot enter the directory say where their data are instead.
    lines = [line for line in result.stderr.splitlines() if " is closed to the account of the servers: " not in line]
    assert len(lines) == 1, result.stderr
    delete_data(directory / ".predictq")
    return lines[0]
