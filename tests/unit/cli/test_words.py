"""What the command line says and understands, without a stack."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.arguments.conditions import read_condition
from cli.arguments.moments import moment_ago, moment_ahead
from cli.commands.again import _listed
from cli.commands.clients import _show_plan
from cli.commands.jobs import _rows
from cli.commands.models.registry import next_step
from cli.commands.operating.workers import _row as worker_row
from cli.commands.stored.holds import _what as held
from cli.commands.submit import bulk
from cli.demo import demo_directory
from cli.errors import UsageProblem
from cli.output import progress as progress_module
from cli.output.check_text import check_lines
from cli.output.job_text import answer_text, cause_lines, client_text, counts_text, job_line, summary_lines, trace_lines
from cli.output.progress import progress
from cli.table_import import Plan
from cli.table_upload import _pair, kept_words
from devstack.start_work import StartWork, StartWorkFailed
from shared.files.column_types import Dress
from shared.files.csv_table import CsvTable
from shared.files.table import Column, infer
from tests.support import ROOT, loaded_of


def test_no_command_waits_for_the_libraries_of_another() -> None:
    """What is imported to understand a command line is little: the rest is imported by who needs it."""
    heavy = "httpx sqlalchemy psycopg2 redis celery fastapi pydantic cryptography numpy pandas pyarrow sklearn"
    assert loaded_of(heavy, by="cli.main") == ""


def predictq(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DATABASE_URL", "REDIS_URL", "PREDICTQ_API_URL", "PREDICTQ_API_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | variables
    command = [sys.executable, "-P", "-m", "cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("pairs", "condition"),
    [
        (["department=Sales"], {"department": "Sales"}),
        (["age=41", "over_time=true"], {"age": "41", "over_time": "true"}),
        (["age=41", "age=42"], {"age": ["41", "42"]}),
        (["age>=30", "age < 40"], {"age": {"gte": "30", "lt": "40"}}),
        (["age=null"], {"age": None}),
        (["department=Research & Development"], {"department": "Research & Development"}),
        (["gender="], {"gender": ""}),
        (['word="null"', 'word=" a "', 'word="5"'], {"word": ["null", " a ", "5"]}),
        (
            ["word=grippe ", "word= grippe", "word = grippe ", "word= "],
            {"word": ["grippe ", " grippe", "grippe ", " "]},
        ),
        (['"a=b"=3', '"x>=y" <= 4', '"say \\"a\\""=1'], {"a=b": "3", "x>=y": {"lte": "4"}, 'say "a"': "1"}),
        (['word="', 'word="a" and "b"', 'word=""'], {"word": ['"', '"a" and "b"', ""]}),
    ],
)
def test_filters_are_read_as_typed_values(pairs: list[str], condition: dict[str, Any]) -> None:
    """Null is no value; others go as they are written, true and 41 too: the column says what they are."""
    assert read_condition(pairs) == condition


def test_a_column_of_a_file_is_said_with_its_feature() -> None:
    """A name with a sign in it stands in double quotes."""
    said = ["age=Âge du client", '"a=b"=x=y', "b = c"]
    assert dict(map(_pair, said)) == {"age": "Âge du client", "a=b": "x=y", "b": "c"}
    with pytest.raises(UsageProblem, match="write it as NAME=COLUMN"):
        _pair("age")


@pytest.mark.parametrize("pair", ["department", "=Sales"])
def test_a_filter_that_is_none_shows_an_example(pair: str) -> None:
    """The error shows how a filter is written."""
    with pytest.raises(UsageProblem, match="tariff=basic"):
        read_condition([pair])


@pytest.mark.parametrize("pair", ["région!=Corse", "age<>3"])
def test_a_comparison_that_there_is_not_is_named_beside_those_that_there_are(pair: str) -> None:
    """Before it is taken for the name of a column."""
    with pytest.raises(UsageProblem, match=r"there is no (!=|<>); a column is compared by =, >=, >, <= or <"):
        read_condition([pair])


def test_the_ending_of_a_file_of_results_says_what_is_written(tmp_path: Path) -> None:
    """One that nobody knows is refused with those that are known, before anything is asked for."""
    told = predictq("results", "x", "-o", "tout.xls", cwd=tmp_path)
    assert told.returncode == 2
    assert ".csv, .ndjson, .jsonl, .parquet, .arrow, .feather, .xlsx" in told.stderr
    lost = predictq("results", "x", "-o", "nulle/part/x.csv", cwd=tmp_path)
    assert (lost.returncode, "-o nulle/part/x.csv: there is no folder nulle/part" in lost.stderr) == (2, True)
    errors = predictq("results", "x", "--errors", "only", "-o", "tout.xlsx", cwd=tmp_path)
    assert (errors.returncode, "with --errors the file is one of .csv, .ndjson" in errors.stderr) == (2, True)
    table = tmp_path / "tout.csv"
    table.write_text('request_id,error_detail\n1-0,"two\nlines"\n1-1,\n')
    assert _rows(table, ".csv") == 2


def test_a_version_that_cannot_go_live_is_not_offered_for_it() -> None:
    """What to do first is said in place of a command that would be refused."""
    lacking = next_step("churn:1", "clients", ["the source lacks 2 of the model's features: 'region'"])
    assert "cannot go live" in lacking
    assert "predictq sources check clients" in lacking
    assert next_step("churn:1", "clients", []).startswith("See what it makes of real rows: predictq models check")


def test_a_flag_is_shown_as_one(tmp_path: Path) -> None:
    """What seems to take a value gets one, which is then taken for a client."""
    told = predictq("predict", "--help", cwd=tmp_path)
    assert "--wait" in told.stdout
    assert "bool" not in told.stdout


def job(**changes: Any) -> dict[str, Any]:
    counts = {"total": 3000, "succeeded": 2990, "failed": 10, "cancelled": 0}
    times = {"created_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:00:02+00:00"}
    return {"id": "j", "kind": "bulk", "status": "succeeded", "request_counts": counts, **times, **changes}


def test_a_job_says_why_rows_failed() -> None:
    """By cause, with one row's words and the command that shows all; what has none says nothing."""
    errors = [
        {"code": "missing_feature", "count": 3270, "samples": [{"request_id": "1-0", "detail": "no column solde"}]}
    ]
    assert cause_lines(errors, "j") == [
        "  3,270 missing_feature: no column solde",
        "  All of them: predictq results j --errors only",
    ]
    assert cause_lines([], "j") == []


