"""The digest of a model version: one number over all that makes its answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from shared.models.signature import Signature
from shared.models.task import Task


def version_digest(
    *,
    sha256: str,
    signature: Signature,
    task: Task = Task.BINARY,
    classes: Sequence[Any] = (0, 1),
    threshold: float | None,
    source_id: int | None = None,
    requirements: str = "",
    file_format: str = "joblib",
    code_sha256: str | None = None,
) -> str:
    """SHA-256 in hex over the file and its format, code, signature, classes, threshold, source, task, requirements."""
    parts = [
        sha256,
        code_sha256,
        signature.to_json(),
        list(classes),
        None if threshold is None else float(threshold),
        source_id,
        task.value,
        requirements,
        file_format,
    ]
    text = json.dumps(_plain(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    """The value as it comes back from jsonb, which does not tell 1e16 from 10000000000000000."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
