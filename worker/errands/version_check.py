"""A version and rows of its source into a closed process, and what was seen of them out of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from worker.closed.process import SECONDS, Closed
from worker.models.references.kept import KeptReference
from worker.sources.sampling import Sample


def check_closed(
    closed: Closed,
    record: dict[str, Any],
    content: bytes,
    code: bytes | None,
    kept: KeptReference | None,
    sample: Sample,
    *,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """The report of worker.models.check on `sample`. `record` is the version, as JSON. Raises ErrandRefused."""
    asked = {
        "version": {"record": record, "answers": None if kept is None else kept.answers},
        "refused": {str(row): [why.code.value, why.detail] for row, why in sample.refused.items()},
    }
    blobs = [content, _as_stream(sample.features), b"" if kept is None else kept.features, *([code] if code else [])]
    return closed("check", asked, *blobs, seconds=seconds)


def _as_stream(features: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, features.schema) as writer:
        writer.write_table(features)
    return bytes(sink.getvalue())
