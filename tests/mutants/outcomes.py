"""What is known of each mutant, kept in .mutants/ so that a run can be stopped and taken up again."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.mutants.targets import ROOT

_FILE = ROOT / ".mutants" / "outcomes.jsonl"


def read_outcomes() -> dict[str, str]:
    """Of each mutant that was tested, by its id, the last outcome."""
    if not _FILE.exists():
        return {}
    entries: list[Mapping[str, str]] = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
    return {entry["id"]: entry["outcome"] for entry in entries}


def keep_outcome(mutant_id: str, outcome: str) -> None:
    """Several processes may call this at once: a short line is written whole."""
    _FILE.parent.mkdir(exist_ok=True)
    with _FILE.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"id": mutant_id, "outcome": outcome}) + "\n")
