"""What is installed is also what the images are built from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT

LOCKS = sorted(path for path in ROOT.glob("*/requirements*.lock") if not path.parts[-2].startswith(".venv"))


def test_every_package_reaches_the_images() -> None:
    """The engine gets what .dockerignore lets through: a package that it leaves out is missing in `tools`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    assert packages <= let_through


def test_the_gateway_cannot_open_a_model() -> None:
    """What the gateway is built from holds no library that opens a model's file, and none of its modules unpickles."""
    locked = (ROOT / "api" / "requirements.lock").read_text(encoding="utf-8")
    installed = set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))
    assert "fastapi" in installed
    assert installed & {"cloudpickle", "joblib", "numpy", "onnxruntime", "pandas", "scikit-learn", "skops"} == set()
    sources = [path for room in ("api", "shared", "sql") for path in (ROOT / room).rglob("*.py")]
    assert len(sources) > 100
    assert [
        path
        for path in sources
        if re.search(r"^\s*(import|from) (pickle|marshal|shelve)\b", path.read_text(), re.MULTILINE)
    ] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_lock_files_pin_everything_by_hash(lock: Path) -> None:
    """Each package has one version and its hashes; none comes from an address, a folder or a repository."""
    text = re.sub(r"^\s*#.*$", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    wanted = [entry.strip() for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]
    assert wanted
    assert [
        entry for entry in wanted if not re.match(r"[a-z0-9-]+(\[[\w,-]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", entry)
    ] == []
    assert "://" not in text
