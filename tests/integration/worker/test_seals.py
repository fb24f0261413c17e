"""Workers that demand seals: what has none, or a bad one, is neither opened nor served."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from model.errors import SealRefused
from model.seals.keys import create_key, read_private
from model.seals.seal import Statement, create_seal
from shared.postgres.engine import transaction
from tests.integration.worker.test_closed_process import OnOpening
from tests.integration.worker.test_models import open_here, send
from tests.roles import as_worker
from tests.support import OWNER
from tests.unit.models.test_models_of_others import FULL, LABELS, LR, dumped
from worker.errands.models import ModelErrands
from worker.models.model_store import ModelStore
from worker.models.seals import SealGuard

pytestmark = pytest.mark.filterwarnings("ignore")


def never(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("the file was opened")


def sealed(content: bytes, key: Path, **more: Any) -> dict[str, Any]:
    return create_seal(Statement("churn", hashlib.sha256(content).hexdigest(), **more), read_private(key)).to_json()


def register(engine: Engine, content: bytes, guard: SealGuard, seal: Any, opener: Any = open_here) -> dict[str, Any]:
    """The errand, as a gateway asks for it."""
    asked = {"model": "churn", "upload_id": send(engine, content), "owner": OWNER, "seal": seal}
    return ModelErrands(as_worker(engine), opener, seals=guard).register(asked)


@pytest.fixture
def guard(tmp_path: Path) -> SealGuard:
    (tmp_path / "trusted").mkdir()
    create_key(tmp_path / "trusted" / "team")
    create_key(tmp_path / "stranger")
    return SealGuard.of(tmp_path / "trusted")


def test_a_file_without_a_good_seal_is_not_opened(engine: Engine, guard: SealGuard, tmp_path: Path) -> None:
    """None, somebody else's, one of another file, one for another model: refused before any of its code could run."""
    content = pickle.dumps(OnOpening("raise SystemExit"))
    key = tmp_path / "trusted" / "team.key"
    with pytest.raises(SealRefused, match=r"no seal, and workers here demand one\. Seal it: predictq seals"):
        register(engine, content, guard, None, never)
    with pytest.raises(SealRefused, match="not trusted here"):
        register(engine, content, guard, sealed(content, tmp_path / "stranger.key"), never)
    with pytest.raises(SealRefused, match="of another file"):
        register(engine, content, guard, sealed(b"other", key), never)
    other = create_seal(Statement("fraud", hashlib.sha256(content).hexdigest()), read_private(key)).to_json()
    with pytest.raises(SealRefused, match="for the model 'fraud'"):
        register(engine, content, guard, other, never)


def test_what_was_altered_after_sealing_is_not_served(engine: Engine, guard: SealGuard, tmp_path: Path) -> None:
    """A sealed version is served. One whose file, or what its seal says of it, was changed in the database is not."""
    content = dumped(LR().fit(FULL, LABELS))
    seal = sealed(content, tmp_path / "trusted" / "team.key", threshold=0.5)
    version = register(engine, content, guard, seal)["version_id"]
    assert ModelStore(seals=guard).get(engine, version).threshold == 0.5
    other = dumped(LR().fit(FULL, 1 - LABELS))
    file = hashlib.sha256(other).hexdigest()
    for change, words in [
        ({"threshold": 0.1, "sha256": hashlib.sha256(content).hexdigest(), "artefact": content}, "says threshold 0.5"),
        ({"threshold": 0.5, "sha256": file, "artefact": other}, "of another file"),
    ]:
        with transaction(engine) as connection:
            connection.execute(text("ALTER TABLE predictq.model_versions DISABLE TRIGGER USER"))
            connection.execute(
                text("""UPDATE predictq.model_versions
                        SET threshold = :threshold, sha256 = :sha256, artefact = :artefact WHERE id = :id"""),
                {**change, "id": version},
            )
        with pytest.raises(SealRefused, match=words):
            ModelStore(seals=guard).get(engine, version)


def test_a_version_without_a_seal_gets_one_by_being_registered_again(
    engine: Engine, guard: SealGuard, tmp_path: Path
) -> None:
    """It stays the same version; before, workers that demand seals say what to type."""
    content = dumped(LR().fit(FULL, LABELS))
    version = register(engine, content, SealGuard(), None)["version_id"]
    with pytest.raises(SealRefused, match=r"churn:1 has no seal.*predictq seals create FILE --model churn"):
        ModelStore(seals=guard).get(engine, version)
    seal = sealed(content, tmp_path / "trusted" / "team.key")
    assert register(engine, content, guard, seal)["version_id"] == version
    assert ModelStore(seals=guard).get(engine, version).task is not None
    with transaction(engine) as connection:
        kept = connection.execute(text("SELECT seal FROM predictq.model_seals")).scalars().all()
    assert json.loads(json.dumps(kept)) == [seal]
