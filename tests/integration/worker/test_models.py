"""Models of others from their files to their answers: registered, checked and scored on a table in PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from dataclasses import replace
from functools import partial
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from api.jobs.job_json import job_json
from model.errors import ArtefactIncompatible, ModelRefused
from shared.jobs.accepting.bulk import BulkJob, accept_keys
from shared.jobs.accepting.key_pages import ListedKeys
from shared.jobs.accepting.model_choice import ModelChoice
from shared.jobs.accepting.singles import Target, accept_singles
from shared.models.registry import promote_version
from shared.postgres.engine import autocommit, transaction
from shared.sources.description import source_from
from shared.sources.source import Source, add_source
from shared.status import Queue
from shared.uploaded_files import add_piece, begin_file, end_file
from tests.integration.sources.source_support import connect
from tests.integration.worker.scoring_support import results, score, trace_of
from tests.roles import as_worker
from tests.support import OWNER, job_of, single_job
from tests.unit.models.test_model_artefact import made_with
from tests.unit.models.test_models_of_others import LABELS, LR, PULL, SERVED, THREE, dumped, fitted, people, prepared
from worker.closed.process import run_closed
from worker.closed.work import WORK
from worker.errands import models as errands
from worker.errands.failures import ErrandRefused
from worker.errands.models import ModelErrands
from worker.models.references.kept import fetch_reference
from worker.models.stored_version import read_version
from worker.pages.decode import decode_features
from worker.scoring.scorer import Scorer
from worker.sources.describing.description import describe

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = people(9).head(80).assign(city=lambda rows: rows.city.where(rows.index != 7, "Nowhere"))


@pytest.fixture
def source(engine: Engine, database_url: str) -> Source:
    """The table `people` with rows that have gaps, and an unknown city."""
    with engine.begin() as connection:
        connection.execute(
            text("""CREATE TABLE public.people (no text PRIMARY KEY, age integer NOT NULL, pay double precision,
                                         kids smallint,
                                         over boolean, dept text, city varchar(20), joined timestamptz, salary text)""")
        )
        # The worker's role is one of its own, and may read what it is told of: no other column.
        connection.execute(text("REVOKE ALL ON people FROM PUBLIC, predictq_gateway, predictq_worker"))
        columns = "no, age, pay, kids, over, dept, city, joined"
        connection.execute(text(f"GRANT SELECT ({columns}) ON people TO predictq_gateway, predictq_worker"))
        for number, row in enumerate(ROWS.astype(object).where(ROWS.notna(), None).to_dict("records")):
            row["kids"] = None if row["kids"] is None else int(row["kids"])
            connection.execute(
                text("INSERT INTO people VALUES (:no, :age, :pay, :kids, :over, :dept, :city, :joined)"),
                {"no": f"P-{number}", **row},
            )
    driver = connect(database_url.replace("+psycopg2", ""))
    found = describe(driver, "people", key=())
    driver.close()
    with transaction(engine) as connection:
        return add_source(connection, source_from("people", None, found))


def send(engine: Engine, content: bytes) -> str:
    """Send a file as a caller does; returns its id."""
    upload = uuid7()
    with transaction(engine) as connection:
        begin_file(connection, upload, OWNER, "application/octet-stream")
        add_piece(connection, upload, 0, content)
        end_file(connection, upload, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return str(upload)


def open_here(kind: str, asked: dict[str, Any], *blobs: bytes, **_: float) -> dict[str, Any]:
    """What a closed process does, in this one: no test but those of closed processes waits for them."""
    answer: dict[str, Any] = json.loads(json.dumps(WORK[kind](json.loads(json.dumps(asked)), *blobs)))
    return answer


def register(engine: Engine, source: Source, content: bytes, name: str, **more: Any) -> dict[str, Any]:
    """What the errand answers whose file was sent."""
    arguments = {"model": name, "upload_id": send(engine, content), "owner": OWNER, "source_id": source.id, **more}
    return ModelErrands(as_worker(engine), open_here).register(arguments)


class OnOpening:
    """A pickle that does something to the process that opens it."""

    def __init__(self, call: str) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return exec, (self.call,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("import os; os._exit(7)", "ended the process that opened it (exit status 7)"),
        ("import time; time.sleep(600)", "not opened and tried within 20 s"),
    ],
)
def test_a_file_that_ends_or_hangs_its_process_costs_that_process_alone(
    engine: Engine, source: Source, call: str, words: str
) -> None:
    """The caller is told; the process that does errands goes on."""
    arguments = {"model": "bad", "upload_id": send(engine, pickle.dumps(OnOpening(call))), "owner": OWNER}
    with pytest.raises(ErrandRefused, match=re.escape(words)):
        ModelErrands(as_worker(engine), partial(run_closed, seconds=20)).register({**arguments, "source_id": source.id})


def test_a_file_that_is_too_large_is_refused_unread(
    engine: Engine, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the size that is stored with it: none of its bytes come to the worker."""
    upload = send(engine, b"x")
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.uploads SET size = 200000001 WHERE id = :id"), {"id": upload})
    monkeypatch.setattr(errands, "read_file", None)
    with pytest.raises(ModelRefused, match="the most is 200 MB"):
        ModelErrands(as_worker(engine), open_here).register({"model": "big", "upload_id": upload, "owner": OWNER})


