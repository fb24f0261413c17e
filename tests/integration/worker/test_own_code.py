"""Versions that bring code: opened closed in, and answered by a process that is kept for each of them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import joblib
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sqlalchemy import Engine, text

from model.artefact import Artefact
from model.code.folder import pack_folder
from model.errors import ArtefactCorrupt, ArtefactIncompatible
from model.metadata import ArtefactMetadata
from shared.models.registry import get_version, promote_version
from shared.postgres.engine import autocommit, transaction
from shared.sources.source import Source
from shared.status import RowError
from tests.integration.worker.scoring_support import trace_of
from tests.integration.worker.test_models import ROWS, ask, send, source
from tests.own_code import BABBLES, ENDS, HANGS, RAISES, SPIES, fitted_price, write_code
from tests.roles import as_worker
from tests.support import OWNER, wait_until
from worker.closed.calls import can_close_calls
from worker.closed.files import landlock_version
from worker.closed.process import run_closed
from worker.errands.models import ModelErrands
from worker.models.loaded_model import LoadedModel
from worker.models.model_store import ModelStore
from worker.models.stored_version import StoredVersion, read_version
from worker.own_code.errors import ModelEnded
from worker.own_code.model_apart import ModelApart
from worker.own_code.search import CodeSearch
from worker.pages.decode import decode_features
from worker.scoring.feature_reader import Rows
from worker.scoring.prediction import PredictionFailed, predict_rows
from worker.scoring.scorer import Scorer

__all__ = ["source"]

ASKED = {"name": "price", "columns": None, "source_id": None}


@dataclass
class Made:
    """A version that brings code, and the process that answers for it."""

    stored: StoredVersion
    apart: ModelApart


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Registered as the errand does it, in an environment with a secret. Its module has the name of one of predictq's.

    `model.py` is what many call it.
    """
    folder = write_code(tmp_path_factory.mktemp("code"), 2.0, module="model")
    content, code = fitted_price(folder, module="model"), pack_folder(folder).content
    found = run_closed("prepare", ASKED, content, code)
    metadata = ArtefactMetadata.from_json(found)
    stored = StoredVersion(1, Artefact(content, metadata, code), metadata.digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://somebody:s3cret@nowhere/none")
        apart = ModelApart(stored, seconds=60)
    yield Made(stored, apart)
    apart.end()


def table(*ages: float, pay: float = 1.0) -> pa.Table:
    """Rows of these ages."""
    return pa.table({"age": pa.array(map(float, ages)), "pay": pa.array([pay] * len(ages))})


def test_it_answers_page_after_page_from_one_process(made: Made) -> None:
    """One row and thousands, from the same process; the module is in no other."""
    process = made.apart._process._child.pid
    assert made.apart.predict(table(30)).values.tolist() == [61.0]
    many = np.arange(1000.0, 9000.0)
    np.testing.assert_array_equal(made.apart.predict(table(*many)).values, 2 * many + 1)
    assert made.apart._process._child.pid == process
    assert "parts" not in sys.modules
    assert not hasattr(sys.modules["model"], "Price")


@pytest.mark.skipif(not (landlock_version() and can_close_calls()), reason="this system cannot close a process in")
def test_the_process_has_no_secrets_no_network_and_no_files(made: Made) -> None:
    """What runs there sees no address of the worker, opens no socket, and neither reads nor writes a file."""
    assert made.apart.predict(table(SPIES)).values.tolist() == [0.0]
    child = psutil.Process(made.apart._process._child.pid)
    assert "s3cret" not in str(child.environ())
    assert not child.net_connections()


def test_what_the_code_raises_is_told_with_its_line(made: Made) -> None:
    """The process stays, and so do the neighbours' answers."""
    with pytest.raises(PredictionFailed, match=r"the model raised ValueError \(model.py, line 21\)$"):
        made.apart.predict(table(30, RAISES))
    assert made.apart.predict(table(30)).values.tolist() == [61.0]


def test_code_that_ends_its_process_ends_that_alone(made: Made) -> None:
    """The batch is told so, and the next starts the process anew."""
    with pytest.raises(ModelEnded, match=r"ended its process \(exit status 9\)"):
        made.apart.predict(table(30, ENDS))
    made.apart.restart()


def test_what_a_process_says_is_never_unpickled(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that writes pickles to all it has open has made an answer that cannot be read; nothing of it runs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelEnded, match="answered what cannot be read"):
        made.apart.predict(table(30, BABBLES))
    assert not list(tmp_path.iterdir())


def test_bad_rows_are_found_among_good_ones(made: Made) -> None:
    """At the last attempt each call is a fork's: a row that ends or hangs it has its error, no other has."""
    ages = [30.0, ENDS, 40.0, HANGS, 50.0]
    with CodeSearch(made.stored, rows=len(ages), call_timeout_seconds=6, load_seconds=60) as search:
        known = np.ones(len(ages), dtype=np.bool_)
        rows = Rows(np.arange(len(ages)), known, table(*ages))
        signature = made.stored.artefact.metadata.signature
        answers = predict_rows(rows, signature, search.predict, task=made.stored.artefact.metadata.task)
    assert [answers.values[row] for row in (0, 2, 4)] == [61.0, 81.0, 101.0]
    assert {row: error.code for row, error in answers.errors.items()} == {
        1: RowError.MODEL_FAILED,
        3: RowError.MODEL_FAILED,
    }
    assert "exit status 9" in answers.errors[1].detail
    assert "did not answer within 5 s" in answers.errors[3].detail


def test_what_its_encoders_know_is_told_at_the_last_attempt_too(made: Made) -> None:
    """As by the process that is kept: a page notes the same of values that no encoder has learnt."""
    frame = pd.DataFrame({"age": [30.0, 40.0, 50.0] * 20, "pay": np.arange(60.0)})
    encoder = ColumnTransformer([("age", OneHotEncoder(handle_unknown="ignore"), ["age"])], remainder="passthrough")
    buffer = io.BytesIO()
    joblib.dump(make_pipeline(encoder, LinearRegression()).fit(frame, frame.pay), buffer)
    code = made.stored.artefact.code
    assert code is not None
    metadata = ArtefactMetadata.from_json(run_closed("prepare", ASKED, buffer.getvalue(), code))
    stored = StoredVersion(1, Artefact(buffer.getvalue(), metadata, code), metadata.digest)
    with CodeSearch(stored, rows=1, call_timeout_seconds=60, load_seconds=60) as search:
        assert search.known_words == {0: {30.0, 40.0, 50.0}}


def test_code_that_hangs_is_ended_in_time(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call has its seconds; then its process goes, and the worker's does not."""
    made.apart.restart()
    process = psutil.Process(made.apart._process._child.pid)
    monkeypatch.setattr(made.apart, "_seconds", 1)
    with pytest.raises(ModelEnded, match="did not answer within 1 s"):
        made.apart.predict(table(HANGS))
    assert not process.is_running()


def test_code_is_for_no_process_but_its_own(made: Made) -> None:
    """Nobody opens such a version by mistake where the code is not; other code than was registered is refused."""
    with pytest.raises(ArtefactIncompatible, match="brings code of its own, which is not for this process"):
        made.stored.load()
    code = made.stored.artefact.code or b""
    altered = replace(made.stored.artefact, code=code.replace(b"RATE = 2.0", b"RATE = 9.0"))
    with pytest.raises(ArtefactCorrupt, match="The code is not the one that was registered"):
        ModelApart(replace(made.stored, artefact=altered), seconds=60)


def test_a_version_that_leaves_takes_its_process_along(made: Made, engine: Engine) -> None:
    """The least used version is forgotten where there are too many; one whose process has ended is started again."""
    store = ModelStore(most_bytes=100)
    store._keep(1, made.apart, 60)
    assert store.get(engine, 1).predict(table(30)).values.tolist() == [61.0]
    process = psutil.Process(made.apart._process._child.pid)
    store._keep(2, cast("LoadedModel", object()), 40)
    assert process.is_running()
    assert store.get(engine, 1).predict(table(30)).values.tolist() == [61.0]
    store._keep(3, cast("LoadedModel", object()), 10)
    assert (store.holds(1), store.holds(2), store.holds(3)) == (True, False, True)
    store._keep(4, cast("LoadedModel", object()), 1000)
    assert store.holds(4)
    assert not process.is_running()


def test_a_process_that_is_over_is_never_ended_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another process's by then."""
    made.apart.restart()
    made.apart.end()
    monkeypatch.setattr("worker.own_code.process.end_group", lambda _: pytest.fail("ended again"))
    made.apart.end()
    assert not made.apart._process.is_alive
    made.apart.restart()
    assert made.apart.predict(table(30)).values.tolist() == [61.0]
    monkeypatch.undo()


def register(engine: Engine, source: Source, folder: Path, name: str) -> int:
    """Register a price with the code of a folder, and make it live."""
    arguments = {
        "model": name,
        "upload_id": send(engine, fitted_price(folder)),
        "code_upload_id": send(engine, pack_folder(folder).content),
        "owner": OWNER,
        "source_id": source.id,
    }
    answer = ModelErrands(as_worker(engine), run_closed).register(arguments)
    assert any(
        "brings 3 Python files; those that the file imports ran while it was opened in" in one
        for one in answer["findings"]
    )
    with transaction(engine) as connection:
        promote_version(connection, answer["version_id"])
    return int(answer["version_id"])


def test_unlike_code_of_one_name_answers_side_by_side(
    engine: Engine, scorer: Scorer, source: Source, tmp_path: Path
) -> None:
    """Two live models whose modules have the same names each give their own answers, in turns, and in the trace."""
    folders = {"double": write_code(tmp_path / "double", 2.0), "triple": write_code(tmp_path / "triple", 3.0)}
    rates = {"double": 2.0, "triple": 3.0}
    versions = {name: register(engine, source, folder, name) for name, folder in folders.items()}
    for name in ("double", "triple", "double"):
        rows = ask(engine, scorer, source, name)
        own = rates[name] * ROWS.age + ROWS.pay.fillna(0)
        np.testing.assert_allclose([row.value for row in rows], own, rtol=1e-12)
    with autocommit(engine) as connection:
        version = get_version(connection, versions["double"])
        stored = read_version(connection, versions["double"])
        batch = connection.execute(text("SELECT max(batch_id) FROM predictq.batch_outputs")).scalar_one()
    trace = trace_of(engine, f"{batch}-5")
    asked = ROWS.iloc[int(trace.client_id.removeprefix("P-"))]
    assert trace.code_sha256 == version.code_sha256 == pack_folder(folders["double"]).sha256
    assert trace.version_digest == stored.digest == stored.artefact.metadata.digest
    assert trace.value == pytest.approx(2 * asked.age + np.nan_to_num(asked.pay), rel=1e-12)
    again = scorer.models.get(engine, versions["double"])
    with autocommit(engine) as connection:
        page = connection.execute(
            text('SELECT features, "values" FROM predictq.batch_outputs WHERE batch_id = :id'), {"id": batch}
        ).one()
    np.testing.assert_array_equal(again.predict_columns(decode_features(page.features)).values, page.values)
    assert_a_row_that_ends_it_costs_its_batch_attempts(engine, scorer, source)


def assert_a_row_that_ends_it_costs_its_batch_attempts(engine: Engine, scorer: Scorer, source: Source) -> None:
    """The batch is tried as often as any, then searched: one row has its error, all others their answers."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE people SET age = :age WHERE no = 'P-3'"), {"age": ENDS})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.scoring.scorer._RETRY_SECONDS", 0.0)
        patch.setattr("tests.integration.worker.test_models.score", score_all)
        rows = ask(engine, scorer, source, "double")
    assert [row.error_code for row in rows if row.error_code] == ["model_failed"]
    assert "exit status 9" in rows[3].error_detail
    with autocommit(engine) as connection:
        attempts = connection.execute(text("SELECT max(attempts) FROM predictq.batch_outputs")).scalar_one()
    assert attempts == scorer.settings.max_attempts


def score_all(scorer: Scorer, queue: object) -> list[str]:
    """Work until the batch is finished; returns how it ended."""
    outcomes: list[str] = []

    def worked() -> bool:
        outcomes.extend(scorer.work(queue))  # type: ignore[arg-type]
        return "finished" in outcomes

    wait_until(worked, seconds=120)
    return ["finished"]
