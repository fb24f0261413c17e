"""`python -m bench.all_clients [--clients 10000000]`: a job of all clients, from its POST to its last page.

Ten million clients take some 8 GB of disk and, on two cores, three minutes of filling before anything is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.stack import Service, running_stack
from bench.stored.figures import Figure

_LOOK_SECONDS = 0.02  # between two looks at the job, as often as a caller who waits would be told
_PATIENCE_SECONDS = 600.0


def main() -> None:
    """Measure some jobs one after the other, and print a table of the slowest of each question."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="all-clients-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, PostgreSQL runs as another user
        room = str(2 * options.clients)
        limits = {f"PREDICTQ_{what}": room for what in ("MAX_WAITING_ROWS", "OWNER_MAX_WAITING_ROWS", "MAX_JOB_ROWS")}
        with running_stack(directory, clients=options.clients) as stack, stack.service("all", extra=limits) as service:
            runs = []
            for _ in range(options.rounds):
                runs.append(measure(service, options.clients))
                sys.stdout.write(" ".join(f"{name} {seconds:.3f} s" for name, seconds in runs[-1].items()) + "\n")
    figures = [
        Figure('POST of {"all": true}', 1000 * max(run["accepted"] for run in runs), "ms", 50),
        Figure("first answers", max(run["first_answer"] for run in runs), "s", 1),
        Figure(f"all {options.clients:,} planned", max(run["planned"] for run in runs), "s", 15),
    ]
    for figure in figures:
        sys.stdout.write(figure.line() + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.all_clients", description=__doc__)
    parser.add_argument(
        "--clients", type=int, default=10_000_000, help="clients in the table: the goals are of ten million"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how many jobs; the slowest counts")
    parser.add_argument("--directory", type=Path, help="where the database lies meanwhile")
    return parser.parse_args()


def measure(service: Service, clients: int) -> dict[str, float]:
    """Seconds from the beginning of the POST to its answer, to the first answered rows, to the known total."""
    began = time.perf_counter()
    job = service.client.post("/v1/jobs", json={"all": True}).raise_for_status().json()["id"]
    found = {"accepted": time.perf_counter() - began}
    while "planned" not in found or "first_answer" not in found:
        counts = _look(service, job)["request_counts"]
        elapsed = time.perf_counter() - began
        if counts["succeeded"]:
            found.setdefault("first_answer", elapsed)
        if counts["total"] is not None:
            found.setdefault("planned", elapsed)
            if counts["total"] != clients:
                raise AssertionError(f"the job has {counts['total']:,} rows of {clients:,} clients")
        if elapsed > _PATIENCE_SECONDS:
            raise AssertionError(f"after {elapsed:.0f} s the job is still {counts}")
        time.sleep(_LOOK_SECONDS)
    while _look(service, job)["status"] != "succeeded":  # the next round begins with nothing waiting
        time.sleep(1)
    return found


def _look(service: Service, job: str) -> dict[str, Any]:
    status: dict[str, Any] = service.client.get(f"/v1/jobs/{job}").raise_for_status().json()
    if status["status"] in ("failed", "cancelled"):
        raise AssertionError(f"the job ended as {status}")
    return status


if __name__ == "__main__":
    main()
