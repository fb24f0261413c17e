"""The statements that read the rows of one page of answers, by what the model answers and how its clients are named.

The part of each array of a page that is wanted is cut out once, side by side: a subscript would open an array anew for
each row. What all rows of a page have in common comes with the statement. A page in which each row has an answer, as
most are, is read as it lies: the join with its errors and the sort after it would cost as much again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.models.task import Task, class_name


@dataclass(frozen=True, slots=True)
class JobShape:
    """What all rows of a job have in common. `key_columns` are those of its source, as stored; None without one."""

    model: str
    version: int
    task: Task
    classes: Sequence[Any]
    key_columns: Sequence[dict[str, Any]] | None

    @property
    def has_composite_keys(self) -> bool:
        """Whether a key is more than one column."""
        return self.key_columns is not None and len(self.key_columns) > 1

    @property
    def key_parts(self) -> list[str]:
        """The names of the columns of a composite key; none of another one."""
        return [str(column["name"]) for column in self.key_columns or ()] if self.has_composite_keys else []


class Page(NamedTuple):
    """The rows of one batch that are to be read: from `first` on, before `last`."""

    batch_id: int
    first: int
    last: int
    is_clean: bool  # each row has an answer
    storage: str | None  # of its keys; None where no row names a client
    has_spellings: bool  # whether a caller wrote a key otherwise than it is shown by nature
    rows: int  # that it has from its start on: each with an answer or an error

    def parameters(self, shape: JobShape) -> dict[str, Any]:
        """What the statement is given: the names of the classes as JSON and as text, and where the page lies."""
        negative, positive = shape.classes if len(shape.classes) == 2 else (None, None)
        return {
            "batch_id": self.batch_id,
            "first": self.first,
            "last": self.last,
            "prefix": f"{self.batch_id}-",
            "model": shape.model,
            "version": shape.version,
            "classes": json.dumps(list(shape.classes)),
            "key_columns": json.dumps(list(shape.key_columns or ())),
            "negative": json.dumps(negative),
            "positive": json.dumps(positive),
            "negative_text": class_name(negative),
            "positive_text": class_name(positive),
            **{f"class_{number}": class_name(name) for number, name in enumerate(shape.classes)},
            **{f"part_{number}": name for number, name in enumerate(shape.key_parts)},
        }


_JSON_LABEL = """CASE WHEN u.label IS NOT NULL THEN (%(classes)s::jsonb -> u.label::integer)::json
                 WHEN u.value >= o.threshold THEN %(positive)s::json
                 WHEN u.value IS NOT NULL THEN %(negative)s::json END"""
_TEXT_LABEL = """CASE WHEN u.label IS NOT NULL THEN %(classes)s::jsonb ->> u.label::integer
                 WHEN u.value >= o.threshold THEN %(positive_text)s
                 WHEN u.value IS NOT NULL THEN %(negative_text)s END"""

# No row of a page that an erasure or retention has changed since it was listed: it is none of this kind any more.
_CLEAN = "WHERE o.batch_id = %(batch_id)s AND o.erased_rows IS NULL AND o.gone_rows IS NULL"
_WITH_ERRORS = """
LEFT JOIN LATERAL ROWS FROM (unnest(o.error_rows), unnest(o.error_codes), unnest(o.error_details))
    AS e (row, code, detail) ON e.row = u.n - 1
WHERE o.batch_id = %(batch_id)s
    AND (o.cancelled_rows IS NULL OR u.n - 1 <> ALL (o.cancelled_rows))
    AND (o.gone_rows IS NULL OR u.n - 1 <> ALL (o.gone_rows))
ORDER BY u.n
"""


def statement(shape: JobShape, page: Page, *, as_json: bool) -> str:
    """The statement for the rows of a page, for the driver; client ids and labels as JSON values, or as text.

    Its columns are RESULT_COLUMNS; of a multiclass model then `probabilities`, an object, or a column per class; at
    last, as text, a column for each part of a composite key.
    """
    error = ("NULL::text", "NULL::text") if page.is_clean else ("e.code", "e.detail")
    columns = [
        "%(prefix)s || (u.n - 1) AS request_id",
        f"{_client(shape, page, as_json=as_json)} AS client_id",
        *_answer(shape, as_json=as_json),
        "%(version)s AS model_version",
        f"{error[0]} AS error_code",
        f"{error[1]} AS error_detail",
        "%(model)s AS model",
        f"{_key(page)} AS key",
        f"{'u.value' if shape.task is Task.REGRESSION else 'NULL::float8'} AS value",
        *_scores(shape, as_json=as_json),
        *([] if as_json else _key_parts(shape, page)),
    ]
    arrays = ['o."values"', "o.labels", *([f"p.keys_{page.storage}"] if page.storage else [])]
    cuts = ", ".join(f"unnest({array}[%(first)s + 1 : %(last)s])" for array in arrays)
    names = ["value", "label", *(["key"] if page.storage else [])]
    joins = ""
    if page.has_spellings:
        joins += "\nLEFT JOIN LATERAL jsonb_each(p.spelled) s (row, value) ON s.row = (u.n - 1)::text"
    if shape.task is Task.MULTICLASS:
        joins += f"\nLEFT JOIN LATERAL ({_scores_by_row(len(shape.classes))}) c ON c.row = u.n - 1"
    return f"""
