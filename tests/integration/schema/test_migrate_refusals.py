"""What stands in the way of `migrate` and `up` is one line that says what to do, and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

NEWER = """CREATE SCHEMA predictq; CREATE TABLE predictq.alembic_version (version_num text);
INSERT INTO predictq.alembic_version VALUES ('pages_9999')"""
COMMANDS = {"migrate": ["cli", "migrate"], "python -m sql": ["sql"]}


def run(command: list[str], database_url: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(
        [sys.executable, "-P", "-m", *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stdout) == (1, ""), result.stdout + result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 1}, "PostgreSQL does not answer"),
        ({"password": "wrong"}, "password authentication failed"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
    ],
    ids=["away", "password", "no database"],
)
def test_a_server_that_does_not_let_us_in_is_named(
    make_database: Callable[..., str], tmp_path: Path, command: list[str], change: dict[str, object], said: str
) -> None:
    """The server's own words in one line, without the password; the command line adds what to do."""
    url = make_url(make_database(migrated=False)).set(**change)  # type: ignore[arg-type]
    line = one_line(run(command, url.render_as_string(hide_password=False), tmp_path))
    assert said in line
    assert str(url.password) not in line.replace("password", "")
    if command[0] == "cli":
        advice = {"port": "start it", "password": "correct user and password", "database": "createdb"}
        assert advice[next(iter(change))] in line


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("CREATE SCHEMA predictq; CREATE TABLE predictq.jobs (mine int)", "what is not predictq's (jobs): use another"),
        ("CREATE SCHEMA predictq; CREATE VIEW predictq.a_view AS SELECT 1", "what is not predictq's (a_view)"),
        (NEWER, "at schema pages_9999, which this release does not know"),
    ],
    ids=["table", "view", "newer"],
)
def test_what_a_stranger_made_is_named_and_left(
    make_database: Callable[..., str], tmp_path: Path, command: list[str], before: str, said: str
) -> None:
    """Nothing of a stranger's is touched, and nothing of ours is left beside it."""
    url = make_database(migrated=False)
    engine = create_engine(url)
    everything = text("SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'predictq%'")
    with engine.begin() as connection:
        connection.execute(text(before))
        count = connection.execute(everything).scalar_one()
    assert said in one_line(run(command, url, tmp_path))
    with engine.connect() as connection:
        assert connection.execute(everything).scalar_one() == count
    engine.dispose()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_server_that_takes_no_writes_is_told(
    make_database: Callable[..., str], tmp_path: Path, command: list[str]
) -> None:
    """The server's words, and what to do."""
    url = make_database(migrated=False)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {make_url(url).database} SET default_transaction_read_only = on"))
    engine.dispose()
    assert "read-only" in one_line(run(command, url, tmp_path))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_database_that_cannot_hold_every_text_is_refused(
    make_database: Callable[..., str], tmp_path: Path, command: list[str]
) -> None:
    """One without an encoding, as `initdb` makes where no language is set, is named with what makes a right one."""
    url = make_url(make_database(migrated=False))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    name = f"{url.database}_ascii"
    with engine.connect() as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        )
        try:
            line = one_line(run(command, url.set(database=name).render_as_string(hide_password=False), tmp_path))
        finally:
            connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()
    assert f"createdb --encoding=UTF8 --template=template0 {name}" in line
