"""`python -m bench [--quick] [--only NAME]`: measure, check, print the table, write the results."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.check import WrongAnswer
from bench.context import Bench, Scenario
from bench.report.plot import draw
from bench.report.table import judge, markdown, show
from bench.scenarios import (
    bulk,
    capacity,
    growth,
    keys,
    models,
    replicas,
    roundtrip,
    settings,
    singles,
    statuses,
    streams,
)
from bench.setup.machine import describe
from bench.stack import running_stack

RESULTS = Path(__file__).parent / "results"
SCENARIOS: dict[str, Scenario] = {
    "roundtrip": roundtrip.measure,
    "singles": singles.measure,
    "statuses": statuses.measure,
    "bulk": bulk.measure,
    "replicas": replicas.measure,
    "growth": growth.measure,
    "settings": settings.measure,
    "streams": streams.measure,
    "models": models.measure,
    "keys": keys.measure,
    "capacity": capacity.measure,
}
_FULL = ("singles", "roundtrip", "statuses", "bulk", "growth", "replicas")
_QUICK = ("singles", "roundtrip", "statuses", "bulk")  # with shorter runs


def main() -> None:
    """Run; exit status 1 when an answer was wrong or missing. A missed goal is reported, not an error."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in good order, as Ctrl-C does
    chosen = options.only or (_QUICK if options.quick else _FULL)
    with tempfile.TemporaryDirectory(prefix="predictq-bench-", dir=options.directory) as directory:
        results = _measure(Path(directory), chosen, quick=options.quick, clients=options.clients)
    _write(results, "quick" if options.quick else "partial" if options.only or results["wrong"] else "bench")
    show(results["goals"], results["scenarios"])
    if results["wrong"]:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure predictq beside its peers.")
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer rows, the main questions only")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="this scenario; may be given more than once")
    parser.add_argument("--clients", type=int, help="clients in the table (1,000,000; with --quick 100,000)")
    parser.add_argument("--directory", type=Path, help="where the servers keep their data while the run lasts")
    return parser.parse_args()


def _measure(directory: Path, chosen: tuple[str, ...], *, quick: bool, clients: int | None) -> dict[str, Any]:
    directory.chmod(0o755)  # as root, PostgreSQL runs as another user
    began = time.perf_counter()
    _say(f"preparing {clients or (100_000 if quick else 1_000_000):,} clients and a model")
    with running_stack(directory, clients=clients or (100_000 if quick else 1_000_000)) as stack:
        bench = Bench(stack, quick)
        results: dict[str, Any] = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "quick": quick,
            "machine": describe(stack.postgres.url),
            "scenarios": {},
            "wrong": {},  # scenarios that met a wrong answer, with what it was: the others are measured all the same
        }
        try:
            for name in chosen:
                _say(f"{time.perf_counter() - began:4.0f} s  {name}")
                bench.begin(name)
                try:
                    results["scenarios"][name] = SCENARIOS[name](bench)
                except WrongAnswer as error:
                    results["wrong"][name] = str(error)
                    _say(f"WRONG: {name}: {error}")
        finally:
            bench.end_service()
    results["seconds"] = time.perf_counter() - began
    results["goals"] = judge(results["scenarios"])
    return results


def _write(results: dict[str, Any], name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    _say(f"written: {path} and .md")
    if draw(results["scenarios"], path.with_suffix(".svg")):
        _say(f"written: {path.with_suffix('.svg')}")


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    main()
