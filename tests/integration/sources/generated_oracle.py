"""What the estimator itself says of the rows of a made table, and holding an answer against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from shared.jobs.accepting.singles import Target
from shared.models.signature import FeatureSpec
from shared.sources.source import Source
from tests.integration.sources.generated_models import (
    FLOATS,
    INTEGERS,
    TIMES,
    Recipe,
    Rows,
    frame_of,
    training_frame,
    value,
)
from tests.integration.sources.generated_tables import MadeColumn, Table, quoted
from worker.models.loaded_model import LoadedModel

EXACT = 2**53


@dataclass
class Case:
    """A table, a model of it that is live, and what the estimator says of each row that it can score."""

    table: Table
    source: Source
    target: Target
    recipe: Recipe
    estimator: Any
    classes: list[Any]
    model: LoadedModel
    keys: list[list[str]]  # the canonical form of each column of the key, in key order, row by row
    rows: Rows
    frame: pd.DataFrame  # of the rows that can be scored
    own: dict[int, Any]  # by row: the value, or the probabilities of the classes
    errors: dict[int, set[str]]  # by row: what may be said of one that cannot
    scale: float

    @property
    def kinds(self) -> list[str]:
        """The types of the key's columns."""
        return [kind for _, kind in self.table.key]

    def natural(self, row: int) -> Any:
        """A row's key as JSON has it."""
        parts = [int(part) if kind in INTEGERS else part for kind, part in zip(self.kinds, self.keys[row], strict=True)]
        return parts[0] if len(parts) == 1 else dict(zip([name for name, _ in self.table.key], parts, strict=True))

    def canonical(self, row: int) -> str:
        """Its canonical form."""
        parts = self.keys[row]
        return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def read_as_text(driver: PsycopgConnection, table: Table) -> tuple[list[list[str]], Rows]:
    """PostgreSQL's text of all rows in key order: of the key's columns, and of the others by name."""
    forms = {"numeric": "trim_scale({})::text", "citext": "lower({}::text)"}
    key = [forms.get(kind, "{}::text").format(quoted(name)) for name, kind in table.key]
    # A char has its blanks in all that is read, and loses them in a cast.
    columns = [
        f"rpad({quoted(column.name)}::text, 6)" if column.type.base == "char" else f"{quoted(column.name)}::text"
        for column in table.columns
    ]
    order = ", ".join(f"t.{quoted(name)}" for name, _ in table.key)
    with driver.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([*key, *columns])} FROM {table.relation} t ORDER BY {order}")
        found = cursor.fetchall()
    keys = [list(row[: len(key)]) for row in found]
    return keys, {column.name: [row[len(key) + n] for row in found] for n, column in enumerate(table.columns)}


def finite_rows(frame: pd.DataFrame) -> Any:
    numbers = frame.select_dtypes("number")
    return ~np.isinf(numbers.to_numpy(dtype=float)).any(axis=1) if numbers.shape[1] else np.ones(len(frame), dtype=bool)


def ask_directly(case: Case, used: Sequence[MadeColumn]) -> None:
    """Fill in what the estimator itself says, and which rows it must not be asked for."""
    signature = case.model.signature
    assert list(signature.names) == [column.name for column in used]
    kinds = {column.name: column.type.base for column in used}
    count = len(case.keys)
    for row in range(count):
        codes = {_refusal(spec, kinds[spec.name], case.rows[spec.name][row]) for spec in signature.features} - {None}
        if codes:
            case.errors[row] = codes  # type: ignore[assignment]
    good = [row for row in range(count) if row not in case.errors]
    case.frame = frame_of(_only(case.rows, good), signature, used)
    if good:
        # A gap is what it was in the training, if there was one.
        gaps = {column.name: case.recipe.gap for column in used if None in case.rows[column.name]}
        own = own_answers(case, frame_of(_only(case.rows, good), signature, used, gaps))
        case.own = dict(zip(good, own, strict=True))
        case.scale = max(1.0, float(np.abs(own).max()))
    for row, codes in case.errors.items():
        if codes == {"missing_feature"}:
            # What is refused for a gap the estimator must refuse, too.
            alone = training_frame(_only(case.rows, [row]), used, case.recipe.gap)
            assert not _answers(case, alone), f"the estimator takes the gap of row {row}: {alone.to_dict('records')}"


def _answers(case: Case, frame: pd.DataFrame) -> bool:
    try:
        return bool(np.isfinite(np.asarray(own_answers(case, frame), dtype=float)).all())
    except Exception:  # noqa: BLE001 - whatever an estimator raises
        return False


def _only(rows: Rows, places: Sequence[int]) -> Rows:
    return {name: [texts[place] for place in places] for name, texts in rows.items()}


def own_answers(case: Case, frame: pd.DataFrame) -> Any:
    if not case.classes:
        return case.estimator.predict(frame)
    known = list(case.estimator.classes_)
    return case.estimator.predict_proba(frame)[:, [known.index(label) for label in case.classes]]


def _refusal(spec: FeatureSpec, kind: str, cell: str | None) -> str | None:
    """What must be said of a cell that cannot be scored."""
    if cell is None:
        return None if spec.nullable else "missing_feature"
    found = value(kind, cell)
    is_wrong = (
        (kind in FLOATS and not np.isfinite(found))
        or (kind in INTEGERS and spec.dtype != "int64" and abs(found) > EXACT)
        or (kind in TIMES and found is None)
        or bool(spec.categories and found not in spec.categories)
    )
    return "invalid_feature" if is_wrong else None


def assert_close(case: Case, found: Any, own: Any) -> None:
    np.testing.assert_allclose(found, own, rtol=1e-12, atol=1e-15 * case.scale)


def assert_own(case: Case, row: int, answer: Any) -> None:
    """An answer, a row of results, is what the estimator says of this row of the table: the numbers and the label."""
    if row in case.errors:
        assert answer.error_code in case.errors[row], (row, answer)
        return
    assert answer.error_code is None, (row, answer)
    own = case.own[row]
    if not case.classes:
        assert_close(case, answer.value, own)
    elif case.recipe.task == "binary":
        assert_close(case, answer.probability, own[1])
        assert answer.threshold == (case.recipe.threshold or 0.5)
        if abs(own[1] - answer.threshold) > 1e-12:
            assert answer.label == case.classes[int(own[1] >= answer.threshold)]
    else:
        said = [answer.probabilities[str(label)] for label in case.classes]
        assert_close(case, said, own)
        first, second = sorted(own)[-1:-3:-1]
        if first - second > 1e-12:
            assert answer.label == case.classes[int(np.argmax(own))]


def assert_same_frame(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same to the bit: dtypes, signs of zero, and whether nothing is None or NaN."""
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    for name in expected.columns:
        if expected[name].dtype == object:
            assert [cell is None for cell in found[name]] == [cell is None for cell in expected[name]], name
        elif expected[name].dtype.kind == "f":
            assert np.array_equal(np.signbit(found[name]), np.signbit(expected[name])), name
