"""The small parts of the worker, without its servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.asynchronous.timer import Timer
from redis.exceptions import ConnectionError as RedisDown

from model.answering import Prediction
from model.artefact import build_artefact
from shared.batches.claims import Claim
from shared.messaging.messages import Notice
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.models.task import Task
from shared.status import RowError
from tests.models import SIGNATURE, SlowModel, TestModel, right_answer
from tests.support import ROOT
from worker.celery import notifier
from worker.celery.consumer import drop_ended
from worker.main import main
from worker.models.model_store import load_model
from worker.scoring import lease_keeper
from worker.scoring.answers import Answers, StatedError, float_array
from worker.scoring.feature_reader import NO_KEY, Rows, key_array
from worker.scoring.isolation import IsolatedModel, _call_in_fork
from worker.scoring.prediction import PredictionFailed, predict_rows, storable
from worker.scoring.row_checks import find_errors

ONE = Signature((FeatureSpec("x", FeatureKind.NUMBER),))


def rows_of(values: list[float | None]) -> Rows:
    """Rows with one feature."""
    return rows_with(pa.table({"x": pa.array(values, pa.float64())}))


def rows_with(features: pa.Table) -> Rows:
    """Rows of known clients with these features."""
    count = features.num_rows
    return Rows(np.arange(count, dtype=np.int64), np.ones(count, dtype=np.bool_), features)


@given(st.lists(st.sampled_from(["good", "raises", "nan", "high", "missing"]), min_size=1, max_size=60))
def test_bad_rows_cost_only_themselves(kinds: list[str]) -> None:
    """Wherever rows that raise, answer nonsense or miss a value stand, each other row has its own answer."""
    values = {"raises": -1.0, "nan": -2.0, "high": -3.0, "missing": None}
    rows = rows_of([values.get(kind, number / 1000) for number, kind in enumerate(kinds)])

    def predict(table: pa.Table) -> Prediction:
        x = table["x"].to_numpy()
        if -1.0 in x:
            raise RuntimeError("one of these")
        return Prediction(np.where(x == -2.0, np.nan, np.where(x == -3.0, 1.5, x)))

    answers = predict_rows(rows, ONE, predict)
    codes = {
        "raises": RowError.MODEL_FAILED,
        "nan": RowError.INVALID_PROBABILITY,
        "high": RowError.INVALID_PROBABILITY,
        "missing": RowError.MISSING_FEATURE,
    }
    assert {n: error.code for n, error in answers.errors.items()} == {
        number: codes[kind] for number, kind in enumerate(kinds) if kind != "good"
    }
    for number, kind in enumerate(kinds):
        if kind == "good":
            assert answers.values[number] == number / 1000


def test_an_answer_of_the_wrong_shape_is_an_error() -> None:
    """A model that answers another number of times than it was asked is told on, not padded, and no row is blamed."""
    calls = []

    def predict(table: pa.Table) -> Prediction:
        calls.append(table.num_rows)
        return Prediction(np.zeros(1))

    answers = predict_rows(rows_of([0.1, 0.2, 0.3]), ONE, predict)
    assert {error.code for error in answers.errors.values()} == {RowError.MODEL_FAILED}
    assert answers.errors[0].detail == "the model answered 1 times for 3 rows"
    assert (len(answers.errors), calls) == (3, [3])


def test_a_regression_may_answer_anything_but_no_number() -> None:
    """Its values have no bounds; NaN and infinity are stated errors of their rows."""
    rows = rows_of([0.0, 1.0, 2.0])
    answers = predict_rows(rows, ONE, lambda _: Prediction(np.array([-5e9, np.nan, np.inf])), task=Task.REGRESSION)
    assert answers.values[0] == -5e9
    assert {number: error.code for number, error in answers.errors.items()} == {
        1: RowError.INVALID_VALUE,
        2: RowError.INVALID_VALUE,
    }


@given(st.text(st.characters(), max_size=600))
def test_any_text_becomes_storable(text: str) -> None:
    """Whatever an error says, PostgreSQL can hold what is kept of it."""
    kept = storable(text)
    assert len(kept) <= 500
    assert "\x00" not in kept
    assert "\n" not in kept
    kept.encode()


def test_validation_says_the_same_as_the_gateway() -> None:
    """Whole-column checks find what the check of a single value finds."""
    signature = Signature(
        (
            FeatureSpec("n", FeatureKind.INTEGER, minimum=0, maximum=10),
            FeatureSpec("f", FeatureKind.NUMBER, nullable=True),
            FeatureSpec("c", FeatureKind.CATEGORY, categories=("a",)),
            FeatureSpec("b", FeatureKind.BOOLEAN),
        )
    )
    table = pa.table(
        {
            "n": pa.array([1, -1, 11, None, 5, 5, 5], pa.int64()),
            "f": pa.array([1.0, 1.0, 1.0, None, float("inf"), None, 2.0]),
            "c": pa.array(["a", "a", "a", "a", "a", "z", "a"]),
            "b": pa.array([True, True, True, True, True, True, None]),
        }
    )
    found = {number: error.detail for number, error in find_errors(rows_with(table), signature).items()}
    expected = {
        number: problems[0].detail.partition("; got")[0]
        for number, values in enumerate(table.to_pylist())
        if (problems := signature.problems(values))
    }
    assert found == expected
    assert len(found) == 6


FEATURES = pa.table({"age": [30], "monthly_income": [1], "department": ["Sales"], "over_time": [True]})


def test_the_search_for_bad_rows_has_an_end() -> None:
    """When the time for a batch is used up, what is left fails at once instead of hanging on."""
    artefact = build_artefact(SlowModel(seconds=0), SIGNATURE, 0.5, name="t")
    with IsolatedModel(artefact, rows=1, call_timeout_seconds=60, search_seconds=60) as apart:
        assert apart.predict(FEATURES).values.shape == (1,)
        apart._time._deadline = 0
        with pytest.raises(PredictionFailed, match="given up after 60 s"):
            apart.predict(FEATURES)


@pytest.mark.parametrize(
    ("age", "answer"),
    [
        (60, "the model raised ValueError"),
        (61, "the model ended its process (signal 9)"),
        (62, "the model did not answer within 0.3 s"),
    ],
)
def test_a_call_apart_tells_what_became_of_it(age: int, answer: str) -> None:
    """Raising, dying and hanging end one fork, are told apart, and leave the loaded model as it was."""
    model = load_model(build_artefact(TestModel(poisonous=True), SIGNATURE, 0.5, name="t"), version=1)
    bad = FEATURES.set_column(0, "age", pa.array([age]))
    assert _call_in_fork(model, bad, 0.3) == answer
    assert _call_in_fork(model, FEATURES, 10).values.tolist() == [right_answer(30, 1, "Sales", True)]


def a_claim(batch_id: int) -> Claim:
    return Claim(
        batch_id,
        fence=1,
        attempt=1,
        model_version_id=1,
        request_count=1,
        job_id=None,
        waited_seconds=0.0,
        source_id=None,
        keys_int8="{1}",
        keys_uuid=None,
        keys_text=None,
        given=None,
    )


def test_a_late_heartbeat_does_not_drop_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat for batches that have just been finished must not end the watch over those that follow."""
    beats: list[int] = []
    at_first, go_on, second_beats = threading.Event(), threading.Event(), threading.Event()

    def extend(_engine: Any, claims: Sequence[Claim], *, lease_seconds: float) -> list[Claim]:
        beats.extend(claim.batch_id for claim in claims)
        if claims[0].batch_id == 1:
            at_first.set()
            assert go_on.wait(10)
            return list(claims)  # no longer these claims'
        if beats.count(2) == 2:
            second_beats.set()
        return []

    monkeypatch.setattr(lease_keeper, "extend_leases", extend)
    keeper = lease_keeper.LeaseKeeper(None, lease_seconds=0.06, call_timeout_seconds=60)  # type: ignore[arg-type]
    with keeper.keeping([a_claim(1)]):
        assert at_first.wait(10)
    with keeper.keeping([a_claim(2)]):
        go_on.set()
        assert second_beats.wait(10)


