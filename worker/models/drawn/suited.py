"""Which rows are drawn for a model: such as it answers.

Nothing in a file tells that an estimator takes logarithms of fifteen amounts. Of numbers drawn at large it would refuse
nearly every row, and be refused itself for what no client has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from model.answering import Asking
from model.signature.anchors import find_anchors
from shared.models.signature import Signature
from worker.models.drawn.draw import Limits, draw_table
from worker.models.frame import input_columns, to_frame

# Of numbers of which nothing is known: at large; amounts and counts; shares.
_WAYS: tuple[Limits | None, ...] = (None, (1.0, 100.0), (0.01, 0.99))
_TRIED = 20
Words = Mapping[str, Sequence[str]]
_ENOUGH = 0.5  # of these answered: no other way is tried


@dataclass(frozen=True, slots=True)
class Drawn:
    """The rows, and between which ends numbers lie of which nothing is known; None: anywhere."""

    table: pa.Table
    limits: Limits | None


def draw_for(
    asking: Asking, signature: Signature, rows: int, *, with_unknown: bool = True, words: Words | None = None
) -> Drawn:
    """Rows that the signature allows, drawn in the first way of which the estimator answers half, or else the best.

    `words`: of features of which the estimator's parts tell none.
    """
    anchors = find_anchors(asking.estimator, signature.names)
    for name, known in (words or {}).items():
        if name in anchors and not (anchors[name].words or anchors[name].vocabulary):
            anchors[name].words = list(known)

    def drawn(limits: Limits | None, count: int, *, strange: bool) -> pa.Table:
        return draw_table(signature, count, anchors=anchors, with_unknown=strange, limits=limits)

    most, best = 0, _WAYS[0]
    for limits in _WAYS:
        found = _answered(asking, signature, without_gaps(drawn(limits, _TRIED, strange=False)))
        if found > most:
            most, best = found, limits
        if found >= _ENOUGH * _TRIED:
            break
    return Drawn(drawn(best, rows, strange=with_unknown), best)


def _answered(asking: Asking, signature: Signature, table: pa.Table) -> int:
    """How many rows are answered; each is asked for alone only where one of them ends the call."""
    if (together := _numbers(asking, signature, table)) is not None:
        return together
    return sum(_numbers(asking, signature, table.slice(row, 1)) or 0 for row in range(table.num_rows))


def _numbers(asking: Asking, signature: Signature, table: pa.Table) -> int | None:
    """How many of the answers are a number; None where the call raises."""
    try:
        values: Any = asking(to_frame(input_columns(table, signature), signature)).values
    except Exception:  # noqa: BLE001 - whatever an estimator of others raises
        return None
    return int((values == values).sum())


def without_gaps(table: pa.Table) -> pa.Table:
    """The table with each gap filled with a value of its column."""
    columns = []
    for column in table.columns:
        array = column.combine_chunks()
        known = array.drop_null()
        places = [place % max(len(known), 1) for place in range(len(array))]
        columns.append(known.take(pa.array(places)) if len(known) else array)
    return pa.Table.from_arrays(columns, schema=table.schema)
