"""Whose model files a worker takes: all, or those that are sealed by a key that it trusts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, text

from model.errors import SealRefused
from model.seals.keys import read_trusted
from model.seals.seal import Seal, check_said, check_seal
from shared.models.registry import ModelVersion
from shared.models.task import Task

_KEEP = text("""
INSERT INTO predictq.model_seals (model_version_id, key, seal) VALUES (:id, :key, CAST(:seal AS jsonb))
ON CONFLICT DO NOTHING
""")
_FETCH = text("SELECT seal FROM predictq.model_seals WHERE model_version_id = :id ORDER BY created_at")


@dataclass(frozen=True, slots=True)
class SealGuard:
    """`trusted` keys by their id; None: no seal is asked for."""

    trusted: Mapping[str, Ed25519PublicKey] | None = None

    @classmethod
    def of(cls, place: Path | None) -> SealGuard:
        """As the setting `seal_keys` says. Raises SealRefused where nothing would be trusted."""
        return cls(None if place is None else read_trusted(place))

    def check_offer(self, given: Any, *, model: str, sha256: str, code: str | None = None) -> Seal | None:
        """The seal that came with a file, before the file is opened. Raises SealRefused."""
        if given is None:
            if self.trusted is None:
                return None
            raise SealRefused(f"The file has no seal, and workers here demand one. {_advice(model)}")
        seal = Seal.from_json(given)
        if self.trusted is not None:
            check_seal(seal, self.trusted, model=model, sha256=sha256, code=code)
        return seal

    def check_version(self, connection: Connection, version: ModelVersion) -> None:
        """Raise SealRefused where a stored version has no seal that is good, before its file is opened."""
        if self.trusted is None:
            return
        refusals = []
        for stored in connection.execute(_FETCH, {"id": version.id}).scalars():
            try:
                seal = Seal.from_json(stored)
                check_seal(seal, self.trusted, model=version.model, sha256=version.sha256, code=version.code_sha256)
                check_said(seal, threshold=version.threshold, positive=positive_class(version.task, version.classes))
            except SealRefused as error:
                refusals.append(str(error))
            else:
                return
        why = " ".join(refusals) or f"{version.label} has no seal, and workers here demand one."
        raise SealRefused(f"{why} {_advice(version.model)}")


NO_SEALS = SealGuard()


def keep_seal(connection: Connection, version_id: int, seal: Seal) -> None:
    """Keep a seal with a version; one by the same key stays as it is."""
    connection.execute(_KEEP, {"id": version_id, "key": seal.key[:32], "seal": json.dumps(seal.to_json())})


def positive_class(task: Task, classes: Any) -> Any:
    """The class whose probability is given, of two; None for other tasks."""
    return classes[1] if task is Task.BINARY else None


def _advice(model: str) -> str:
    return f"Seal it: predictq seals create FILE --model {model} --key NAME.key; then register the file once more."
