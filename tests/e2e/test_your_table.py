"""A table and models that predictq has never seen, by the commands that a person types, on real servers.

One stack serves all: what is live for one table stands beside what is live for the others.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn
from sqlalchemy import create_engine, make_url, text

from tests.e2e import your_table
from tests.e2e.support import Up, running_up
from tests.e2e.your_table import ROWS, Trained, make_tables, read
from tests.integration.sources.source_support import source_server
from tests.own_code import fitted_price, write_code

pytestmark = pytest.mark.timeout(600)

SESSION = """
predictq sources add policyholders --table crm.policyholders --key policy_no
predictq models register churn churn.joblib --source policyholders --positive Yes
predictq models check churn
predictq promote churn
predictq predict P-00000017 --model churn --wait
predictq bulk --model churn --where region=Rhône --watch
predictq results JOB -o scores.parquet
predictq models register severity severity.skops --source policyholders
predictq promote severity
predictq models register risk risk.joblib --source policyholders
predictq promote risk
"""


@dataclass
class Shop:
    """The stack, and the addresses of its database and of another one."""

    up: Up
    own: str
    elsewhere: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """`predictq up` on a server of the user's, whose tables are in two databases."""
    directory = tmp_path_factory.mktemp("shop")
    with source_server(tmp_path_factory.mktemp("server") / "data") as server:
        other = make_url(server.url).set(database="elsewhere").render_as_string(hide_password=False)
        admin = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("CREATE DATABASE elsewhere"))
        admin.dispose()
        make_tables(server.url, other)
        variables = {"DATABASE_URL": server.url, "CRM_URL": other.replace("+psycopg2", "")}
        with running_up(directory, "--workers", "2", "--no-flower", **variables) as up:
            yield Shop(up, server.url, other)


@pytest.fixture(scope="module")
def session(shop: Shop) -> dict[str, Any]:
    """What each command of the session has said, and the models beside it."""
    frame = read(shop.own, "crm.policyholders")
    trained = {make.__name__: make(frame, shop.up.directory) for make in MODELS_OF_SESSION}
    said: dict[str, Any] = {"frame": frame, "trained": trained}
    started = time.monotonic()
    for line in SESSION.strip().splitlines():
        arguments = shlex.split(line)[1:]
        if "JOB" in arguments:
            arguments[arguments.index("JOB")] = shop.up.ask("jobs", "--limit", "1")[0]["id"]
        result = shop.up.run(*arguments)
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        said[line.removeprefix("predictq ")] = result.stdout
    said["seconds"] = time.monotonic() - started
    return said


MODELS_OF_SESSION: tuple[Callable[[pd.DataFrame, Path], Trained], ...] = (
    your_table.churn,
    your_table.severity,
    your_table.risk,
)


def rows_of(up: Up, job: str) -> list[dict[str, Any]]:
    """The rows of a job's results."""
    return [json.loads(line) for line in up.run("results", job, "--json").stdout.splitlines()]


def assert_own(row: dict[str, Any], own: Any, classes: list[Any]) -> None:
    """One row of results is what the estimator itself says of this client: 1e-12 relative, and the label."""
    assert row["error_code"] is None, row
    if not classes:
        assert row["value"] == pytest.approx(own, rel=1e-12, abs=1e-300)
        return
    if len(classes) == 2:
        assert row["probability"] == pytest.approx(own[1], rel=1e-12, abs=1e-300)
        assert row["label"] == classes[int(own[1] >= row["threshold"])]
        return
    assert row["label"] == classes[int(np.argmax(own))]
    assert row["probability"] == pytest.approx(max(own), rel=1e-12)
    assert row["probabilities"] == pytest.approx(dict(zip(map(str, classes), own, strict=True)), rel=1e-12, abs=1e-300)