def test_a_job_says_which_values_its_model_did_not_know() -> None:
    """They were scored, so nothing else tells of them."""
    unknown = [{"feature": "city", "count": 1_200}, {"feature": "[b]", "count": 1}]
    line = "  1,201 values are no categories that the model learnt, and scored as none of them: city (1,200), \\[b] (1)"
    assert summary_lines({"errors": [], "unknown_categories": unknown}, "j") == [line]
    assert summary_lines({"errors": [], "unknown_categories": unknown[1:]}, "j")[0].startswith("  1 value is")
    assert summary_lines(None, "j") == []


def test_an_answer_says_which_categories_its_model_did_not_know() -> None:
    """At the terminal as in the API, of a single job and of a trace; nothing of an answer without such."""
    result = {"client_id": 5, "value": 4.5, "model": "sales", "model_version": 1, "unknown_categories": ["[city]"]}
    said = job_line(job(kind="single", request_id="7-0", result=result))
    line = "\\[city]: no category that the model learnt, and scored as none of them"
    assert said.splitlines()[1:] == [f"  {line}"]
    two = job_line(job(kind="single", request_id="7-0", result={**result, "unknown_categories": ["a", "b"]}))
    assert two.splitlines()[1] == "  a, b: no categories that the model learnt, and scored as none of them"
    assert "\n" not in job_line(job(kind="single", request_id="7-0", result={**result, "unknown_categories": None}))


