"""A page anew without a client: her answers, her errors and her features go; the row stays as `erased`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2
import pyarrow as pa
from sqlalchemy import Connection, text

from shared.erasure.client_holds import HoldGuard
from shared.erasure.keys import ClientKey
from shared.erasure.request_rows import erase_requests, mark_for_compaction, note_jobs
from shared.logging import get_logger
from shared.pages.errors import PageDamaged
from shared.pages.key_hash import HashKeys
from shared.status import RowError
from worker.pages.key_filter import build_filter
from worker.pages.key_hash import hash_numbers, hash_texts
from worker.pages.rewrite import rewrite_without
from worker.pages.row_bits import without_rows

log = get_logger(__name__)

_DETAIL = "the client was erased"


def erase_page(guard: HoldGuard, hashes: HashKeys, secret: bytes, batch_id: int) -> int:
    """Erase the client from one page in one transaction; returns how many rows were hers. Again, it finds none.

    Raises ClientHeld.
    """
    erasure_id, key = guard.erasure_id, guard.key

    def erase(connection: Connection) -> int:
        # After a crash of the server the last pages may be as they were, and so may the place where this stands.
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        erased = erase_requests(connection, key, batch_id)
        if erased is not None:
            _erase_answers(connection, key, hashes, batch_id, erased.rows)
            connection.execute(_UNHASH, {"hash": key.hash(secret), "batch_id": batch_id})
            for parent in ("batch_outputs", "key_hashes"):
                mark_for_compaction(connection, parent, batch_id)
            note_jobs(connection, erasure_id, erased.job_ids)
        rows = 0 if erased is None else len(erased.rows)
        connection.execute(
            _ADVANCE, {"id": str(erasure_id), "batch_id": batch_id, "pages": min(rows, 1), "answers": rows}
        )
        return rows

    return guard.do(erase)


_UNHASH = text("DELETE FROM predictq.key_hashes WHERE hash = :hash AND batch_id = :batch_id")
_ADVANCE = text("""
UPDATE predictq.erasures
SET position = greatest(position, :batch_id), pages = pages + :pages, answers = answers + :answers
WHERE id = :id
""")
_LOCK = text("""
SELECT o."values" IS NOT NULL AS has_values, o.labels IS NOT NULL AS has_labels, o.request_count,
       cardinality(o.scores) AS scores, o.error_rows, o.error_codes, o.error_details,
       coalesce(o.cancelled_rows, '{}') AS cancelled_rows, coalesce(o.erased_rows, '{}') AS erased_rows, o.features,
       o.key_filter IS NOT NULL AS has_filter, o.notes
FROM predictq.batch_outputs o WHERE o.batch_id = :batch_id FOR UPDATE
""")


def _erase_answers(
    connection: Connection, key: ClientKey, hashes: HashKeys, batch_id: int, rows: tuple[int, ...]
) -> None:
    page = connection.execute(_LOCK, {"batch_id": batch_id}).one_or_none()
    if page is None:
        return
    numbers, codes, details = _errors(page, rows)
    values: dict[str, Any] = {
        "batch_id": batch_id,
        "erased_rows": sorted({*page.erased_rows, *rows}),
        "error_rows": numbers,
        "error_codes": codes,
        "error_details": details,
    }
    changes = [f"{name} = CAST(:{name} AS {kind}[])" for name, kind in _ARRAYS.items()]
    changes += [f"{element} = NULL" for element in _elements(page, rows)]
    if page.features is not None:
        changes.append("features = :features")
        values["features"] = _without(page.features, rows, batch_id)
    if page.notes and "unknown_rows" in page.notes:
        changes.append("notes = CAST(:notes AS jsonb)")
        unknown = {feature: without_rows(bits, rows) for feature, bits in page.notes["unknown_rows"].items()}
        values["notes"] = json.dumps({**page.notes, "unknown_rows": unknown})
    if page.has_filter:
        changes.append("key_filter = :key_filter")
        values["key_filter"] = psycopg2.Binary(build_filter(_remaining(connection, key, hashes, batch_id)))
    connection.execute(
        text(f"UPDATE predictq.batch_outputs SET {', '.join(changes)} WHERE batch_id = :batch_id"), values
    )


_ARRAYS = {"erased_rows": "integer", "error_rows": "integer", "error_codes": "text", "error_details": "text"}


def _elements(page: Any, rows: tuple[int, ...]) -> list[str]:
    """The elements of the page's arrays that are hers. Counts of the page stay."""
    found: list[str] = []
    for row in rows:
        found += [f'"values"[{row + 1}]'] if page.has_values else []
        found += [f"labels[{row + 1}]"] if page.has_labels else []
        classes = (page.scores or 0) // page.request_count
        found += [f"scores[{row * classes + number + 1}]" for number in range(classes)]
    return found


def _errors(page: Any, rows: tuple[int, ...]) -> tuple[list[int] | None, list[str] | None, list[str] | None]:
    """The page's errors, with `erased` for her rows; a cancelled row gets none that had none."""
    errors = {
        number: (code, detail)
        for number, code, detail in zip(
            page.error_rows or (), page.error_codes or (), page.error_details or (), strict=True
        )
    }
    for row in rows:
        if page.has_values and (row in errors or row not in page.cancelled_rows):
            errors[row] = (RowError.ERASED.value, _DETAIL)
    numbers = sorted(errors)
    if not numbers:
        return None, None, None
    return numbers, [errors[number][0] for number in numbers], [errors[number][1] for number in numbers]


def _without(features: memoryview, rows: tuple[int, ...], batch_id: int) -> Any:
    try:
        return psycopg2.Binary(rewrite_without(features, rows))
    except PageDamaged:
        # Nobody can read it, and she may be in it.
        log.warning("damaged features removed by an erasure", batch_id=batch_id)
        return None


def _remaining(connection: Connection, key: ClientKey, hashes: HashKeys, batch_id: int) -> npt.NDArray[np.int64]:
    """The hashes of the keys that the page of requests still holds."""
    query = f"SELECT {key.column}::text[] FROM predictq.batch_requests WHERE batch_id = :batch_id"
    if key.source.storage == "int8":
        query = query.replace("::text[]", "")
    keys = connection.execute(text(query), {"batch_id": batch_id}).scalar_one()
    kept = [item for item in keys if item is not None]
    if key.source.storage == "int8":
        return hash_numbers(hashes, np.array(kept, np.int64))
    return hash_texts(hashes, pa.array(kept, pa.string()))
