"""What callers who wait want of models: to register a file, and to check a version on real rows.

The file is opened by a closed process; no library of models is loaded here, and no pickle read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from model.code.pack import MOST_PACK_BYTES, read_pack
from model.errors import ModelRefused
from model.requirements import requirements_of
from model.seals.seal import check_said
from shared.files.model_size import size_refusal
from shared.models.model_list import describe_model
from shared.models.new_version import NewVersion
from shared.models.no_features import adding_command, no_features
from shared.models.registry import ModelVersion, get_version, is_registered, read_artefact, read_code, register_version
from shared.models.signature import Signature
from shared.models.task import Task
from shared.postgres.engine import autocommit, transaction
from shared.sentences import count_of
from shared.sources.source import Source, get_source
from shared.uploaded_files import find_file, read_file
from worker.closed.process import Closed, how_closed, run_closed
from worker.errands.able_workers import leave_to_able
from worker.errands.failures import NOTHING_ANSWERED, ErrandRefused
from worker.errands.real_rows import look_at_rows
from worker.errands.version_check import check_closed
from worker.models.references.kept import KeptReference, fetch_reference, keep_reference, read_reference
from worker.models.seals import NO_SEALS, SealGuard, keep_seal, positive_class
from worker.sources.common_words import common_words
from worker.sources.failures import SourceAway, SourceFailed
from worker.sources.reader import SourceReader
from worker.sources.sampling import sample_rows

_CHECKED_ROWS = 1000
_OFFERED = ("signature", "positive", "threshold", "allow", "force", "formats")  # what a caller may say of a file
_RUNS_CODE = "joblib"  # the format of all pickles


class ModelErrands:
    """The errands about models. `engine` leads to predictq's own database; `closed` opens files, `seals` says whose."""

    def __init__(self, engine: Engine, closed: Closed = run_closed, *, seals: SealGuard = NO_SEALS) -> None:
        self._engine = engine
        self._seals = seals
        self._closed = closed
        self._sources = SourceReader(engine)

    def register(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`register_model`: a file that was sent, and what is said about it, to {version_id, version, findings}.

        Raises LeftToOthers, once, where other workers have libraries that the file needs.
        """
        began = time.monotonic()
        with autocommit(self._engine) as connection:
            content = _read_content(connection, UUID(str(arguments["upload_id"])), str(arguments["owner"]))
            source = _source(connection, arguments.get("source_id"))
            code = _read_code(connection, arguments)
        seal = self._seals.check_offer(
            arguments.get("seal"),
            model=str(arguments["model"]),
            sha256=_sha256(content),
            code=_sha256(code) if code else None,
        )
        if "able" not in arguments:
            leave_to_able(self._engine, content, read_pack(code) if code else {})
        asked = {
            **{name: arguments.get(name) for name in _OFFERED},
            "name": str(arguments.get("file_name") or arguments["model"]),
            "columns": None if source is None else [asdict(column) for column in source.columns],
            "source_id": None if source is None else source.id,
            "others": {} if source is None else no_features(source),
        }
        found = self._prepare(asked, content, code, source)
        new, reference = read_prepared(found, str(arguments["model"]), content, source, code)
        told = {name: arguments[name] for name in ("metrics", "curves") if arguments.get(name)}
        seen = [] if source is None else self._on_real_rows(source, new, reference, arguments.get("force"), began)
        new = replace(new, metadata={**new.metadata, **told, "findings": [*new.metadata["findings"], *seen]})
        if seal is not None:
            check_said(seal, threshold=new.threshold, positive=positive_class(new.task, new.classes))
        with transaction(self._engine) as connection:
            was_there = is_registered(connection, new)
            version = register_version(connection, new)
            if seal is not None:
                keep_seal(connection, version.id, seal)
            keep_reference(connection, version.id, reference)
            if arguments.get("description"):
                describe_model(connection, version.model, str(arguments["description"]))
        findings = [*new.metadata["findings"], *([f"was there already, as {version.label}"] if was_there else [])]
        return {"version_id": version.id, "version": version.version, "findings": findings}

    def _prepare(
        self, asked: dict[str, Any], content: bytes, code: bytes | None, source: Source | None
    ) -> dict[str, Any]:
        """What a closed process finds out; where no drawn row is answered, once more with words that the source has."""
        more = [code] if code else []
        try:
            return self._closed("prepare", asked, content, *more)
        except ErrandRefused as refused:
            if refused.code != NOTHING_ANSWERED:
                raise
            why = ErrandRefused("model_refused", str(refused))
        try:
            words = {} if source is None else common_words(self._sources, source)
        except (SourceAway, SourceFailed):
            words = {}
        if not words:
            raise why
        try:
            return self._closed("prepare", {**asked, "words": words}, content, *more)
        except ErrandRefused as refused:
            raise why if refused.code == NOTHING_ANSWERED else refused from None

    def _on_real_rows(
        self, source: Source, new: NewVersion, reference: KeptReference, force: str | None, began: float
    ) -> list[str]:
        try:
            return look_at_rows(self._closed, self._sources, source, new, reference, began=began)
        except (ModelRefused, ErrandRefused) as error:
            if force is None:
                raise
            return [f"{error} Registered all the same: {force}"]

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`check_model`: {version_id, rows} to what was seen of real rows."""
        with autocommit(self._engine) as connection:
            version = get_version(connection, int(arguments["version_id"]))
            self._seals.check_version(connection, version)
            content = read_artefact(connection, version.id)
            code = read_code(connection, version.id)
            kept = fetch_reference(connection, version.id)
            source = _source(connection, version.source_id)
        rows = int(arguments.get("rows") or _CHECKED_ROWS)
        if source is None:
            raise ModelRefused(f"{version.label} has no source: there are no rows to check it with.")
        sample = sample_rows(self._sources, source, version.signature, rows)
        report = check_closed(self._closed, _record_json(version), content, code, kept, sample)
        return {"model": version.model, "version": version.version, **report}


def read_prepared(
    found: dict[str, Any], model: str, content: bytes, source: Source | None, code: bytes | None = None
) -> tuple[NewVersion, KeptReference]:
    """What a closed process has found out about a file. Code of the file ran there: nothing of it is taken unread."""
    try:
        reference = read_reference(found["reference"]["features"], found["reference"]["answers"])
        signature = Signature.from_json(found["signature"])
        findings = [*(str(finding) for finding in found["findings"]), *_how_to_add(source, signature)]
        file_format = str(found["file_format"])
        files = read_pack(code) if code else {}
        new = NewVersion(
            model=model,
            task=Task(found["task"]),
            source_id=None if source is None else source.id,
            sha256=_sha256(content),
            signature=signature,
            classes=list(found["classes"]),
            threshold=None if found["threshold"] is None else float(found["threshold"]),
            metadata={
                "name": str(found["name"]),
                "metrics": {},
                "library_versions": {str(name): str(version) for name, version in found["library_versions"].items()},
                "training_data": None,
                "created_at": datetime.now(UTC).isoformat(),
                "findings": [*findings, *_how_opened(file_format, files)],
            },
            artefact=content,
            title=str(found["name"]),
            requirements=requirements_of(content, file_format, files),
            file_format=file_format,
            code=code,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ErrandRefused("model_refused", "The process that opened the file gave no answer to be read.") from error
    return new, reference


def _how_to_add(source: Source | None, signature: Signature) -> list[str]:
    """What to type where features are columns of the source's table that are no features there."""
    command = None if source is None else adding_command(source, signature.names)
    return [] if command is None else [f"a source of the table in which all its columns are features: {command}"]


def _how_opened(file_format: str, files: Mapping[str, str]) -> list[str]:
    if not files:
        return [how_closed()] if file_format == _RUNS_CODE else []
    return [
        f"brings {count_of(len(files), 'Python file')}; those that the file imports ran while it was {how_closed()}",
        (
            "they run with each prediction, too: in a process that each worker process keeps for this version, closed "
            "in as far as that worker's system can"
        ),
    ]


def _read_content(connection: Connection, upload_id: UUID, owner: str) -> bytes:
    """The file itself, whose size is asked before it is read. Raises ModelRefused, UploadUnknown."""
    refusal = size_refusal(find_file(connection, upload_id, owner).size)
    if refusal:
        raise ModelRefused(refusal)
    return read_file(connection, upload_id, owner)


def _read_code(connection: Connection, arguments: dict[str, Any]) -> bytes | None:
    """The pack of the modules that a file brings, found to be one. Raises ModelRefused, UploadUnknown."""
    upload = arguments.get("code_upload_id")
    if upload is None:
        return None
    upload_id, owner = UUID(str(upload)), str(arguments["owner"])
    size = find_file(connection, upload_id, owner).size
    if size > MOST_PACK_BYTES:
        raise ModelRefused(f"The code has {size:,} bytes; the most is {MOST_PACK_BYTES:,}.")
    code = read_file(connection, upload_id, owner)
    read_pack(code)
    return code


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _record_json(version: ModelVersion) -> dict[str, Any]:
    """A version as JSON, to be checked and opened elsewhere."""
    moments = dict.fromkeys(("created_at", "checked_at", "promoted_at", "retired_at"))
    return {**asdict(version), "signature": version.signature.to_json(), "task": version.task.value, **moments}


def _source(connection: Connection, source_id: int | None) -> Source | None:
    return None if source_id is None else get_source(connection, source_id)
