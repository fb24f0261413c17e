"""`predictq models environment`: what must be installed for a version, booster and code included."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from cli.commands.models import comparing
from model.artefact import versions_of_file
from model.requirements import requirements_of
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