def test_a_model_that_hangs_while_it_is_loaded_ends_its_process() -> None:
    """Also where no batch is in hand: what a promotion has loaded first is watched like all else."""
    code = (
        "import time\nfrom worker.scoring.lease_keeper import LeaseKeeper\n"
        "keeper = LeaseKeeper(None, lease_seconds=0.3, call_timeout_seconds=0.3)\n"
        "with keeper.watching_call('the model was not loaded within'):\n    time.sleep(60)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=50, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_one_lost_batch_does_not_cost_the_others_their_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of batches held together, one that was claimed anew is beaten for no more; the others are."""
    beats: list[list[int]] = []
    third = threading.Event()

    def extend(_engine: Any, claims: Sequence[Claim], *, lease_seconds: float) -> list[Claim]:
        beats.append([claim.batch_id for claim in claims])
        if len(beats) == 3:
            third.set()
        return [claim for claim in claims if claim.batch_id == 2]

    monkeypatch.setattr(lease_keeper, "extend_leases", extend)
    keeper = lease_keeper.LeaseKeeper(None, lease_seconds=0.06, call_timeout_seconds=60)  # type: ignore[arg-type]
    with keeper.keeping([a_claim(1), a_claim(2), a_claim(3)]):
        assert third.wait(10)
    assert beats[:3] == [[1, 2, 3], [1, 3], [1, 3]]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1)), min_size=1))
