"""What README.md and docs/your-data.md show is typed word for word, on the stack that `predictq up` starts by itself.

Each `$` line of a page is run in its order. It must succeed and say what the page shows; numbers may be others.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import create_engine, text

from tests.e2e.support import Up, environment, running_up

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).resolve().parents[2]
PLAN = ("--workers", "1", "--no-flower")
TRAIN = "predictq example train motor_claims --output models --files-only"
SECONDS = 300  # for one command: training takes a minute on a machine that is busy
ANY = "…"  # a line of a page: whatever is said here

_BLOCKS = re.compile(r"^```console\n([\s\S]*?)^```$|((?:^ {4}.*\n)+)", re.MULTILINE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VARIES = (
    (_UUID, "ID"),
    (re.compile(r"SHA-256 [0-9a-f]+"), "SHA-256 X"),
    (re.compile(r"\S+@\S+/[0-9]+"), "WORKER"),
    (re.compile(r"[0-9][0-9.,]*(e-[0-9]+)?"), "0"),
    (re.compile(r"(No|Yes),0"), "LABEL,0"),
)


@dataclass(frozen=True)
class Command:
    """A line that a person types, and what the page shows of its answer."""

    typed: str
    shown: list[str]


def session(page: str, *, until: str = "") -> list[Command]:
    """The commands of a page up to a heading, from its blocks of code."""
    whole = (ROOT / page).read_text(encoding="utf-8")
    found: list[Command] = []
    for fenced, indented in _BLOCKS.findall(whole.partition(until)[0] if until else whole):
        lines = (fenced or textwrap.dedent(indented)).splitlines()
        if not lines[0].startswith("$ "):
            continue
        for line in lines:
            if line.startswith("$ "):
                found.append(Command(line.removeprefix("$ "), []))
            else:
                found[-1].shown.append(line)
    return found


def masked(line: str) -> str:
    """A line without what differs from machine to machine."""
    for varies, word in _VARIES:
        line = varies.sub(word, line)
    return " ".join(line.split())


def run_page(up: Up, commands: list[Command], models: Path) -> None:
    """Type all commands; those that name a job of the page mean the one that was made here."""
    made: dict[str, str] = {}
    for command in commands:
        typed = command.typed
        if typed == TRAIN and models.exists():
            shutil.copytree(models, up.directory / "models")  # each page trains the same ones
            continue
        for on_page, here in made.items():
            typed = typed.replace(on_page, here)
        words = shlex.split(typed)
        if words[0] == "predictq":
            result = subprocess.run(
                [str(Path(up.process.args[0])), *words[1:]],  # type: ignore[index]
                cwd=up.directory, env=environment(), capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
        else:
            result = subprocess.run(words, cwd=up.directory, capture_output=True, text=True, timeout=SECONDS)
        said = result.stdout + result.stderr
        assert result.returncode == 0, f"{typed}\n{said}"
        heard = [masked(line) for line in said.splitlines()]
        for line in command.shown:
            assert line.strip() == ANY or masked(line) in heard, f"{typed}\nshown: {line}\nsaid:\n{said}"
        jobs = [re.search(rf"^job ({_UUID.pattern})", each, re.MULTILINE) for each in ("\n".join(command.shown), said)]
        if jobs[0] and jobs[1]:
            made[jobs[0][1]] = jobs[1][1]
        if typed == TRAIN:
            shutil.copytree(up.directory / "models", models)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are kept that the first page has trained."""
    return tmp_path_factory.mktemp("trained") / "models"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Up]:
    """A fresh stack on servers of its own."""
    with running_up(tmp_path, *PLAN) as up:
        yield up


def write_colleagues_file(path: Path) -> None:
    """The workbook that docs/your-data.md is sent."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Feuil1"
    sheet.append(["Police", "Nom", "Remarque"])
    for number in range(1, 1205):
        sheet.append([f"P-{number:08}", f"Nom {number}", None if number % 7 else "à rappeler"])
    book.save(path)


def test_readmes_session_works_word_for_word(stack: Up, models: Path) -> None:
    """The first part of README.md: from a table in `crm` to answers, without a GRANT."""
    commands = session("README.md", until="## The sample")
    assert [command.typed.split()[1] for command in commands].count("sources") == 1
    assert len(commands) == 9
    run_page(stack, commands, models)


def test_a_table_of_her_own_is_a_source_at_once(stack: Up) -> None:
    """In any schema, and made again as pandas does: read without a GRANT; predictq's own tables stay closed."""
    engine = create_engine(stack.state["database_url"])
    make = "CREATE TABLE {0} (no integer PRIMARY KEY, age integer); INSERT INTO {0} VALUES (1, 40)"
    for table in ("public.subscribers", 'sales."Deals"'):
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS sales"))
            connection.execute(text(make.format(table)))
        assert stack.ask("sources", "add", f"of {len(table)}", "--table", table)["found"]["rows"] == 1
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE public.subscribers"))
        connection.execute(text(make.format("public.subscribers")))
    assert stack.ask("sources", "check", "of 18")["changes"] == []
    asked = ("--timeout", "90.5", "--lock-timeout", "2", "--connect-timeout", "4")
    stack.ask("sources", "add", "patient", "--table", "public.subscribers", *asked)
    stack.ask("sources", "check", "patient")
    settings = stack.ask("sources", "show", "patient")["settings"]
    assert settings.items() >= {"statement_seconds": 90.5, "lock_seconds": 2, "connect_seconds": 4}.items()
    assert "a reading 90.5 s, a lock 2 s, a connection 4 s" in stack.run("sources", "show", "patient").stderr
    assert stack.run("sources", "add", "x", "--table", "public.subscribers", "--timeout", "601").returncode == 2
    assert "may not read" in stack.refused("sources", "add", "keys", "--table", "predictq.api_keys")
    engine.dispose()


def test_the_page_of_your_data_works_word_for_word(stack: Up, models: Path) -> None:
    """docs/your-data.md from its first line to its last."""
    write_colleagues_file(stack.directory / "clients.xlsx")
    commands = session("docs/your-data.md")
    assert len(commands) == 17
    run_page(stack, commands, models)


def test_the_second_example_comes_up_by_itself(tmp_path: Path) -> None:
    """`predictq up --example motor_claims`: its data, its source and its three models, live."""
    with running_up(tmp_path, *PLAN, "--example", "motor_claims", "--rows", "500") as up:
        live = {model["name"]: model["task"] for model in up.ask("models")}
        assert live == {"churn": "binary", "severity": "regression", "risk": "multiclass"}
        assert up.ask("predict", "P-00000017", "--model", "severity", "--wait")["status"] == "succeeded"
