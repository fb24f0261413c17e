"""All that is held of one person: her answers with the features as they were scored, and where else she stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from shared.erasure.client_holds import holds_on
from shared.erasure.find import Place, find_client
from shared.erasure.keys import ClientKey
from shared.erasure.mentions import files_with, jobs_naming
from shared.installation import read_installation
from shared.json_text.reading import read_json
from shared.models.signature import Signature
from shared.pages.errors import PageError
from shared.pages.read_row import read_row
from shared.postgres.engine import transaction

Json = dict[str, Any]


def export_client(engine: Engine, key: ClientKey) -> Json:
    """One document of plain values: her predictions by batch, and where else she is named: jobs, uploads, holds.

    A worker reads her row in the source.
    """
    with transaction(engine) as connection:
        secret = read_installation(connection).hash_secret
        places = find_client(connection, key, secret)
        pieces = (places[first : first + _PAGES] for first in range(0, len(places), _PAGES))
        versions: dict[int, _Version] = {}
        found = [row for piece in pieces for row in _predictions(connection, piece, versions)]
        _add_idempotency_keys(connection, found)
        holds = holds_on(connection, key)
    with transaction(engine) as connection:
        jobs = jobs_naming(connection, key, {row["job_id"] for row in found})
    return {
        "source": key.source.name,
        "client_key": key.text,
        "exported_at": datetime.now(UTC),
        "predictions": found,
        "jobs": jobs,
        "uploads": files_with(engine, key),
        "holds": [{name: getattr(hold, name) for name in ("id", "reason", "actor", "created_at")} for hold in holds],
    }


# A client has few rows in a page, most often one: each array is opened once for each. Many pages at a time, because to
# plan the statement takes longer than to read a page. Indexes alone: the planner takes these few rows for many.
_PAGES = 100  # of up to some 200 kB of features
_ROWS = text("""
SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
SELECT r.batch_id || '-' || p.row AS request_id, j.id AS job_id, j.kind AS job_kind, j.name AS job_name, j.owner,
       CASE WHEN o.batch_id IS NULL THEN 'open'
            WHEN o."values" IS NULL OR p.row = ANY (o.cancelled_rows) THEN 'cancelled' ELSE 'answered' END AS state,
       r.created_at AS accepted_at, r.spelled -> CAST(p.row AS text) AS spelled, r.given[p.row + 1] AS given,
       v.model, v.version AS model_version, v.title AS model_title, v.sha256 AS model_sha256,
       v.digest AS version_digest,
       o."values"[p.row + 1] AS value, o.labels[p.row + 1] AS label_number, o.threshold,
       o.scores[p.row * s.classes + 1 : (p.row + 1) * s.classes] AS scores,
       o.error_codes[e.position] AS error_code, o.error_details[e.position] AS error_detail,
       coalesce(o.claimed_at, b.claimed_at) AS claimed_at, o.created_at AS answered_at,
       coalesce(o.worker, b.worker) AS worker, coalesce(o.fence, b.fence) AS fence,
       coalesce(o.attempts, b.attempts) AS attempts, p.row, v.id AS version_id, o.features
FROM unnest(CAST(:batch_ids AS bigint[]), CAST(:rows AS integer[])) AS p (batch_id, row)
JOIN predictq.batch_requests r ON r.batch_id = p.batch_id
JOIN predictq.jobs j ON j.id = coalesce(r.job_id, r.job_ids[p.row + 1])
JOIN predictq.model_versions v ON v.id = j.model_version_id
LEFT JOIN predictq.batch_outputs o ON o.batch_id = r.batch_id
LEFT JOIN predictq.prediction_batches b ON b.id = r.batch_id
CROSS JOIN LATERAL (SELECT coalesce(cardinality(o.scores), 0) / r.request_count AS classes) s
CROSS JOIN LATERAL (SELECT array_position(o.error_rows, p.row) AS position) e
ORDER BY p.batch_id, p.row
""")


class _Version(NamedTuple):
    """What is needed of a model version to read its answers."""

    signature: Signature
    classes: list[Any]


_VERSION = text("SELECT signature, classes FROM predictq.model_versions WHERE id = :id")


def _version(connection: Connection, version_id: int) -> _Version:
    signature, classes = connection.execute(_VERSION, {"id": version_id}).one()
    return _Version(Signature.from_json(signature), classes)


def _predictions(connection: Connection, places: Sequence[Place], versions: dict[int, _Version]) -> Iterator[Json]:
    wanted = [(place.batch_id, row) for place in places for row in place.rows]
    batch_ids, rows = map(list, zip(*wanted, strict=True))
    for found in connection.execute(_ROWS, {"batch_ids": batch_ids, "rows": rows}).all():
        values = dict(found._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
        number, page, version_id = values.pop("row"), values.pop("features"), values.pop("version_id")
        if version_id not in versions:
            versions[version_id] = _version(connection, version_id)
        version = versions[version_id]
        values["label"] = label_of(values.pop("label_number"), values["value"], values["threshold"], version.classes)
        values["given"] = None if values["given"] is None else read_json(values["given"])
        is_answered = page is not None and values["state"] == "answered"
        values["features"] = _features(page, number, version.signature) if is_answered else None
        yield values


def _add_idempotency_keys(connection: Connection, found: list[Json]) -> None:
    """The Idempotency-Key that each of her jobs came with, if one did: a caller may have made it out of hers."""
    jobs = list({str(row["job_id"]) for row in found})
    keys = {} if not jobs else dict(tuple(row) for row in connection.execute(_IDEMPOTENCY_KEYS, {"jobs": jobs}))
    for row in found:
        row["idempotency_key"] = keys.get(row["job_id"])


_IDEMPOTENCY_KEYS = text("SELECT job_id, key FROM predictq.idempotency_keys WHERE job_id = ANY(CAST(:jobs AS uuid[]))")


def label_of(number: int | None, value: float | None, threshold: float | None, classes: list[Any]) -> Any:
    """The class of an answer, by its number or by the threshold."""
    if value is None:
        return None
    if number is None and threshold is not None:
        number = int(value >= threshold)
    return None if number is None else classes[number]


def _features(page: memoryview, row: int, signature: Signature) -> Json | str:
    """By name, as they were scored. JSON has no word for NaN and the infinities: they are texts."""
    try:
        values = read_row(page, row)
    except PageError as error:
        return str(error)
    return {name: _plain(value) for name, value in zip(signature.names, values, strict=True)}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
