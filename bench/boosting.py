"""`python -m bench.boosting [--rows N]`: gradient boosting in bulk beside its own predict on ready frames, by turns.

Two processes each, one thread each. The goals are 0.55 of the rate on the HR table and 0.45 on motor_claims, whose rows
come out of a view over two tables. Reading and writing cost about what a hundred trees cost.
"""

from __future__ import annotations

import argparse
import io
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sqlalchemy import Engine, create_engine, make_url

from bench.context import Bench
from bench.report.bill import billing
from bench.scenarios.bulk import submit_all
from bench.stack import Service, Stack, running_stack
from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import TARGET
from examples.hr_attrition.training import model_features
from examples.motor_claims import load as motor
from examples.motor_claims.dataset import generate as generate_policies
from examples.motor_claims.train import as_read, severity
from model.artefact import Artefact, build_artefact
from model.registration import new_version
from model.training.columns import training_frame
from model.training.encoding import Curves
from model.training.recipes import Plan
from shared.models.registry import promote_version, register_version
from shared.models.task import Task
from shared.postgres.engine import autocommit, driver_connection, transaction
from shared.sources.description import source_from
from shared.sources.source import Source, add_source, read_source
from worker.models.frame import input_columns, to_frame
from worker.models.registration import Offer, prepare
from worker.sources.describing.description import describe
from worker.sources.reader import SourceReader
from worker.sources.sampling import sample_rows

_BATCH = 10_000
_PROCESSES = 2
_TRAINED_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Case:
    """A model that is live, and the share of its own rate that is wanted."""

    name: str
    source: Source
    artefact: Artefact
    goal: float


def main() -> None:
    """Measure by turns and print a line for each model."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in good order, as Ctrl-C does
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with (
        tempfile.TemporaryDirectory(prefix="predictq-boosting-") as directory,
        running_stack(Path(directory), clients=options.rows) as stack,
    ):
        _add_motor(stack, options.rows)
        with stack.service("boosting") as service:
            bench = Bench(stack, quick=False)
            for case in (_attrition(service.engine), _severity(service.engine)):
                sys.stdout.write(_line(case, bench, service, options.rows, options.rounds) + "\n")
                sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.boosting", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000, help="rows of each table, and of each bulk job")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    return parser.parse_args()


def _line(case: Case, bench: Bench, service: Service, rows: int, rounds: int) -> str:
    frames = _save_frames(case, service.engine, bench.stack.directory, min(rows, 5 * _BATCH))
    submit_all(service, model=case.name, all=True)  # warms up
    rates: list[tuple[float, float]] = []
    costs: list[tuple[float, float]] = []
    for _ in range(rounds):
        own_rate, own_cost = _own(frames)
        with billing(bench.groups(service)) as bill:
            job, _, seconds = submit_all(service, model=case.name, all=True)
        rates.append((job["request_counts"]["succeeded"] / seconds, own_rate))
        costs.append((sum(bill.per(rows).values()), own_cost))
    shares = [served / own for served, own in rates]
    (served, own), (cost, own_cost) = map(_medians, (rates, costs))
    return (
        f"{case.name}: bulk {served:,.0f} rows/s, its own predict {own:,.0f} rows/s: "
        f"ratio {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}), goal {case.goal}; "
        f"CPU a row {cost:.1f} µs, of its own predict {own_cost:.1f} µs: ratio {own_cost / cost:.2f}"
    )


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def _add_motor(stack: Stack, rows: int) -> None:
    """The other example's tables, in the database from which those of the services are copied."""
    url = make_url(stack.postgres.socket_url).set(database="bench_template")
    engine = create_engine(url)
    motor.load(engine, rows, secrets.randbelow(1 << 30), lambda _rows: None)
    with autocommit(engine) as connection:
        found = describe(driver_connection(connection), motor.VIEW, key=["policy_no"])
    with transaction(engine) as connection:
        add_source(connection, source_from("policyholders", None, found))
    engine.dispose()


def _attrition(engine: Engine) -> Case:
    frame = pd.concat(generate(_TRAINED_ROWS, seed=secrets.randbelow(1 << 30)), ignore_index=True)
    features = model_features()
    plan = Plan(Task.BINARY, "hist_gradient_boosting", features, Curves(), 0)  # without figures, which take minutes
    fitted = plan.build().fit(training_frame(frame, features), frame[TARGET].to_numpy())
    artefact = build_artefact(fitted, plan.signature(), 0.5, name="boosted")
    with transaction(engine) as connection:
        source = read_source(connection, "clients")
    return _live(engine, Case("boosted", source, artefact, 0.55))


def _severity(engine: Engine) -> Case:
    with transaction(engine) as connection:
        source = read_source(connection, "policyholders")
    rows = pd.concat(generate_policies(_TRAINED_ROWS, secrets.randbelow(1 << 30)), ignore_index=True)
    with tempfile.NamedTemporaryFile(suffix=".joblib") as file:
        joblib.dump(severity(0).fit(as_read(rows), rows["claim_severity"].to_numpy()), file.name)
        content = Path(file.name).read_bytes()
    offer = Offer(content, "severity", columns=source.columns, source_id=source.id)
    return _live(engine, Case("severity", source, prepare(offer), 0.45))


def _live(engine: Engine, case: Case) -> Case:
    with transaction(engine) as connection:
        version = register_version(connection, new_version(case.artefact, source_id=case.source.id, model=case.name))
        promote_version(connection, version.id)
    return case


def _save_frames(case: Case, engine: Engine, directory: Path, rows: int) -> Path:
    """The estimator and real rows as frames of one batch each, in a file."""
    signature = case.artefact.metadata.signature
    table = sample_rows(SourceReader(engine), case.source, signature, rows).features
    frames = [
        to_frame(input_columns(table.slice(start, _BATCH), signature), signature) for start in range(0, rows, _BATCH)
    ]
    path = directory / f"{case.name}.frames"
    joblib.dump((case.artefact.content, frames), path)
    return path


def _own(path: Path) -> tuple[float, float]:
    """Of the estimator alone, in both processes at once: rows a second, and µs of CPU a row."""
    context = get_context("spawn")
    ready, results = context.Barrier(_PROCESSES), context.Queue()
    children = [context.Process(target=_score, args=(path, ready, results)) for _ in range(_PROCESSES)]
    for child in children:
        child.start()
    found = [results.get(timeout=600) for _ in children]
    for child in children:
        child.join()
    rows, begins, ends, cpu = zip(*found, strict=True)
    return sum(rows) / (max(ends) - min(begins)), 1e6 * sum(cpu) / sum(rows)


def _score(path: Path, ready: Any, results: Any) -> None:
    content, frames = joblib.load(path)
    estimator = joblib.load(io.BytesIO(content))
    ask = getattr(estimator, "predict_proba", None) or estimator.predict
    ask(frames[0])
    ready.wait()
    began, cpu = time.monotonic(), time.process_time()
    rows = sum(len(ask(frame)) for frame in _for_seconds(frames, 4.0))
    results.put((rows, began, time.monotonic(), time.process_time() - cpu))


def _for_seconds(frames: list[pd.DataFrame], seconds: float) -> Iterator[pd.DataFrame]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield frames[0]
        frames = [*frames[1:], frames[0]]


if __name__ == "__main__":
    main()
