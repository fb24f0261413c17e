"""A worker whose answers are wrong, or whose trace is: what only the oracle can tell."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.torture.sabotage.replacing import replace


def stale_features() -> None:
    """A worker remembers the features that it has read of a client, and reads them no more."""
    import pyarrow as pa

    from worker.scoring import scorer

    read = scorer.read_rows
    known: dict[int, dict[str, Any]] = {}

    def remember(engine: Any, claims: Any, signature: Any) -> Any:
        rows = read(engine, claims, signature)
        cells = [
            known.setdefault(key, row) if there else row
            for key, there, row in zip(rows.keys.tolist(), rows.is_known, rows.features.to_pylist(), strict=True)
        ]
        return dataclasses.replace(rows, features=pa.Table.from_pylist(cells, schema=rows.features.schema))

    replace(scorer, "read_rows", remember)


def lying_trace() -> None:
    """The page shows beside each answer what the row before it was scored by."""
    from worker.scoring import scorer

    make = scorer.make_page

    def lie(claim: Any, rows: Any, *others: Any, **options: Any) -> Any:
        shifted = [len(rows) - 1, *range(len(rows) - 1)]
        return make(claim, dataclasses.replace(rows, features=rows.features.take(shifted)), *others, **options)

    replace(scorer, "make_page", lie)


def compiled_unchecked() -> None:
    """The compiled form of a linear model is off by 0.5 in the logit, and nobody holds it against the estimator."""
    from worker.models import loaded_model
    from worker.models.linear.compile import compile_linear
    from worker.models.linear.compiled import LinearModel

    right = LinearModel.logits

    def wrong(self: LinearModel, columns: Any) -> Any:
        return right(self, columns) + 0.5

    def unchecked(model: Any) -> Any:
        try:
            return compile_linear(model.estimator, model.signature, model.asking.columns[1])
        except Exception:  # noqa: BLE001 - the other model is not linear
            return None

    replace(LinearModel, "logits", wrong)
    replace(loaded_model, "_checked_linear", unchecked)
