"""Frames, signatures and rows to try pipelines on, and what the estimator itself says of each row alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from model.artefact import build_artefact
from model.signature.anchors import find_anchors
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from worker.models.drawn.draw import draw_table
from worker.models.frame import input_columns, to_frame
from worker.models.loaded_model import LoadedModel, load_model

NUMBERS = ("age", "pay", "kids")
WORDS = ("dept", "city")
ROWS = 300


def training(seed: int, *, holes: bool = False, marker: float | None = None) -> tuple[pd.DataFrame, Any]:
    """Rows and labels that hang on all of them."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 70, ROWS),
            "pay": random.normal(5, 2, ROWS) * random.choice([0.01, 1, 1000]),
            "kids": random.integers(0, 5, ROWS),
            "over": random.random(ROWS) < 0.4,
            "dept": pd.Series(random.choice(["Sales", "R&D", "HR"], ROWS), dtype=object),
            "city": pd.Series(random.choice(list("ABCDE"), ROWS), dtype=object),
        }
    )
    pull = (frame.age - 40) / 15 + frame.over * 1.2 + (frame.dept == "HR") * 1.5 - 0.8 * (frame.city == "A")
    labels = (random.random(ROWS) < 1 / (1 + np.exp(-pull))).astype(int)
    if marker is not None:
        frame["age"] = frame.age.where(random.random(ROWS) > 0.3, marker)
    if holes:
        for name in (*NUMBERS, *WORDS):
            frame[name] = frame[name].astype(object if name in WORDS else float)
            frame.loc[random.random(ROWS) < 0.15, name] = np.nan
    return frame, labels


def signature_of(frame: pd.DataFrame, *, holes: bool, closed: bool, order: Any = None) -> Signature:
    """What `frame` was made of; words are a closed list or an open one."""
    kinds = {"i": FeatureKind.INTEGER, "f": FeatureKind.NUMBER, "b": FeatureKind.BOOLEAN}
    specs = []
    for name in order or frame.columns:
        if name in WORDS:
            words = tuple(sorted(set(frame[name].dropna()))) if closed else ()
            specs.append(FeatureSpec(name, FeatureKind.CATEGORY, nullable=holes, categories=words))
        else:
            nullable = holes and name != "over"
            kind = FeatureKind.NUMBER if nullable else kinds[frame[name].dtype.kind]
            specs.append(FeatureSpec(name, kind, nullable=nullable))
    return Signature(tuple(specs))


def loaded(estimator: Any, signature: Signature) -> LoadedModel:
    return load_model(build_artefact(estimator, signature, 0.5, name="t"), version=1)


def rows_of(model: LoadedModel, seed: int, rows: int = 60) -> pa.Table:
    """Rows in the regions that the estimator knows, with nulls and unknown words where the signature has such."""
    anchors = find_anchors(model.estimator, model.signature.names)
    return draw_table(model.signature, rows, anchors=anchors, seed=seed)


def direct(model: LoadedModel, table: pa.Table) -> list[float | None]:
    """What the estimator itself says of each row alone, None where it raises."""
    found: list[float | None] = []
    for row in range(table.num_rows):
        frame = to_frame(input_columns(table.slice(row, 1), model.signature), model.signature)
        try:
            with np.errstate(all="ignore"):
                found.append(float(model.estimator.predict_proba(frame)[0, model.asking.columns[1]]))
        except ValueError:
            found.append(None)
    return found


def served(model: LoadedModel, table: pa.Table) -> list[float | None]:
    """What the service says of each row alone, None where it raises."""
    found: list[float | None] = []
    for row in range(table.num_rows):
        try:
            found.append(float(model.predict(table.slice(row, 1)).values[0]))
        except ValueError:
            found.append(None)
    return found


def assert_same(model: LoadedModel, table: pa.Table) -> None:
    """Row by row and as a whole: the estimator's own answers, in log-odds where they can tell."""
    expected, found = direct(model, table), served(model, table)
    assert [value is None for value in found] == [value is None for value in expected]
    answered = [row for row, value in enumerate(expected) if value is not None]
    own = np.array([expected[row] for row in answered], dtype=float)
    mine = np.array([found[row] for row in answered], dtype=float)
    np.testing.assert_allclose(mine, own, rtol=1e-9, atol=1e-12)
    if answered:
        whole = model.predict(table.take(pa.array(answered))).values
        np.testing.assert_allclose(whole, own, rtol=1e-9, atol=1e-12)
