"""The programs that look after what is built: they see every package, and every step of the workflows."""

from __future__ import annotations

import importlib.util
import re
import secrets
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shared.access.api_keys import PREFIX
from tests.support import ROOT


def program(name: str) -> ModuleType:
    """A program of the folder .ci, as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_pinned_package_is_asked_about() -> None:
    """No line of a lock file is passed over, whatever extras or conditions it has."""
    audit = program("audit")
    for lock in ROOT.glob("*/requirements*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert len(audit.pinned(text)) == len(set(re.findall(r"^\S+==\S+", text, re.MULTILINE))), lock
    assert audit.pinned("kombu[redis]==5.7.0 ; python_version > '3' \\\n  --hash=x\n") == {("kombu", "5.7.0")}


REACHED = [{"name": "urllib3", "vulns": [{"id": "X"}]}]
CLEAN, FAULTY = [{"name": "a", "version": "1", "vulns": []}], [{"name": "a", "version": "1", "vulns": [{"id": "Y"}]}]


@pytest.mark.parametrize(
    ("answers", "in_ci", "status", "said"),
    [
        ([[{"name": "urllib3", "skip_reason": "Dependency not found"}]], True, 0, "were NOT checked"),
        ([[]], True, 0, "were NOT checked"),
        ([REACHED, CLEAN], True, 0, "0 known"),
        ([REACHED, FAULTY], True, 1, "a 1: Y"),
        ([REACHED, FAULTY], False, 0, "a 1: Y"),
    ],
    ids=["away", "silent", "clean", "fault in CI", "fault at home"],
)  # fmt: skip
def test_an_audit_says_whether_it_could_ask(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: Any,
    in_ci: bool,
    status: int,
    said: str,
) -> None:
    """Advisories that are away are told and fail nothing; a fault fails CI and is told everywhere."""
    audit = program("audit")
    left = list(answers)
    monkeypatch.setattr(audit, "audit", lambda _: left.pop(0) if left else [])
    monkeypatch.setenv("CI", "true") if in_ci else monkeypatch.delenv("CI", raising=False)
    assert audit.main() == status
    assert said in capsys.readouterr().out


def test_every_step_of_the_workflows_can_run_as_it_stands() -> None:
    """Each expression in a step is known, and each make target that a step names is there."""
    steps = list(program("workflow_steps").steps())
    targets = set(
        re.findall(r"^([a-z-]+|\.venv/\.\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    scripts = [script for _, script, _ in steps]
    assert len(scripts) >= 10
    assert "${{" not in "".join(scripts)
    assert [
        name for script in scripts for name in re.findall(r"\bmake ([\w./-]+)", script) if name not in targets
    ] == []


def test_every_action_is_named_by_its_commit() -> None:
    """A tag can be moved to other code; a commit cannot."""
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", file.read_text(encoding="utf-8"))
        assert used
        assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", action)] == []


def test_an_api_key_in_a_file_is_found(tmp_path: Path) -> None:
    """The search for secrets knows predictq's own keys, as they are made; words that only begin like one are none."""
    secret = PREFIX + secrets.token_urlsafe(32)
    (tmp_path / "notes.md").write_text(f"export KEY={secret}", encoding="utf-8")
    (tmp_path / "docs.md").write_text("export KEY=pq_…", encoding="utf-8")
    found = program("find_secrets").own_keys(tmp_path, ["notes.md", "docs.md"])
    assert found == ["notes.md: an API key of predictq"]
