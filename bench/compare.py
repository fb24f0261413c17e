"""`python -m bench.compare [--commit 32c359d] [--rounds 3]`: this checkout beside another commit, by turns, in one run.

The other commit is checked out in a directory of its own, with an environment of its own, made from its own lock files.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parents[1]
_RUN = (
    "import runpy, sys; sys.path.insert(0, '.'); sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: the goal is a ratio of the two medians, or a bound on the newer one."""

    name: str
    words: str
    higher_is_better: bool
    ratio: float | None = None
    bound: float | None = None


FIGURES = (
    Figure("bulk_rate", "bulk with full trace, rows/s", True, ratio=1.4),
    Figure("uploaded_rate", "the same from an upload, rows/s", True),
    Figure("singles_256", "single jobs/s, 256 connections", True, ratio=1.15),
    Figure("singles_32", "single jobs/s, 32 connections", True, ratio=1.5),
    Figure("singles_1", "single jobs/s, 1 connection", True),
    Figure("p50_ms_32", "p50 of the POST at 32 connections, ms", False),
    Figure("bulk_bytes", "bytes per bulk prediction", False, bound=65),
    Figure("bytes_1", "bytes per single alone", False, bound=1100),
    Figure("bytes_32", "bytes per single at 32 connections", False, bound=350),
    Figure("accept_all_seconds", 'POST of {"all": true}, seconds', False, bound=0.05),
    Figure("download_seconds", "download of all results, seconds", False, ratio=1.0),
)


def main() -> None:
    """Measure by turns and print a table."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="predictq-compare-") as directory:
        other = options.checkout or _check_out(options.commit, Path(directory) / "other")
        measured: dict[str, list[Mapping[str, float]]] = {"then": [], "now": []}
        try:
            for number in range(options.rounds):
                for name, root in (("then", other), ("now", _HERE)):
                    sys.stderr.write(f"compare: round {number + 1} of {options.rounds}, {name}\n")
                    measured[name].append(_probe(root, options.clients, options.seconds))
        finally:
            if options.checkout is None:
                subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=_HERE, check=False)
    for line in table(measured["then"], measured["now"]):
        sys.stdout.write(line + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description="Measure two commits side by side.")
    parser.add_argument("--commit", default="32c359d", help="the other commit")
    parser.add_argument("--checkout", type=Path, help="where the other commit is checked out already, with its .venv")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--clients", type=int, default=1_000_000, help="clients in the table, and rows of a bulk job")
    parser.add_argument("--seconds", type=float, default=8, help="per number of connections")
    return parser.parse_args()


def _check_out(commit: str, directory: Path) -> Path:
    subprocess.run(["git", "worktree", "add", "--detach", str(directory), commit], cwd=_HERE, check=True)
    subprocess.run(["make", ".venv/.bench"], cwd=directory, check=True, stdout=sys.stderr)
    return directory


def _probe(root: Path, clients: int, seconds: float) -> Mapping[str, float]:
    python = root / ".venv" / "bin" / "python"
    command = [str(python), "-c", _RUN, str(Path(__file__).with_name("probe.py")), str(clients), str(seconds)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, check=True)
    figures: Mapping[str, float] = json.loads(done.stdout.decode().strip().rpartition("\n")[2])
    return figures


def table(then: Sequence[Mapping[str, float]], now: Sequence[Mapping[str, float]]) -> list[str]:
    """A line per figure: both medians, their ratio, the goal, and whether it is met."""
    lines = [f"{'':42} {'then':>12} {'now':>12} {'ratio':>7}  goal"]
    for figure in FIGURES:
        before, after = (statistics.median(each[figure.name] for each in side) for side in (then, now))
        ratio = after / before if figure.higher_is_better else before / after
        lines.append(f"{figure.words:42} {before:12,.2f} {after:12,.2f} {ratio:7.2f}  {_verdict(figure, after, ratio)}")
    return lines


def _verdict(figure: Figure, after: float, ratio: float) -> str:
    if figure.ratio is not None:
        return f"≥ {figure.ratio:g} ×: {'met' if ratio >= figure.ratio else 'MISSED'}"
    if figure.bound is not None:
        return f"≤ {figure.bound:g}: {'met' if after <= figure.bound else 'MISSED'}"
    return ""


if __name__ == "__main__":
    main()
