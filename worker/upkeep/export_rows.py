"""One page as a table of its rows, for an export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from shared.models.task import Task, class_name
from shared.pages.errors import PageDamaged
from worker.pages.decode import decode_features

_TIME = pa.timestamp("us", "UTC")


class ExportedJob(NamedTuple):
    """What an export says of the job that a row belongs to."""

    owner: str
    name: str | None
    where: Any  # the filter of a selection, as it was asked


_UNKNOWN = ExportedJob("", None, None)


def page_table(page: Any, jobs: Mapping[str, ExportedJob], features: pa.Array) -> pa.Table:
    """The rows of a page, with the features by name as they were scored; `features` is null where there are none.

    `page` is a row with the columns of a page of answers, of its page of requests and of its model version; `jobs` has
    its jobs by id. `status` is succeeded, failed, cancelled or erased. Of a model of more than two classes each has a
    column `probability_CLASS`. `spelled` is the key as the caller wrote it, where that is not `client_id`; it, `given`
    (the features that came with the call) and `job_filter` are JSON.
    """
    count = page.request_count
    job_ids = page.job_ids * count if len(page.job_ids) != count else page.job_ids
    of_row = [jobs.get(job_id, _UNKNOWN) for job_id in job_ids]
    errors = dict(
        zip(page.error_rows or (), zip(page.error_codes or (), page.error_details or (), strict=True), strict=True)
    )
    cancelled = frozenset(range(count) if page.answers is None else page.cancelled_rows or ())
    erased = frozenset(page.erased_rows or ())
    values = page.answers if page.answers is not None else [None] * count
    answered = [value is not None for value in values]
    table = pa.table(
        {
            "request_id": pa.array([f"{page.batch_id}-{row}" for row in range(count)], pa.string()),
            "job_id": pa.array(job_ids, pa.string()),
            "client_id": pa.array(page.client_keys or [None] * count, pa.string()),
            "status": pa.array([_status(row, errors, cancelled, erased) for row in range(count)], pa.string()),
            "value": pa.array(values, pa.float64()),
            "label": pa.array([_label(page, row, values[row]) for row in range(count)], pa.string()),
            "threshold": pa.array([page.threshold if there else None for there in answered], pa.float64()),
            "model": pa.array([page.model] * count, pa.string()),
            "model_version": pa.array([page.version] * count, pa.int32()),
            "error_code": pa.array([errors.get(row, (None, None))[0] for row in range(count)], pa.string()),
            "error_detail": pa.array([errors.get(row, (None, None))[1] for row in range(count)], pa.string()),
            "accepted_at": pa.array([page.accepted_at] * count, _TIME),
            "claimed_at": pa.array([page.claimed_at] * count, _TIME),
            "answered_at": pa.array([page.answered_at] * count, _TIME),
            "features": features,
            "owner": pa.array([job.owner for job in of_row], pa.string()),
            "job_name": pa.array([job.name for job in of_row], pa.string()),
            "job_filter": pa.array([_json(job.where) for job in of_row], pa.string()),
            "spelled": pa.array([_json((page.spelled or {}).get(str(row))) for row in range(count)], pa.string()),
            "given": pa.array(page.given or [None] * count, pa.string()),
            **_probabilities(page),
        }
    )
    gone = frozenset(page.gone_rows or ())
    return table.take([row for row in range(count) if row not in gone]) if gone else table


def _status(row: int, errors: dict[int, Any], cancelled: frozenset[int], erased: frozenset[int]) -> str:
    if row in cancelled:
        return "cancelled"
    if row in erased:
        return "erased"
    return "failed" if row in errors else "succeeded"


def _label(page: Any, row: int, value: float | None) -> str | None:
    if value is None:
        return None
    number = page.labels[row] if page.labels is not None else None
    if number is None and page.threshold is not None:
        number = int(value >= page.threshold)
    return None if number is None else class_name(page.classes[number])


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _probabilities(page: Any) -> dict[str, pa.Array]:
    """A column for each class of a model of more than two, named as in a file of results."""
    classes = page.classes if page.task == Task.MULTICLASS else []
    scores = page.scores or [None] * (page.request_count * len(classes))
    return {
        f"probability_{class_name(label)}": pa.array(scores[number :: len(classes)], pa.float64())
        for number, label in enumerate(classes)
    }


def features_of(page: Any) -> pa.Array:
    """The features of a page by name, a struct for each row; nulls where it has none, as of a cancelled batch.

    Raises PageDamaged, PageFormatUnknown.
    """
    names = [feature["name"] for feature in page.signature["features"]]
    if page.features is None or not names:
        return pa.nulls(page.request_count)
    columns = [column.to_arrow() for column in decode_features(page.features)]
    plain = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in columns]
    if len(plain) != len(names) or any(len(column) != page.request_count for column in plain):
        raise PageDamaged("it has not the columns and rows that its version and its batch say")
    return pa.StructArray.from_arrays(plain, names=names)
