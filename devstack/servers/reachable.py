"""Programs that an unprivileged account can run, wherever they were installed."""

import shutil
import tempfile
from pathlib import Path

from devstack.servers.accounts import Account, can_enter
from devstack.servers.binaries import Programs
from devstack.servers.location import shared_place


def reachable(programs: Programs, account: Account | None) -> Path:
    """The directory of `programs` if `account` (None: ourselves) can enter it, else that of a copy which it can."""
    if account is None or not programs.parts or can_enter(programs.directory, account):
        return programs.directory
    copy = shared_place() / programs.label
    if not copy.exists():
        _copy(programs, copy)
    return copy / programs.directory.relative_to(programs.parts[0].parent)


def _copy(programs: Programs, target: Path) -> None:
    fresh = Path(tempfile.mkdtemp(dir=target.parent))
    for part in programs.parts:
        shutil.copytree(part, fresh / part.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    _open_up(fresh)
    try:
        fresh.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)


def _open_up(directory: Path) -> None:
    """Let everybody read the copy, whatever umask the original was installed under."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
