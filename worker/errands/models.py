"""What callers who wait want of models: to register a file, and to check a version on real rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from model.errors import ModelRefused
from model.registration import new_version
from shared.models.registry import describe_model, get_version, register_version
from shared.models.signature import Signature
from shared.postgres.engine import autocommit, transaction
from shared.sources.source import Source, get_source
from shared.uploaded_files import read_file
from worker.models.check import check_model
from worker.models.loaded_model import load_model
from worker.models.reference_rows import draw_reference, keep_reference
from worker.models.registration import Offer, prepare
from worker.models.stored_version import read_version
from worker.sources.reader import SourceReader
from worker.sources.sampling import sample_rows

_CHECKED_ROWS = 1000


class ModelErrands:
    """The errands about models. `engine` leads to predictq's own database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sources = SourceReader(engine)

    def register(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`register_model`: a file that was sent, and what is said about it, to {version_id, version, findings}."""
        with autocommit(self._engine) as connection:
            content = read_file(connection, UUID(str(arguments["upload_id"])), str(arguments["owner"]))
            source = _source(connection, arguments.get("source_id"))
        given = arguments.get("signature")
        artefact = prepare(
            Offer(
                content,
                str(arguments.get("file_name") or arguments["model"]),
                None if given is None else Signature.from_json(given),
                columns=None if source is None else source.columns,
                source_id=None if source is None else source.id,
                positive=arguments.get("positive"),
                threshold=arguments.get("threshold"),
                allow=tuple(arguments.get("allow") or ()),
                force=arguments.get("force"),
            )
        )
        reference = draw_reference(load_model(artefact, version=0))
        new = new_version(artefact, source_id=None if source is None else source.id, model=str(arguments["model"]))
        with transaction(self._engine) as connection:
            version = register_version(connection, new)
            keep_reference(connection, version.id, reference)
            if arguments.get("description"):
                describe_model(connection, version.model, str(arguments["description"]))
        return {"version_id": version.id, "version": version.version, "findings": list(artefact.metadata.findings)}

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`check_model`: {version_id, rows} to what was seen of real rows."""
        with autocommit(self._engine) as connection:
            version = get_version(connection, int(arguments["version_id"]))
            stored = read_version(connection, version.id)
            source = _source(connection, version.source_id)
        model = stored.load()
        rows = int(arguments.get("rows") or _CHECKED_ROWS)
        if source is None:
            raise ModelRefused(f"{version.label} has no source: there are no rows to check it with.")
        features, refused = sample_rows(self._sources, source, version.signature, rows)
        report = check_model(model, features, refused)
        return {"model": version.model, "version": version.version, **report.to_json()}


def _source(connection: Connection, source_id: int | None) -> Source | None:
    return None if source_id is None else get_source(connection, source_id)