def test_jobs_in_words() -> None:
    """A bulk job tells its counts and rate, a single one its answer, its error, or that it waits."""
    assert counts_text(job()) == "2,990 of 3,000 scored, 10 failed in 2.0 s (1,500 rows/s)"
    assert counts_text(job(finished_at=None)) == "2,990 of 3,000 scored, 10 failed"
    uncounted = {"total": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    assert job_line(job(status="cancelled", request_counts=uncounted)).endswith(": its rows were not counted yet")
    answer = {"client_id": 5, "probability": 0.75, "threshold": 0.5, "label": 1, "model": "churn", "model_version": 2}
    assert "client 5: probability 0.7500 ≥ threshold 0.5000" in job_line(
        job(kind="single", request_id=1, result=answer)
    )
    assert "age is missing" in job_line(job(kind="single", request_id=1, error={"detail": "age is missing"}))
    assert job_line(job(kind="single", status="queued", request_id=7)) == "job j queued, request 7"


def test_a_trace_in_words_without_an_answer_and_with_an_error() -> None:
    """What is not known yet is left out."""
    moments = {"accepted_at": "2026-01-01T00:00:00.000001Z", "claimed_at": None, "answered_at": None}
    trace = {
        "request_id": 1, "job_id": "j", "client_id": None, "client_version": None, "model_version": 2,
        "model": "m[x]", "model_sha256": "a" * 64, "worker": None, "batch_id": 1, "features": None,
        "probability": None, "error": None, "state": "open", **moments,
    }  # fmt: skip
    text = "\n".join(trace_lines(trace))
    assert "not scored yet" in text
    assert "worker" not in text
    error = {"code": "missing_feature", "detail": "age is missing"}
    failed = "\n".join(trace_lines({**trace, "state": "answered", "error": error, "features": {"age": None}}))
    assert "missing_feature: age is missing" in failed
    assert "features" not in failed
    assert "the row was cancelled" in "\n".join(trace_lines({**trace, "state": "cancelled"}))


def test_progress_elsewhere_than_in_a_terminal_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log file gets no control codes, standard output stays clean, and --json silences all of it."""
    monkeypatch.setattr(progress_module, "PLAIN_SECONDS", 0)
    with progress("scoring", 200) as meter:
        meter(50)
    with progress("sending", None, unit="bytes") as meter:
        meter(2_000_000)
    with progress("quiet", 10, quiet=True) as meter:
        meter(10)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith("scoring: 50 of 200 rows, ")
    assert first.endswith(" s left")
    assert second.startswith("sending: 2.0 MB, ")
    assert "\x1b" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict"], 2, "client_id"),
        (["models", "show", "1:x"], 2, "churn:3"),
        (["frobnicate"], 2, "frobnicate"),
        (["bulk"], 2, "exactly one of"),
        (["bulk", "--all", "--where", "age=1"], 2, "exactly one of"),
        (["predict", "1"], 1, "predictq up"),
        (["jobs"], 1, "PREDICTQ_API_URL"),
        (["models"], 1, "PREDICTQ_API_URL"),
        (["keys", "list"], 1, "PREDICTQ_API_URL"),
        (["keys", "create", "me", "--first"], 1, "DATABASE_URL"),
        (["keys", "create", "me", "--first", "--role", "read"], 2, "leave the rest out"),
        (["pause", "--reason", "x"], 2, "--queue QUEUE"),
        (["worker"], 1, "DATABASE_URL and REDIS_URL"),
        (["clients", "import", "nowhere.csv"], 2, "nowhere.csv"),
        (["bulk", "--all", "--idempotency-key", "a b"], 2, "--idempotency-key"),
        (["bulk", "--all", "--idempotency-key", "x" * 256], 2, "1 to 255"),
        (["bulk", "--ids", "nowhere.csv"], 2, "nowhere.csv"),
        (["predict-raw", "--features", "nowhere.json"], 2, "nowhere.json"),
        (["models", "register", "churn", "nowhere"], 2, "nowhere"),
        (["train", "nowhere.csv", "--target", "y"], 2, "nowhere.csv"),
        (["example", "load", "no_such"], 2, "There are: hr_attrition, motor_claims"),
        (["up", "--example", "no_such"], 2, "There is no example"),
        (["up", "--rows", "5"], 2, "--rows says how many rows of an example"),
    ],
)
def test_errors_are_one_line_with_an_honest_status(
    tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    """A wrong command line is 2, what cannot be done is 1; one line says what to do, standard output stays empty."""
    result = predictq(*arguments, cwd=tmp_path)
    assert result.returncode == status
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    """No traceback, and the server's own words."""
    url = "postgresql+psycopg2://a:b@127.0.0.1:1/c"
    result = predictq("keys", "create", "me", "--first", cwd=tmp_path, DATABASE_URL=url)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "PostgreSQL does not answer" in result.stderr
    refused = predictq("keys", "create", "me", "--first", cwd=tmp_path, DATABASE_URL="mysql://x")
    assert "must start with postgresql://" in refused.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    """The way in for somebody who knows nothing yet."""
    result = predictq("--help", cwd=tmp_path)
    assert result.returncode == 0
    for name in ("up", "demo", "predict", "bulk", "results", "trace", "clients", "train", "keys", "doctor"):
        assert f" {name} " in result.stdout


def test_what_takes_seconds_each_has_a_time_left_and_no_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The steps of a training: none of them a second would be said."""
    moments = iter((0.0, 20.0))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(moments))
    with progress("training on people", 3, unit="steps") as meter:
        meter(1)
    assert capsys.readouterr().err == "training on people: 1 of 3 steps, 40 s left\n"


@pytest.mark.parametrize("unit", ["rows", "bytes"])
def test_progress_in_a_terminal_is_a_bar_with_amount_and_rate(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much, of how much, and how fast; the bar is gone when the work is done."""
    screen = io.StringIO()
    monkeypatch.setattr(progress_module, "remarks", Console(file=screen, force_terminal=True, width=100))
    with progress("scoring", 4000, unit=unit) as meter:
        meter(1000)
        meter(4000)
    text = screen.getvalue()
    assert "scoring" in text
    assert ("4.0 kB of 4.0 kB" if unit == "bytes" else "4,000 of 4,000 rows") in text


def test_the_demonstrations_directory_is_new_each_time_and_gone_unless_it_failed(tmp_path: Path) -> None:
    """It disturbs no stack beside it; logs of a failure are kept; Ctrl-C leaves nothing."""
    with demo_directory(tmp_path) as first, demo_directory(tmp_path) as second:
        assert first != second
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), demo_directory(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), demo_directory(tmp_path) as kept:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [kept]


