"""`python -m bench.hundred_million`: what is asked of a hundred million stored predictions, and what takes them away.

Takes 30 GB of disk and half an hour on two cores; `--bulk-jobs 10 --single-copies 12` a tenth of both.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.stack import Service, Stack, running_stack
from bench.stored.base import make_base
from bench.stored.figures import Figure
from bench.stored.fill import Stored, fill, make_room
from bench.stored.leaving import measure_alone, measure_erasure, measure_retention
from bench.stored.reads import measure_reads, measure_running_jobs

Phase = Callable[[], Iterator[Figure]]


def main() -> None:
    """Make the pages, measure, print a table."""
    options = _options()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="hundred-million-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, PostgreSQL runs as another user
        with running_stack(directory, clients=options.clients) as stack, stack.service("stored") as service:
            stored = _make(service, options)
            failures = [not _run(phase, figures) for phase in _phases(stack, service, stored, options)]
    if options.json:
        options.json.write_text(json.dumps([figure.to_json() for figure in figures], indent=1) + "\n")
    sys.exit(any(failures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.hundred_million", description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000_000, help="clients, and rows of a bulk job")
    parser.add_argument("--bulk-jobs", type=int, default=100, help="bulk jobs that are stored")
    parser.add_argument("--singles", type=int, default=400_000, help="single jobs that are really made")
    parser.add_argument("--single-copies", type=int, default=125, help="how often these are stored")
    parser.add_argument("--directory", type=Path, help="where the database lies meanwhile")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args()


def _make(service: Service, options: argparse.Namespace) -> Stored:
    began = time.perf_counter()
    make_room(service.engine)
    base = make_base(service, options.clients, options.singles)
    _say(f"{time.perf_counter() - began:,.0f} s: the pages to copy are made")
    stored = fill(service.engine, base, bulk_jobs=options.bulk_jobs, single_copies=options.single_copies)
    singles = [copy for copy in stored.copies if not copy.job]
    _say(
        f"{time.perf_counter() - began:,.0f} s: {stored.rows(stored.bulk):,} bulk answers in "
        f"{sum(copy.batches for copy in stored.bulk):,} pages and {stored.rows(singles):,} single jobs in "
        f"{sum(copy.batches for copy in singles):,} are stored"
    )
    return stored


def _phases(stack: Stack, service: Service, stored: Stored, options: argparse.Namespace) -> Iterator[Phase]:
    pid = int((stack.postgres.pgdata / "postmaster.pid").read_text(encoding="ascii").split()[0])
    postgres, clients = psutil.Process(pid), options.clients
    yield lambda: measure_alone(service, clients)
    yield lambda: measure_reads(service, postgres, stored, clients)
    yield lambda: measure_running_jobs(service, postgres)
    yield lambda: measure_erasure(service, clients)
    yield lambda: measure_retention(service, stored, clients)


def _run(phase: Phase, figures: list[Figure]) -> bool:
    """Whether it came to its end: what fails is said, and the others are measured all the same."""
    try:
        for figure in phase():
            figures.append(figure)
            _say(figure.line())
    except Exception:  # noqa: BLE001 - said, and the run ends with status 1
        traceback.print_exc()
        return False
    return True


def _say(line: str) -> None:
    sys.stdout.write(f"[load {os.getloadavg()[0]:4.1f}] {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
