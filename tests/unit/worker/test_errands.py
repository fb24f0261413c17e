"""The process that does errands: one beside every worker, idle most of the time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_an_idle_process_of_errands_has_no_library_of_models() -> None:
    """Whoever opens a model does so in a process apart, which loads what it needs."""
    heavy = "pandas,sklearn,scipy,joblib,celery"
    code = f"import sys, worker.errands.main; sys.exit(', '.join(set('{heavy}'.split(',')) & set(sys.modules)) or None)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
