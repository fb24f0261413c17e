"""`predictq models environment`: what must be installed for a version, booster and code included."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from cli.commands.models import comparing
from devstack.services import Services
from model.artefact import versions_of_file
from model.requirements import requirements_of
from shared.config import load_settings
from tests.unit.models.test_models_of_boosters import lightgbm
from tests.unit.models.test_models_of_others import FULL, LABELS, dumped

CODE = {"own.py": "import skops.io\nimport numpy"}


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A version of LightGBM that brings code, as the gateway shows it."""
    content = dumped(lightgbm("LGBMClassifier").fit(FULL, LABELS))
    found = {
        "model": "churn",
        "version": 1,
        "file_format": "joblib",
        "sha256": "0" * 64,
        "requirements": requirements_of(content, "joblib", CODE),
        "metadata": {"library_versions": versions_of_file(content)},
    }
    monkeypatch.setattr(comparing, "api_client", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(comparing, "_read", lambda *_: found)
    return found


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_booster_and_what_code_imports_are_named(version: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """By the release that stood where it was registered; what the file states is pinned to the very version."""
    comparing.environment("churn")
    said = lines(capsys)
    assert {"lightgbm==4.*", "skops==0.*"} <= set(said)
    stated = version["metadata"]["library_versions"]["scikit-learn"]
    assert (f"scikit-learn=={stated}" if stated != "not stated" else "scikit-learn==1.9.*") in said
    comparing.environment("churn", as_json=True)
    assert json.loads(capsys.readouterr().out)["lightgbm"] == "4.*"


def test_a_release_that_is_needed_stands_for_one_that_is_not_stated() -> None:
    """And any release for one that was not known; several that are stated pin nothing."""
    stated = {"python": "not stated", "scikit-learn": "not stated", "numpy": "1.26.4", "lightgbm": "4.1, 4.2"}
    needed = {"scikit-learn": "1.9", "onnxruntime": "*", "lightgbm": "4", "numpy": "2"}
    assert list(comparing.requirement_lines(stated, needed)) == [
        "lightgbm==4.*",
        "numpy==1.26.4",
        "onnxruntime",
        "# Python not stated",
        "scikit-learn==1.9.*",
    ]


def test_paths_of_a_stack_are_meant_where_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its programs run in the folder of logs: a relative path would be one in there."""
    monkeypatch.chdir(tmp_path)
    addresses = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d", "REDIS_URL": "redis://127.0.0.1:1/0"}
    settings = load_settings(database_url=addresses["DATABASE_URL"], redis_url=addresses["REDIS_URL"])
    paths = ("ERASURE_DIRECTORY", "RETENTION_EXPORT_DIRECTORY", "SEAL_KEYS", "ENV_FILE")
    given = {f"PREDICTQ_{name}": "kept/it" for name in paths} | {"PREDICTQ_PUBLIC_URL": "", "OWN": "kept/it"}
    services = Services(settings, {**addresses, **given}, tmp_path / "logs")
    for child in (services.gateway(1), services.worker(1), services.upkeep()):
        assert {name: child.env[f"PREDICTQ_{name}"] for name in paths} == dict.fromkeys(paths, f"{tmp_path}/kept/it")
        assert child.env["OWN"] == "kept/it"
    without = Services(settings, {**addresses, "PREDICTQ_SEAL_KEYS": ""}, tmp_path / "logs").upkeep().env
    assert without["PREDICTQ_SEAL_KEYS"] == ""