def test_keys_are_read_as_postgresql_prints_them(keys: list[int | None]) -> None:
    """Every bigint and NULL, in order; a page whose keys are not as many as its rows is not read."""
    printed = "{" + ",".join("NULL" if key is None else str(key) for key in keys) + "}"
    assert key_array(printed, len(keys)).tolist() == [NO_KEY if key is None else key for key in keys]
    with pytest.raises(ValueError, match=f"{len(keys)} keys where there should be {len(keys) + 1}"):
        key_array(printed, len(keys) + 1)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_probabilities_are_printed_so_that_they_read_back(values: list[float]) -> None:
    """The text of an array gives each number back to the last bit; what is no number is NULL."""
    printed = float_array(np.array([*values, np.nan]))
    read = [None if item == "null" else float(item) for item in printed[1:-1].lower().split(",")]
    assert read == [*values, None]


def test_a_part_of_the_answers_has_its_own_errors() -> None:
    """Batches answered together are parted by row: values and errors alike, each counted from its own first row."""
    errors = {number: StatedError(RowError.MODEL_FAILED, str(number)) for number in (0, 2, 3)}
    answers = Answers(np.array([np.nan, 0.1, np.nan, np.nan, 0.4]), errors)
    parts = [answers.part(0, 2), answers.part(2, 3), answers.part(3, 5)]
    assert [part.values.tolist()[-1] for part in parts][::2] == [0.1, 0.4]
    assert [{n: error.detail for n, error in part.errors.items()} for part in parts] == [{0: "0"}, {0: "2"}, {0: "3"}]


def test_notices_pause_while_redis_is_away() -> None:
    """Without Redis a batch does not wait for it each time."""
    calls: list[str] = []

    class Down:
        def publish(self, channel: str, _notice: str) -> None:
            calls.append(channel)
            raise RedisDown("refused")

    away = notifier.Notifier(Down())  # type: ignore[arg-type]
    away.batch_done(Notice(1, None))
    away.batch_done(Notice(2, None))
    assert calls == ["predictq:notices"]


_PREPARE = """
import os
from worker.environment import prepare_environment
prepare_environment()
print(os.environ["PROMETHEUS_MULTIPROC_DIR"])
"""


def test_the_metrics_directory_goes_with_its_process(tmp_path: Path) -> None:
    """A process removes its directory when it ends, and those of processes that no longer exist when it starts."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    leftover = tmp_path / f"predictq-metrics-{dead.pid}-abc"
    mine = tmp_path / f"predictq-metrics-{os.getpid()}-abc"
    leftover.mkdir()
    mine.mkdir()
    out = subprocess.run(
        [sys.executable, "-c", _PREPARE],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert out.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--queues", "slow"], "choose from interactive, bulk"),
        (["--queues", "bulk,plan"], "choose from interactive, bulk"),
        (["--concurrency", "0"], "at least 1"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The refusal says what can be chosen."""
    with pytest.raises(SystemExit):
        main(arguments)
    assert words in capsys.readouterr().err


def test_a_worker_without_settings_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing variable ends the start with its name."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="worker: DATABASE_URL: is not set"):
        main([])


def test_timers_of_ended_tasks_do_not_stay() -> None:
    """Those that were cancelled leave the heap; the others fire at their times, in order."""
    timer, fired, now = Timer(), list[int](), time.monotonic()
    entries = [
        timer.enter_at(timer.Entry(fired.append, (n,)), now + (0.001 * n if n % 10 else 3300 + n))
        for n in range(100, 0, -1)
    ]
    for entry in entries:
        if entry.args[0] % 10 == 0 or entry.args[0] % 2:
            entry.cancel()
    loop = iter(timer)
    drop_ended(timer)
    assert len(timer) == 40
    while timer:
        _, entry = next(loop)
        if entry is not None:
            entry()
        if not len(timer):
            break
    assert fired == [n for n in range(1, 101) if n % 2 == 0 and n % 10]
