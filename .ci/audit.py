"""Ask the advisories about every package that a lock file pins, and say honestly whether they could be asked.

A package with a known fault is asked about, too. Where nothing is said of that one, "no fault" means nothing. The exit
status is 1 only in CI (the variable CI) and only for a fault that was found.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTROL = ("urllib3", "1.26.0")  # CVE-2021-33503 and others


def audit(requirements: str) -> list[dict[str, Any]]:
    """What pip-audit says of each package: a list of {name, version, vulns} or {name, skip_reason}."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        command = ["pip-audit", "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"]
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run([program, *command[1:], "-r", file.name], capture_output=True, text=True)
    try:
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr.strip()[-400:])
        return []
    return dependencies


def pinned(text: str) -> set[tuple[str, str]]:
    """Names and versions of a lock file; a name has several where the system decides."""
    return set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", text, re.MULTILINE))


def main() -> int:
    """Audit all lock files at once."""
    wanted: set[tuple[str, str]] = set()
    for lock in sorted(ROOT.glob("*/requirements*.lock")):
        wanted |= pinned(lock.read_text(encoding="utf-8"))
    (control,) = audit(f"{CONTROL[0]}=={CONTROL[1]}\n") or [{}]
    if not control.get("vulns"):
        print(f"audit: no advisories were reached: nothing is said of {'=='.join(CONTROL)}, which has known faults.")
        print(f"audit: {len(wanted)} pinned packages were NOT checked: run it where advisories can be reached.")
        return 0
    found, left = [], sorted(wanted)
    while left:  # pip-audit takes a name once
        asked = dict(left)
        found += audit("".join(f"{name}=={version}\n" for name, version in asked.items()))
        left = [pair for pair in left if pair not in asked.items()]
    faults = [(entry["name"], entry["version"], fault["id"]) for entry in found for fault in entry.get("vulns", [])]
    skipped = [entry["name"] for entry in found if "skip_reason" in entry]
    for name, version, fault in faults:
        print(f"audit: {name} {version}: {fault}")
    print(f"audit: {len(found)} packages asked about, {len(skipped)} unknown to the index, {len(faults)} known faults")
    return int(bool(faults) and bool(os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