def test_the_session_works_word_for_word(session: dict[str, Any]) -> None:
    """Each command succeeds and says what a person wants to know."""
    added = session["sources add policyholders --table crm.policyholders --key policy_no"]
    assert re.search(rf"table crm.policyholders: {ROWS} rows of some \d+ bytes, key policy_no \(text\)", added)
    assert "GRANT SELECT" in added
    checked = session["models check churn"]
    assert f"{ROWS} of {ROWS} rows answered" in checked
    assert "every answer equals the estimator's own" in checked
    assert "churn:1 is live" in session["promote churn"]
    told = session["predict P-00000017 --model churn --wait"]
    frame = session["frame"].set_index("policy_no")
    own = session["trained"]["churn"].answers(frame.loc[["P-00000017"]])[0, 1]
    assert f"client P-00000017: probability {own:.4f}" in told
    watched = session["bulk --model churn --where region=Rhône --watch"]
    selected = (frame.region == "Rhône").sum()
    assert f"{selected} of {selected} scored" in watched
    assert f"{selected} rows written to scores.parquet" in session["results JOB -o scores.parquet"]
    assert session["seconds"] < 300


def test_models_of_three_tasks_are_live_side_by_side(shop: Shop, session: dict[str, Any]) -> None:
    """Every row of each is the estimator's own answer; singles and bulk say the same."""
    frame = session["frame"]
    listed = {model["name"]: model for model in shop.up.ask("models")}
    assert {name: listed[name]["task"] for name in ("churn", "severity", "risk")} == {
        "churn": "binary",
        "severity": "regression",
        "risk": "multiclass",
    }
    for name, trained in session["trained"].items():
        job = shop.up.ask("bulk", "--model", name, "--all", "--watch")
        rows = {row["client_id"]: row for row in rows_of(shop.up, job["id"])}
        assert len(rows) == ROWS
        own = trained.answers(frame)
        for number, key in enumerate(frame.policy_no):
            assert_own(rows[key], own[number], trained.classes)
        single = shop.up.ask("predict", "P-00000300", "--model", name, "--wait")["result"]
        assert_own({"error_code": None, **single}, own[list(frame.policy_no).index("P-00000300")], trained.classes)


def test_two_versions_are_compared_and_one_gives_its_environment(shop: Shop, session: dict[str, Any]) -> None:
    """Another threshold is another version, and the only difference; the file's own scikit-learn is the requirement."""
    file = shop.up.directory / "severity.skops"
    assert file.exists()
    assert shop.up.run("models", "diff", "severity", "severity").stdout.strip().endswith("no difference")
    unlike = {row["what"]: (row["first"], row["second"]) for row in shop.up.ask("models", "diff", "churn:1", "risk")}
    assert unlike["task"] == ("binary", "multiclass")
    assert unlike["classes"][0] == ["No", "Yes"]
    lines = shop.up.run("models", "environment", "churn").stdout.splitlines()
    assert f"scikit-learn=={sklearn.__version__}" in lines
    assert all("==" in line or line.startswith("#") for line in lines)
    assert "churn:9" in shop.up.refused("models", "diff", "churn:1", "churn:9")