def ask(engine: Engine, scorer: Scorer, source: Source, name: str) -> list[Any]:
    """The answers of a bulk job over all rows."""
    job = BulkJob(uuid7(), OWNER, 30, Target(ModelChoice(name), source.key_form.storage, None, source.id))
    keys = [source.key_form.parse(f"P-{number}") for number in range(len(ROWS))]
    accepted = accept_keys(engine, job, ListedKeys(keys, source.key_form.storage), len(keys))
    assert set(score(scorer, Queue.BULK)) == {"finished"}
    return results(engine, accepted)


TASKS: dict[str, tuple[Any, Any]] = {
    "binary": (lambda: dumped(fitted(prepared(LR(), filled=True))), LABELS),
    "multiclass": (lambda: dumped(fitted(prepared(LR()), labels=THREE)), THREE),
    "regression": (lambda: skops.io.dumps(SERVED["regression"]()), PULL),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_each_task_is_registered_checked_and_scored(
    engine: Engine, scorer: Scorer, source: Source, task: str
) -> None:
    """The answers to rows of a table are the estimator's own on the frame that pandas makes of these rows."""
    content = TASKS[task][0]()
    answer = register(engine, source, content, "theirs")
    report = ModelErrands(as_worker(engine), open_here).check({"version_id": answer["version_id"], "rows": 1000})
    assert (report["rows"], report["is_equal"], report["differences"]) == (80, True, {})
    assert report["unknown_categories"] == {"city": 1}
    again = register(engine, source, content, "theirs")
    assert (again["version_id"], again["findings"][-1]) == (answer["version_id"], "was there already, as theirs:1")
    assert "was there already, as theirs:1" not in answer["findings"]
    with transaction(engine) as connection:
        promote_version(connection, answer["version_id"])
    with autocommit(engine) as connection:
        stored = read_version(connection, answer["version_id"])
        assert stored.artefact.content == content
    estimator = scorer.models.load(stored).estimator
    frame = ROWS[["age", "pay", "kids", "dept", "city"]]
    own = estimator.predict(frame) if task == "regression" else estimator.predict_proba(frame)
    rows = ask(engine, scorer, source, "theirs")
    assert all(row.error_code is None for row in rows)
    if task == "multiclass":
        said = [[row.probabilities[label] for label in estimator.classes_] for row in rows]
        assert [row.label for row in rows] == list(estimator.classes_[np.argmax(own, axis=1)])
        np.testing.assert_allclose(said, own, rtol=1e-9)
    else:
        said = [row.value if task == "regression" else row.probability for row in rows]
        np.testing.assert_allclose(said, own if task == "regression" else own[:, 1], rtol=1e-9)
    with autocommit(engine) as connection:
        notes = connection.execute(text("SELECT notes FROM predictq.batch_outputs ORDER BY batch_id")).scalars().all()
    assert [note and note["unknown_categories"] for note in notes] == [{"city": 1}, None, None]
    told = [trace_of(engine, row.request_id).unknown_categories for row in (rows[6], rows[7], rows[-1])]
    assert told == [[], ["city"], []]


def test_a_batch_that_is_scored_apart_notes_the_same_unknown_words(
    engine: Engine, scorer: Scorer, source: Source
) -> None:
    """At its last attempt a batch is scored by another process, and its page says the same."""
    answer = register(engine, source, TASKS["binary"][0](), "theirs")
    with transaction(engine) as connection:
        promote_version(connection, answer["version_id"])
    for attempts in (3, 1):
        own = scorer.settings.model_copy(update={"max_attempts": attempts})
        ask(engine, replace(scorer, settings=own), source, "theirs")
    with autocommit(engine) as connection:
        notes = connection.execute(text("SELECT notes FROM predictq.batch_outputs ORDER BY batch_id")).scalars().all()
    assert notes[3:] == notes[:3]
    assert notes[0]["unknown_categories"] == {"city": 1}


def test_a_single_job_says_of_which_features_it_knows_no_such_category(
    engine: Engine, scorer: Scorer, source: Source
) -> None:
    """Three jobs in one page: the one of the unknown city says so, and the job without an answer says nothing."""
    answer = register(engine, source, TASKS["binary"][0](), "theirs")
    with transaction(engine) as connection:
        promote_version(connection, answer["version_id"])
    target = Target(ModelChoice("theirs"), source.key_form.storage, None, source.id)
    keys = [source.key_form.parse(key) for key in ("P-6", "P-7", "P-none")]
    jobs = [replace(single_job(engine, None, target=target), key=key) for key in keys]
    with autocommit(engine) as connection:
        accepted = accept_singles(connection, jobs)
    assert len({one.request_id.batch_id for one in accepted}) == 1
    assert set(score(scorer, Queue.INTERACTIVE)) == {"finished"}
    ended = [job_of(engine, one.job_id) for one in accepted]
    assert [list(job.unknown_categories) for job in ended] == [[], ["city"], []]
    assert [job_json(job)["result"] and job_json(job)["result"].get("unknown_categories") for job in ended] == [
        None, ["city"], None,
    ]  # fmt: skip
    traced = [trace_of(engine, one.request_id).unknown_categories for one in accepted]
    assert traced == [[], ["city"], None]


def test_a_refusal_reaches_the_caller_and_leaves_nothing(engine: Engine, source: Source) -> None:
    """No version, no model: the words are the errand's answer."""
    with pytest.raises(ModelRefused, match="Say --positive CLASS"):
        register(engine, source, dumped(fitted(prepared(LR()), labels=LABELS + 1)), "theirs")
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.model_versions")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM predictq.models")).scalar_one() == 0