def test_the_demonstration_needs_no_writable_directory_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a place that cannot be written it runs among the temporary files."""
    taken, temporary = tmp_path / "file", tmp_path / "temporary"
    taken.write_text("")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with demo_directory(taken) as directory:
        assert directory.parent == temporary


def test_start_work_that_fails_says_why_and_what_hangs_is_ended() -> None:
    """A start that cannot make its samples names the reason, and leaves no process behind when it is interrupted."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with (
        StartWork(environment, "promote", "1:x") as work,
        pytest.raises(StartWorkFailed, match=r"predictq promote 1:x.*no model"),
    ):
        work.result()
    away = "postgresql+psycopg2://a:b@127.0.0.1:1/c"
    with StartWork({**environment, "DATABASE_URL": away}, "example", "train", "hr_attrition") as hanging:
        pass
    assert hanging.has_ended


def test_a_deadline_is_a_length_or_a_moment() -> None:
    """Two hours are two hours from now, or ago; a moment without a zone is one of this machine's clock."""
    now = datetime.now(UTC)
    ahead = datetime.fromisoformat(moment_ahead("--deadline", "2h"))
    assert timedelta(hours=2) <= ahead - now < timedelta(hours=2, minutes=1)
    ago = datetime.fromisoformat(moment_ago("--since", "2h"))
    assert timedelta(hours=-2) <= ago - now < timedelta(hours=-1, minutes=-59)
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert moment_ahead("--deadline", "2026-11-26T12:00:00Z") == noon.astimezone().isoformat()
    assert datetime.fromisoformat(moment_ahead("--deadline", "2026-11-26T18:00")).tzinfo is not None
    for text in ("soon", "2 h", "2026-13-01"):
        with pytest.raises(UsageProblem, match="--deadline"):
            moment_ahead("--deadline", text)
    with pytest.raises(UsageProblem, match="--deadline 2h is another time whenever"):
        bulk(everyone=True, deadline="2h", idempotency_key="july")