@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet", "arrow", "xlsx"])
def test_results_are_the_same_in_every_form(shop: Shop, session: dict[str, Any], ending: str) -> None:
    """The same numbers, to the last digit; labels as they were named; a column for each class."""
    job = next(job for job in shop.up.ask("jobs") if job["model"] == "risk" and job["kind"] == "bulk")["id"]
    path = shop.up.directory / f"risk.{ending}"
    result = shop.up.run("results", job, "-o", str(path))
    assert result.returncode == 0, result.stderr
    found = READERS[ending](path)
    expected = rows_of(shop.up, job)
    assert [row["client_id"] for row in found] == [row["client_id"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert row["label"] == other["label"]
        # A cell of Excel holds 16 digits, the other forms all.
        exact = 1e-15 if ending == "xlsx" else 0
        assert float(row["probability"]) == pytest.approx(other["probability"], rel=exact, abs=0)
        by_class = row.get("probabilities") or {
            name.removeprefix("probability_"): float(value)
            for name, value in row.items()
            if name.startswith("probability_")
        }
        assert by_class == pytest.approx(other["probabilities"], rel=exact, abs=0)


def _of_excel(path: Path) -> list[dict[str, Any]]:
    names, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "csv": lambda path: list(csv.DictReader(io.StringIO(path.read_text(), newline=""))),
    "ndjson": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    "parquet": lambda path: pq.read_table(path).to_pylist(),
    "arrow": lambda path: pa.ipc.open_file(path).read_all().to_pylist(),
    "xlsx": _of_excel,
}


@dataclass(frozen=True)
class Case:
    """A source, a model of it, and keys: as a caller writes them, and the canonical form where it differs."""

    table: str
    key: str
    make: Callable[[pd.DataFrame, Path], Trained]
    spelled: Callable[[pd.DataFrame], list[tuple[Any, str | None]]]
    typed: Callable[[pd.DataFrame], list[str]]  # the second row's key on the command line
    url_env: str | None = None
    options: tuple[str, ...] = ()  # of `models register`
    is_in_env_file: bool = False


def _uuids(frame: pd.DataFrame) -> list[tuple[Any, str | None]]:
    first, second, third, fourth = map(str, frame["Id"][:4])
    return [
        (third.upper(), third),
        (first, None),
        ("{" + second + "}", second),
        (fourth.replace("-", ""), fourth),
        (third, None),
        ("00000000-0000-0000-0000-000000000000", None),
    ]


def _pairs(frame: pd.DataFrame) -> list[tuple[Any, str | None]]:
    rows = [(row.country, int(row.no)) for row in frame[:3].itertuples()]
    canonical = [json.dumps([country, str(no)], ensure_ascii=False, separators=(",", ":")) for country, no in rows]
    (one, a), (two, b), (three, c) = rows
    return [
        ({"country": three, "no": c}, None),
        ({"no": str(a), "country": one}, canonical[0]),
        ({"no": b, "country": two}, None),
        ({"country": one, "no": a}, None),
        ({"country": "XX", "no": 1}, None),
    ]


def _turned(key: str | None) -> str | None:
    """The canonical form of a key of two columns, named in the other order."""
    return None if key is None else json.dumps(json.loads(key)[::-1], ensure_ascii=False, separators=(",", ":"))


def _numbers(frame: pd.DataFrame) -> list[tuple[Any, str | None]]:
    first, second, third = map(int, frame.number[:3])
    return [
        (third, None),
        (str(first), str(first)),
        (f"+0{second}", str(second)),
        (first, None),
        (4, None),
    ]


def _texts(frame: pd.DataFrame) -> list[tuple[Any, str | None]]:
    return [(key, None) for key in (*frame.policy_no[[5, 0, 5, 1]], "p-00000001", "P-00000001 ")]


CASES = {
    "text key, table, joblib": Case(
        "crm.policyholders", "policy_no", your_table.risk, _texts, lambda frame: [frame.policy_no[1]]
    ),
    "uuid key, another database, LightGBM": Case(
        'crm."Holders"', "Id", your_table.lightgbm, _uuids, lambda frame: [str(frame["Id"][1]).upper()], "CRM_URL"
    ),
    "composite key, foreign table, XGBoost": Case(
        "far.contracts",
        "country,no",
        your_table.xgboost,
        _pairs,
        lambda frame: [f"country={frame.country[1]}", f"no={frame.no[1]}"],
    ),
    "integer key, view, ONNX": Case(
        'crm."Motor claims"', "number", your_table.onnx, _numbers, lambda frame: [str(frame.number[1])]
    ),
    "composite key, another database by .env, skops": Case(
        "crm.contracts",
        "no,country",
        your_table.boosted,
        lambda frame: [(given, _turned(key)) for given, key in _pairs(frame)],
        lambda frame: [f"no=+{frame.no[1]}", f"country={frame.country[1]}"],
        "KEPT_URL",
        ("--allow", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"),
        is_in_env_file=True,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_keys_places_and_files_of_every_kind(shop: Shop, tmp_path: Path, name: str) -> None:
    """Answers are the estimator's own; keys come back as they were written and in the order that was asked."""
    case, number = CASES[name], list(CASES).index(name)
    source, model = f"source {number}", f"model-{number}"
    if case.is_in_env_file:
        path = shop.up.directory / ".predictq" / ".env"
        path.touch(0o600)
        path.write_text(f"{case.url_env}='{shop.elsewhere}'\n")
    frame = read(shop.own if case.url_env is None else shop.elsewhere, case.table)
    trained = case.make(frame, tmp_path)
    where = ["--url-env", case.url_env] if case.url_env else []
    added = shop.up.ask("sources", "add", source, "--table", case.table, "--key", case.key, *where)
    assert added["found"]["rows"] == ROWS
    said = ["--signature", str(trained.signature)] if trained.signature else []
    shop.up.ask("models", "register", model, str(trained.path), "--source", source, *case.options, *said)
    report = shop.up.ask("models", "check", model)
    assert (report["answered"], report["is_equal"], report["differences"]) == (ROWS, True, {})
    shop.up.ask("promote", model)

    own = trained.answers(frame)
    single = shop.up.ask("predict", *case.typed(frame), "--model", model, "--wait")
    assert_own({"error_code": None, **single["result"]}, own[1], trained.classes)

    asked = case.spelled(frame)
    (tmp_path / "keys.ndjson").write_text("".join(json.dumps({"client_id": key}) + "\n" for key, _ in asked))
    job = shop.up.ask("bulk", "--model", model, "--ids", str(tmp_path / "keys.ndjson"), "--watch")
    rows = rows_of(shop.up, job["id"])
    assert [(row["client_id"], row["key"]) for row in rows] == asked
    assert [type(row["client_id"]) for row in rows] == [type(key) for key, _ in asked]

    job = shop.up.ask("bulk", "--model", model, "--where", "region=Rhône", "--where", "age>=40", "--watch")
    selected = np.flatnonzero((frame.region == "Rhône") & (frame.age >= 40))
    found = {json.dumps(row["client_id"], sort_keys=True): row for row in rows_of(shop.up, job["id"])}
    keys = [_natural(frame, place, case.key.split(",")) for place in range(ROWS)]
    assert set(found) == {keys[place] for place in selected}
    for place in selected:
        assert_own(found[keys[place]], own[place], trained.classes)
    for row in rows:
        _assert_listed(row, keys, own, trained.classes, case)
    if isinstance(trained.estimator, your_table.Graph):
        labels = list(trained.estimator.original.predict(frame.iloc[selected]))
        assert [found[keys[place]]["label"] for place in selected] == labels


def _natural(frame: pd.DataFrame, place: int, names: list[str]) -> str:
    values = [frame[name][place] for name in names]
    plain = [int(value) if isinstance(value, np.integer) else str(value) for value in values]
    return json.dumps(plain[0] if len(names) == 1 else dict(zip(names, plain, strict=True)), sort_keys=True)


def _assert_listed(row: dict[str, Any], keys: list[str], own: Any, classes: list[Any], case: Case) -> None:
    """A row that was asked for by its key, which may be spelled in some other way."""
    names = case.key.split(",")
    value = row["client_id"]
    if row["key"] is not None:
        parts = json.loads(row["key"]) if len(names) > 1 else [row["key"]]
        value = dict(zip(names, parts, strict=True)) if len(names) > 1 else parts[0]
    if isinstance(value, dict):
        value = {**value, "no": int(value["no"])}
    elif names == ["number"]:
        value = int(value)
    text = json.dumps(value, sort_keys=True)
    if text not in keys:
        assert row["error_code"] == "unknown_client"
        return
    assert_own(row, own[keys.index(text)], classes)


def test_models_bring_unlike_code_of_one_name(shop: Shop, session: dict[str, Any], tmp_path: Path) -> None:
    """Two live models whose modules have the same names answer side by side, singly, in bulk and from their traces."""
    frame = session["frame"]
    client = "P-00000017"
    row = frame[frame.policy_no == client].iloc[0]
    for name, rate in (("double", 2.0), ("triple", 3.0)):
        folder = write_code(tmp_path / name, rate, pay="premium")
        file = tmp_path / f"{name}.joblib"
        file.write_bytes(fitted_price(folder, pay="premium"))
        command = ("models", "register", name, str(file), "--source", "policyholders", "--code", str(folder))
        result = shop.up.run(*command)
        assert result.returncode == 0, result.stderr
        assert "code: 3 Python files" in result.stderr
        assert "they run with each prediction, too" in result.stderr
        shop.up.ask("promote", name)
    report = shop.up.ask("models", "check", "triple")
    assert (report["answered"], report["is_equal"]) == (ROWS, True)
    told = shop.up.refused("models", "register", "double", str(tmp_path / "double.joblib"))
    assert "needs the Python module 'pricing'" in told
    assert "Register the model with --code FOLDER" in told
    digests = set()
    for name, rate in (("double", 2.0), ("triple", 3.0), ("double", 2.0)):
        own = rate * row.age + float(row.premium)
        single = shop.up.ask("predict", client, "--model", name, "--wait")
        assert single["result"]["value"] == pytest.approx(own, rel=1e-12)
        job = shop.up.ask("bulk", "--model", name, "--all", "--watch")
        values = {found["client_id"]: found["value"] for found in rows_of(shop.up, job["id"])}
        expected = dict(zip(frame.policy_no, rate * frame.age + frame.premium.astype(float), strict=True))
        assert values == pytest.approx(expected, rel=1e-12)
        trace = shop.up.ask("trace", single["request_id"])
        given = json.dumps(trace["features"])
        again = shop.up.ask("predict-raw", "--features", "-", "--model", name, "--wait", text=given)
        assert again["result"]["value"] == pytest.approx(trace["value"], rel=1e-12)
        digests.add(trace["code_sha256"])
    assert len(digests) == 2


def test_no_password_is_stored(shop: Shop, session: dict[str, Any]) -> None:
    """The address of another database stands in the environment of the workers, and nowhere in PostgreSQL."""
    password = make_url(shop.elsewhere).password
    engine = create_engine(shop.own)
    with engine.connect() as connection:
        sources = connection.execute(text("SELECT string_agg(s::text, ' ') FROM predictq.sources s")).scalar_one()
    engine.dispose()
    assert "CRM_URL" in sources
    assert password not in sources


LEARNT = """
predictq train --source holders --target churned --drop no_use --splits 2 --model learnt --output learnt
predictq models check learnt
predictq promote learnt
predictq predict P-00000017 --model learnt --wait
"""


@pytest.fixture(scope="module")
def labelled(shop: Shop) -> pd.DataFrame:
    """The source holders: a target of each task, in part null, and values that no feature can have."""
    engine = create_engine(shop.own)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS learn"))
        connection.execute(text("CREATE TABLE learn.holders AS SELECT * FROM crm.policyholders"))
        connection.execute(
            text("""ALTER TABLE learn.holders ADD PRIMARY KEY (policy_no),
                    ALTER age SET NOT NULL, ALTER has_garage SET NOT NULL, ADD visits bigint, ADD seen timestamptz,
                    ADD no_use text, ADD churned text, ADD cost numeric, ADD class text""")
        )
        connection.execute(
            text("""UPDATE learn.holders SET visits = nullif(age % 7, 0), seen = now() - age * interval '1 day',
                    no_use = policy_no, cost = age * 10 + premium,
                    churned = CASE WHEN age + random() * 20 > 60 THEN 'Yes' ELSE 'No' END,
                    class = CASE WHEN premium < 400 THEN 'low' WHEN premium < 700 THEN 'medium' ELSE 'high' END""")
        )
        some = "WHERE right(policy_no, 2) = "
        connection.execute(text(f"UPDATE learn.holders SET churned = NULL, cost = NULL {some} '07'"))
        connection.execute(text(f"UPDATE learn.holders SET since = 'infinity' {some} '11'"))
        connection.execute(text(f"UPDATE learn.holders SET bonus = 'Infinity' {some} '13'"))
    engine.dispose()
    added = shop.up.run("sources", "add", "holders", "--table", "learn.holders", "--key", "policy_no")
    assert added.returncode == 0, added.stderr
    return read(shop.own, "learn.holders")


def test_a_model_is_trained_on_a_source_and_answers_at_once(shop: Shop, labelled: pd.DataFrame) -> None:
    """Train, check, promote, predict, as they are typed; what was left out is counted, and the card says it, too."""
    said = []
    for line in LEARNT.strip().splitlines():
        result = shop.up.run(*shlex.split(line)[1:])
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        said.append(result.stdout)
    trained, checked, _, predicted = said
    rows = len(labelled) - 12  # of 600, six each with an infinite date or number
    assert f"trained logistic_regression on {rows - 6} rows of the source holders" in trained
    assert "6 rows without churned were left out" in trained
    assert "6 rows were left out whose since is a value that no feature can have" in trained
    assert "6 rows were left out whose bonus is" in trained
    assert "roc_auc" in trained
    assert "95 % interval" in trained
    assert "registered as learnt:1" in trained
    assert f"{rows} of {len(labelled)} rows answered" in checked
    assert "equals the estimator's own" in checked  # the answers, or with a threshold that was chosen the probabilities
    assert "probability" in predicted
    card = (shop.up.directory / "learnt" / "README.md").read_text()
    assert "whose bonus is a value that no feature can have" in card
    assert (shop.up.directory / "learnt" / "plots" / "precision_recall.svg").exists()
    dtypes = {one["name"]: one["dtype"] for one in _signature(shop, "learnt")}
    assert (dtypes["age"], dtypes["visits"], dtypes["premium"]) == ("int64", "float64", "float64")
    assert (dtypes["has_garage"], dtypes["seen"]) == ("bool", "datetime64[us, UTC]")
    assert not {"policy_no", "no_use"} & set(dtypes)
    shop.up.run("models", "register", "inferred", "learnt/model.joblib", "--source", "holders", "--positive", "Yes")
    assert {one["name"]: one["dtype"] for one in _signature(shop, "inferred")} == dtypes
    engine = create_engine(shop.own)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.exports WHERE job_id IS NULL")).scalar() == 0
        acts = connection.execute(text("SELECT object FROM predictq.audit_log WHERE action = 'source.read'")).scalars()
        assert "holders" in list(acts)
    engine.dispose()


def _signature(shop: Shop, model: str) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = shop.up.ask("models", "show", f"{model}:1")["signature"]["features"]
    return features


@pytest.mark.parametrize(
    ("target", "task", "figure"), [("cost", "regression", "r2"), ("class", "multiclass", "macro_f1")]
)
def test_the_other_tasks_are_trained_on_a_source(
    shop: Shop, labelled: pd.DataFrame, target: str, task: str, figure: str
) -> None:
    """A number and several classes, on rows that are drawn: live at once, with figures that have intervals."""
    found = shop.up.ask(
        *("train", "--source", "holders", "--target", target, "--drop", "no_use", "--rows", "400", "--splits", "2"),
        *("--estimator", "hist_gradient_boosting", "--model", f"of {target}", "--promote"),
    )
    assert found["task"] == task
    assert found["metrics"][figure]["low"] <= found["metrics"][figure]["mean"] <= found["metrics"][figure]["high"]
    assert found["version"]["is_live"]
    assert shop.up.ask("predict", "P-00000019", "--model", f"of {target}", "--wait")["status"] == "succeeded"
    assert "every answer equals" in shop.up.run("models", "check", f"of {target}").stdout


def test_what_cannot_be_learnt_from_a_source_is_refused_in_words(shop: Shop, labelled: pd.DataFrame) -> None:
    """The key, a column that is not there, no source, no rows at all, a source that is away: with what to type."""
    refused = shop.up.refused
    wanted = ("--model", "none", "--splits", "2")
    assert "is the key of holders" in refused(
        "train", "--source", "holders", "--target", "policy_no", *wanted, status=2
    )
    words = refused("train", "--source", "holders", "--target", "chrned", *wanted, status=2)
    assert "has no column 'chrned'. It has: " in words
    assert "predictq sources check holders" in words
    assert "There is no source 'nobody'" in refused("train", "--source", "nobody", "--target", "x", *wanted)
    assert "or --source NAME" in refused("train", "--target", "x", *wanted, status=2)
    engine = create_engine(shop.own)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE learn.holders RENAME TO gone"))
    try:
        words = refused("train", "--source", "holders", "--target", "churned", *wanted)
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE learn.gone RENAME TO holders"))
        engine.dispose()
    assert "The source holders" in words
    assert "or type: predictq sources check holders" in words
    assert "Traceback" not in words
