"""`python -m tests.browser`: say which browser the tests use; where there is none, install one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser.find import BrowserMissing, browser_program

PLAYWRIGHT = [sys.executable, "-m", "playwright", "install", "chromium"]
DISTRIBUTIONS = {  # by the tool that is there
    "apt-get": [["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]],
    "dnf": [["dnf", "install", "-y", "chromium"]],
    "apk": [["apk", "add", "chromium"]],
}


def main() -> None:
    """Print the program's path; exit with a sentence where none can be had."""
    try:
        found = browser_program()
    except BrowserMissing:
        found = _install()
    sys.stdout.write(f"browser of the tests: {found}\n")


def _install() -> Path:
    for commands in _ways():
        sys.stderr.write(f"No Chromium or Chrome here. Trying: {' '.join(commands[-1])}\n")
        if all(subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0 for command in commands):
            try:
                return browser_program()
            except BrowserMissing:
                continue
    sys.exit("No Chromium or Chrome could be installed: install one, or the tests of pages fail")


def _ways() -> list[list[list[str]]]:
    of_distribution = [commands for tool, commands in DISTRIBUTIONS.items() if shutil.which(tool)]
    # Playwright's own needs libraries that only root can install; a distribution's package brings them.
    return [*(of_distribution if os.geteuid() == 0 else []), [PLAYWRIGHT]]


if __name__ == "__main__":
    main()