@pytest.mark.parametrize(
    ("keys", "count", "said"),
    [
        ([1, 2], 2, "1, 2"),
        (["P-1", "P-2"], 3, "P-1, P-2, …"),
        ([{"country": "FR", "no": 17}, {"country": "DE", "no": 4}], 2, "country=FR no=17, country=DE no=4"),
        ([{"shop": "Lyon 3e", "day": "2024-02-29"}], 1, "'shop=Lyon 3e' day=2024-02-29"),
    ],
)
def test_first_keys_are_listed_as_they_are_typed(keys: list[Any], count: int, said: str) -> None:
    """One of several columns as `predict` takes it; dots where there are more."""
    assert _listed(keys, count) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1234567.891, "1234568"),
        (-98765432.1, "-98765432"),
        (787.7554, "787.755"),
        (0.0000012, "1.2e-06"),
        (1e18, "1e+18"),
    ],
)
def test_a_large_amount_has_no_exponent(value: float, said: str) -> None:
    """Where people read an answer; the files of results have every digit."""
    assert f"[bold]{said}[/]" in answer_text({"value": value, "model": "severity", "model_version": 1})


def test_a_key_of_several_columns_is_shown_as_it_is_typed() -> None:
    """In an answer and in its trace, so that it can be copied into the next command."""
    key = {"shop": "Lyon 3e", "no": 17}
    result = {"client_id": key, "value": 4.5, "model": "sales", "model_version": 1}
    assert answer_text(result) == "client 'shop=Lyon 3e' no=17: [bold]4.5[/] (sales:1)"
    assert (client_text("P-1"), client_text(True), client_text(7)) == ("P-1", "true", "7")


@pytest.mark.parametrize(
    ("count", "said"), [(0, ""), (1, "churn:1"), (6, "churn:1, churn:2, churn:3, churn:4 and 2 more")]
)
def test_a_worker_s_line_names_the_first_versions_that_it_has_loaded(count: int, said: str) -> None:
    """And says how many there are beside them."""
    worker = {
        "name": "w@host", "processes": 1, "queues": ["bulk"], "models": None, "libraries": {}, "current_batches": [],
        "loaded_versions": [f"churn:{number}" for number in range(1, count + 1)], "rows_per_second": None,
        "started_at": "2026-01-31T12:00:00Z",
    }  # fmt: skip
    assert worker_row(worker)[4] == said


def test_a_failed_job_says_how_many_rows_failed() -> None:
    """Before why; what ended before any row was scored has no counts."""
    none = {"total": 5, "succeeded": 0, "failed": 5, "cancelled": 0}
    error = {"detail": "there is no such client"}
    said = job_line(job(status="failed", request_counts=none, error=error))
    assert said.endswith("0 of 5 scored, 5 failed in 2.0 s (2 rows/s); there is no such client")
    planned = job_line(job(status="failed", request_counts={**none, "total": None, "failed": 0}, error=error))
    assert planned == "job j [red]failed[/]: there is no such client"