SELECT {", ".join(columns)}
FROM predictq.batch_outputs o
JOIN predictq.batch_requests p ON p.batch_id = o.batch_id
CROSS JOIN LATERAL (
    SELECT c.*, %(first)s + c.nth AS n FROM ROWS FROM ({cuts}) WITH ORDINALITY AS c ({", ".join(names)}, nth)
) u{joins}
{_CLEAN if page.is_clean and not joins else _ordered(page)}"""


def error_statement(shape: JobShape, page: Page, *, as_json: bool) -> str:
    """The same for the rows with an error alone; with `%(code)s` not null, with that one.

    They are found from the errors, so that a page costs what it has of them.
    """
    kind = "json" if as_json else "text"
    scores = [f"NULL::float8 AS score_{number}" for number in range(len(shape.classes))]
    if as_json:
        scores = ["NULL::json AS probabilities"]
    columns = [
        "%(prefix)s || (u.n - 1) AS request_id",
        f"{_client(shape, page, as_json=as_json)} AS client_id",
        "NULL::float8 AS probability",
        f"NULL::{kind} AS label",
        "NULL::float8 AS threshold",
        "%(version)s AS model_version",
        "u.code AS error_code",
        "u.detail AS error_detail",
        "%(model)s AS model",
        f"{_key(page)} AS key",
        "NULL::float8 AS value",
        *(scores if shape.task is Task.MULTICLASS else []),
        *([] if as_json else _key_parts(shape, page)),
    ]
    key = f"p.keys_{page.storage}[e.row + 1] AS key, " if page.storage else ""
    spelled = "\nLEFT JOIN LATERAL jsonb_each(p.spelled) s (row, value) ON s.row = (u.n - 1)::text"
    return f"""
SELECT {", ".join(columns)}
FROM predictq.batch_outputs o
JOIN predictq.batch_requests p ON p.batch_id = o.batch_id
CROSS JOIN LATERAL (
    SELECT {key}e.row + 1 AS n, e.code, e.detail
    FROM ROWS FROM (unnest(o.error_rows), unnest(o.error_codes), unnest(o.error_details)) AS e (row, code, detail)
    WHERE e.row >= %(first)s AND e.row < %(last)s AND (%(code)s IS NULL OR e.code = %(code)s)
        AND (o.cancelled_rows IS NULL OR e.row <> ALL (o.cancelled_rows))
        AND (o.gone_rows IS NULL OR e.row <> ALL (o.gone_rows))
) u{spelled if page.has_spellings else ""}
WHERE o.batch_id = %(batch_id)s
ORDER BY u.n"""


def _ordered(page: Page) -> str:
    return f"{_CLEAN}\nORDER BY u.n" if page.is_clean else _WITH_ERRORS


def _client(shape: JobShape, page: Page, *, as_json: bool) -> str:
    """The client as the caller wrote it, else by nature."""
    if page.storage is None:
        return "NULL::text"
    if shape.has_composite_keys and page.storage == "text":
        natural = "predictq.natural_key(%(key_columns)s::jsonb, u.key)"
        if page.has_spellings:
            natural = f"coalesce(s.value, {natural})"
        return natural if as_json else f"({natural} #>> '{{}}')"
    if not page.has_spellings:
        return "u.key"
    return "coalesce(s.value, to_jsonb(u.key))" if as_json else "coalesce(s.value #>> '{}', u.key::text)"


def _key(page: Page) -> str:
    return "CASE WHEN s.row IS NOT NULL THEN u.key::text END" if page.storage and page.has_spellings else "NULL::text"


def _key_parts(shape: JobShape, page: Page) -> list[str]:
    """Each part of a composite key as the source has it, to be joined by; as written where no row can have it."""
    if page.storage != "text":
        return [f"NULL::text AS part_{number}" for number in range(len(shape.key_parts))]
    written = "s.value ->> %(part_{0})s" if page.has_spellings else "NULL"
    return [
        f"coalesce(u.key::jsonb ->> {number}, {written.format(number)}) AS part_{number}"
        for number in range(len(shape.key_parts))
    ]


def _answer(shape: JobShape, *, as_json: bool) -> list[str]:
    label = _JSON_LABEL if as_json else _TEXT_LABEL
    if shape.task is Task.REGRESSION:
        kind = "json" if as_json else "text"
        return ["NULL::float8 AS probability", f"NULL::{kind} AS label", "NULL::float8 AS threshold"]
    return [
        "u.value AS probability",
        f"{label} AS label",
        "CASE WHEN u.value IS NOT NULL THEN o.threshold END AS threshold",
    ]


def _scores(shape: JobShape, *, as_json: bool) -> list[str]:
    if shape.task is not Task.MULTICLASS:
        return []
    numbers = range(len(shape.classes))
    if not as_json:
        return [f"c.score_{number}" for number in numbers]
    pairs = ", ".join(f"%(class_{number})s, c.score_{number}" for number in numbers)
    return [f"CASE WHEN u.value IS NOT NULL THEN json_build_object({pairs}) END AS probabilities"]


def _scores_by_row(classes: int) -> str:
    columns = ", ".join(
        f"max(s.score) FILTER (WHERE (s.n - 1) %% {classes} = {number}) AS score_{number}" for number in range(classes)
    )
    return f"""SELECT %(first)s + (s.n - 1) / {classes} AS row, {columns}
    FROM unnest(o.scores[{classes} * %(first)s + 1 : {classes} * %(last)s]) WITH ORDINALITY s (score, n) GROUP BY 1"""
