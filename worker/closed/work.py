"""What is done inside a closed process: JSON and bytes in, JSON out. Here are the libraries of models."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from model.artefact import Artefact
from model.code.importing import install_code
from model.formats import FORMATS
from model.signature.said import with_kinds_of_columns
from shared.models.registry import ModelVersion
from shared.models.signature import Signature
from shared.models.signature_reading import open_gaps
from shared.models.task import Task
from shared.sources.source import SourceColumn
from shared.status import RowError
from worker.models.check import check_model
from worker.models.drawn.suited import Words
from worker.models.loaded_model import load_model
from worker.models.references.answers import Reference, is_another_patch
from worker.models.references.rows import draw_reference
from worker.models.registration import Offer, prepare
from worker.models.stored_version import StoredVersion, metadata_of
from worker.scoring.feature_reader import Refusal


def prepare_file(asked: dict[str, Any], content: bytes, code: bytes = b"") -> dict[str, Any]:
    """A file that was offered, and the code it brings, to what its version is to be and what it answered to drawn rows.

    Code stays importable: it is for a process that ends after this.
    """
    if code:
        install_code(code)
    columns = None if asked.get("columns") is None else [SourceColumn(**column) for column in asked["columns"]]
    given = with_kinds_of_columns(asked.get("signature"), columns)
    artefact = prepare(
        Offer(
            content,
            asked["name"],
            None if given is None else Signature.from_json(given),
            columns=columns,
            source_id=asked.get("source_id"),
            positive=asked.get("positive"),
            threshold=asked.get("threshold"),
            allow=tuple(asked.get("allow") or ()),
            force=asked.get("force"),
            formats=tuple(asked.get("formats") or FORMATS),
            code=code or None,
            others=dict(asked.get("others") or {}),
            open_gaps=() if given is None else open_gaps(given),
            words=asked.get("words"),
        )
    )
    return {**artefact.metadata.to_json(), "reference": _reference_json(artefact, asked.get("words"))}


def check_version(
    asked: dict[str, Any], content: bytes, rows: bytes, reference: bytes, code: bytes = b""
) -> dict[str, Any]:
    """A stored version and rows of its source, to what was seen of them."""
    stored = _stored(asked["version"], content, reference, code or None)
    if code:
        install_code(code)
    model = stored.load()
    with pa.ipc.open_stream(rows) as reader:
        features = reader.read_all()
    refused = {int(row): Refusal(RowError(code), detail) for row, (code, detail) in asked["refused"].items()}
    return check_model(model, features, refused).to_json()


def _reference_json(artefact: Artefact, words: Words | None) -> dict[str, Any]:
    reference = draw_reference(load_model(artefact, version=0), words)
    answers = [[None if np.isnan(value) else value for value in row] for row in reference.answers.tolist()]
    return {"features": base64.b64encode(reference.features).decode(), "answers": answers}


def _stored(given: dict[str, Any], content: bytes, reference: bytes, code: bytes | None) -> StoredVersion:
    """What `worker.errands.models` has read of a version."""
    record = ModelVersion(
        **{
            **given["record"],
            "signature": Signature.from_json(given["record"]["signature"]),
            "classes": tuple(given["record"]["classes"]),
            "task": Task(given["record"]["task"]),
        }
    )
    artefact = Artefact(content, metadata_of(record), code)
    kept = None
    if given["answers"] is not None and is_another_patch(artefact):
        kept = Reference(reference, np.array(given["answers"], dtype=np.float64))
    return StoredVersion(record.id, artefact, record.digest, kept)


WORK: Mapping[str, Callable[..., dict[str, Any]]] = {"prepare": prepare_file, "check": check_version}
