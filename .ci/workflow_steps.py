"""Run what the workflows run: each `run:` step once, as it stands, with the shell and the variables that it would have.

    python .ci/workflow_steps.py              list them
    python .ci/workflow_steps.py JOB [JOB …]  run those of the named jobs, in a clone of the last commit

Actions (`uses:`) are not run; of a matrix the first value is taken. Expressions that only GitHub knows are an error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


def steps() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Job, script and variables of each step, in order."""
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            matrix = job.get("strategy", {}).get("matrix", {})
            known = {f"matrix.{key}": str(values[0]) for key, values in matrix.items() if isinstance(values, list)}
            known |= {"github.ref_name": "v0", "github.workspace": "."}
            for step in job["steps"]:
                if "run" in step:
                    given = workflow.get("env", {}) | job.get("env", {}) | step.get("env", {})
                    variables = {key: _filled(str(value), known) for key, value in given.items()}
                    yield name, _filled(step["run"], known), variables


def _filled(text: str, known: dict[str, str]) -> str:
    return _EXPRESSION.sub(lambda found: known[found.group(1)], text)


def run(jobs: list[str]) -> int:
    """Run the steps of these jobs; the status of the first that fails."""
    done: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        for job, script, variables in steps():
            if job in jobs and script not in done:
                done.add(script)
                print(f"steps: {job}: {script.strip().splitlines()[0]}", flush=True)
                shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
                environment = {**os.environ, "CI": "true", **variables}
                status = subprocess.run(shell, cwd=folder, env=environment, stdin=subprocess.DEVNULL).returncode
                if status:
                    print(f"steps: {job}: ended with {status}")
                    return status
    print(f"steps: {len(done)} steps of {', '.join(jobs)} ran as they stand")
    return 0


def main(arguments: list[str]) -> int:
    """List, or run."""
    if arguments:
        return run(arguments)
    seen: dict[str, Any] = {}
    for job, script, _ in steps():
        seen.setdefault(script, job)
    for script, job in seen.items():
        print(f"{job}: {'; '.join(script.strip().splitlines())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