@pytest.mark.parametrize(
    ("client", "said"), [("P-1", "client P-1"), ('["FR","17"]', 'client ["FR","17"]'), ("a [b]", "client a [b]")]
)
def test_a_hold_shows_a_key_as_it_is(client: str, said: str) -> None:
    """A composite one, too: it has its quotes, and no others."""
    assert held({"model": None, "job_id": None, "client_id": client, "source": None}) == said


def test_one_thing_is_no_plural() -> None:
    """The words of a check of one row."""
    report: dict[str, Any] = {
        "answered": 0, "rows": 1, "seconds_per_row": 0.0, "errors": {"invalid_feature": 1}, "first_errors": {},
        "nulls": {}, "unknown_categories": {"city": 1}, "labels": {}, "quantiles": {}, "differences": {},
    }  # fmt: skip
    text = "\n".join(check_lines(report))
    assert "1 row invalid_feature" in text
    assert "city: 1 row has a category" in text
    assert "0 of 1 row answered" in text


@pytest.mark.parametrize(("rows", "more"), [(3, ""), (4, "; 1 row has none"), (1_003, "; 1,000 rows have none")])
def test_rows_without_an_answer_are_told_beside_equal_ones(rows: int, more: str) -> None:
    """The last line is what is read."""
    report = {"answered": 3, "rows": rows, "seconds_per_row": 0.0, "is_equal": True}
    empty = dict.fromkeys(
        ("errors", "first_errors", "nulls", "unknown_categories", "labels", "quantiles", "differences")
    )
    said = check_lines({**{name: {} for name in empty}, **report})
    assert said[-1] == f"every answer equals the estimator's own{more}"


_PLURAL = re.compile(
    r"\{[^{}]*(?::,|len\([^{}]*\))\} (?:rows|columns|features|jobs|clients|pages|batches|files|persons)\b"
)
_OF_LIMITS = re.compile(r"(?:most|may have|more than|over|holds|hold|of|quota of|has|different texts in) $|^ *f?\"$")


@pytest.mark.parametrize("place", ["cli", "devstack", "shared/models", "shared/watching", "model", "worker"])
def test_a_number_of_things_is_written_by_the_one_who_knows_the_plural(place: str) -> None:
    """See count_of of shared.sentences; a limit is many of them."""
    wrong = [
        f"{path}: {found[0]}"
        for path in sorted((ROOT / place).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        for found in _PLURAL.finditer(line)
        if not _OF_LIMITS.search(line[: found.start()])
    ]
    assert not wrong


def test_an_import_tells_the_words_that_pandas_reads_as_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """With their number, and what to type where nothing is meant."""
    kept = {"None": 200, "#N/A": 104, "NA": 1}
    column = Column("ville", 1, "text", Dress(), nulls=98, kept_words=kept)
    _show_plan(Plan("people", ("no",), (column,), 500, is_new=True))
    assert (
        "ville: text, 98 empty; 305 are #N/A, NA or None, kept as words: --types 'ville=text:nulls' makes them empty"
        in capsys.readouterr().err
    )


def test_bulk_tells_the_words_of_a_feature_that_pandas_reads_as_missing() -> None:
    """Before its job is made, with what to do."""
    assert kept_words({"name": "ville", "null_words": {"None": 200, "NA": 105}}) == (
        "ville: NA or None in 305 rows is kept as a word, which pandas reads as missing; where nothing is known, leave "
        "the field empty"
    )


def test_an_import_tells_keys_that_begin_or_end_with_a_blank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are other clients than those without; of what is no key nothing is said."""
    path = tmp_path / "people.csv"
    path.write_text("no,city\n 0001 , Lyon\n0002,Nice\n")
    columns, rows = infer(CsvTable(path), {})
    _show_plan(Plan("people", ("no",), tuple(columns), rows, is_new=True))
    said = capsys.readouterr().err.splitlines()
    assert said[1:] == ["  no: text; 1 value begins or ends with a blank, which is part of the key", "  city: text"]