def test_a_row_is_answered_alike_alone_and_among_gaps(engine: Engine, scorer: Scorer, source: Source) -> None:
    """A nullable whole number and a missing flag are the same in every batch, as the training read them."""
    answer = register(engine, source, dumped(SERVED["whole numbers as texts"]()), "kids")
    with transaction(engine) as connection:
        promote_version(connection, answer["version_id"])
    rows = ask(engine, scorer, source, "kids")
    alone = []
    for number in (0, 1, 2):
        job = BulkJob(uuid7(), OWNER, 30, Target(ModelChoice("kids"), source.key_form.storage, None, source.id))
        key = source.key_form.parse(f"P-{number}")
        accepted = accept_keys(engine, job, ListedKeys([key], source.key_form.storage), 1)
        score(scorer, Queue.BULK)
        alone += [row.probability for row in results(engine, accepted)]
    assert alone == [row.probability for row in rows[:3]]
    estimator = SERVED["whole numbers as texts"]()
    own = estimator.predict_proba(pd.DataFrame({"kids": ROWS.kids}))[:, 1]
    np.testing.assert_allclose([row.probability for row in rows], own, rtol=1e-9)


def test_another_patch_release_serves_what_it_answers_alike(
    engine: Engine, scorer: Scorer, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 1.9.99 is loaded where the kept answers come out again, and refused with the difference where not."""
    content = pickle.dumps(fitted(prepared(LR(), filled=True)))
    major, minor, _ = sklearn.__version__.split(".")
    older = made_with(f"{major}.{minor}.99", content)
    monkeypatch.setattr("model.opening.sklearn.__version__", f"{major}.{minor}.99")
    answer = register(engine, source, older, "theirs")
    monkeypatch.undo()
    with transaction(engine) as connection:
        promote_version(connection, answer["version_id"])
        stored = read_version(connection, answer["version_id"])
    assert stored.reference is not None
    assert len(stored.reference.answers) == 1000
    assert all(row.error_code is None for row in ask(engine, scorer, source, "theirs"))
    changed = replace(stored.reference, answers=stored.reference.answers + 1e-6)
    with pytest.raises(ArtefactIncompatible, match="answers 1000 of 1000 reference rows otherwise, by up to 1e-06"):
        replace(stored, reference=changed).load()
    with pytest.raises(ArtefactIncompatible, match=r"\.99, this process has"):
        replace(stored, reference=None).load()


class Picky:
    """Answers rows that are drawn, and none of the table."""

    classes_ = (0, 1)
    feature_names_in_ = ("age",)

    def predict_proba(self, rows: Any) -> Any:
        """Raises ValueError for every age that a person in the table has."""
        if rows.age.isin(ROWS.age).any():
            raise ValueError("no such age")
        return np.tile([0.4, 0.6], (len(rows), 1))


def test_a_model_that_answers_no_real_row_is_refused_when_it_is_registered(engine: Engine, source: Source) -> None:
    """Drawn rows show nothing of it. With a reason it is taken, and what was seen stays with it."""
    content = dumped(Picky())
    with pytest.raises(ModelRefused, match=r"None of 80 rows of people is answered: 80 rows model_failed.*ValueError"):
        register(engine, source, content, "picky")
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.model_versions")).scalar_one() == 0
    findings = register(engine, source, content, "picky", force="a trial")["findings"]
    assert any("None of 80 rows" in one and one.endswith("Registered all the same: a trial") for one in findings)


def test_what_was_seen_of_real_rows_is_said(engine: Engine, source: Source) -> None:
    """How many were answered; or that the source did not answer, which stops nothing."""
    content = dumped(fitted(prepared(LR(), filled=True)))
    said = "80 of 80 rows of people answered, each as the estimator itself answers"
    assert said in register(engine, source, content, "theirs")["findings"]
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE people RENAME TO elsewhere"))
    findings = register(engine, source, content, "theirs")["findings"]
    assert any(one.startswith("not tried on rows of people: ") for one in findings)


def of_words(known: dict[str, int]) -> bytes:
    """A model that maps the words of a column by a table that stands in a function."""

    def numbers(rows: pd.DataFrame) -> Any:
        return rows.apply(lambda column: column.map(known))

    frame = pd.DataFrame({"dept": [list(known)[row % len(known)] for row in range(len(LABELS))]})
    found: bytes = cloudpickle.dumps(make_pipeline(FunctionTransformer(numbers), LR()).fit(frame, LABELS))
    return found


def test_a_model_that_maps_words_is_tried_on_those_of_its_source(engine: Engine, source: Source) -> None:
    """None of its parts tells them. What is kept with it has words that ten rows have, and no others."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE people SET dept = 'Anna Nowak' WHERE no IN ('P-1', 'P-2')"))
        connection.execute(text("GRANT SELECT (salary) ON people TO predictq_worker"))
    known = {"Sales": 0, "R&D": 1, "HR": 2}
    arguments = {"model": "mapped", "owner": OWNER, "source_id": source.id}
    errand = ModelErrands(as_worker(engine), run_closed)
    answer = errand.register({**arguments, "upload_id": send(engine, of_words(known))})
    assert "tried on words that many rows of the source have, for of others it answered none" in answer["findings"]
    with autocommit(engine) as connection:
        kept = fetch_reference(connection, answer["version_id"])
    assert kept is not None
    assert len(kept.answers) > 100
    (column,) = decode_features(kept.features)
    assert column.words is not None
    assert set(column.words.to_pylist()) == set(known)
    with pytest.raises(ErrandRefused, match=r'"name": "dept", "categories"') as refused:
        errand.register({**arguments, "upload_id": send(engine, of_words({"Ventes": 0, "RH": 1}))})
    assert refused.value.code == "model_refused"


def test_a_source_that_is_away_lends_no_words(engine: Engine, source: Source) -> None:
    """The refusal is that of the rows that were drawn without it."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE people RENAME TO elsewhere"))
    arguments = {"model": "mapped", "upload_id": send(engine, of_words({"Sales": 0})), "owner": OWNER}
    with pytest.raises(ErrandRefused, match=r"cannot score a row .*such as") as refused:
        ModelErrands(as_worker(engine), run_closed).register({**arguments, "source_id": source.id})
    assert refused.value.code == "model_refused"


def test_a_feature_that_is_the_key_is_said_to_be_it(engine: Engine, source: Source) -> None:
    """The errand hands on what the source knows of columns that are no features."""
    frame = pd.DataFrame({"no": [f"P-{number}" for number in range(len(LABELS))]})
    content = dumped(make_pipeline(OneHotEncoder(handle_unknown="ignore"), LR()).fit(frame, LABELS))
    findings = register(engine, source, content, "keyed")["findings"]
    assert any("the source lacks 1 of the model's features: 'no' (it is part of the key" in one for one in findings)
    assert any(one.endswith(f"--table {source.schema}.people --key no --column no") for one in findings)
