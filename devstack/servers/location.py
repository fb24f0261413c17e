"""Where root keeps what an unprivileged PostgreSQL has to reach, when the chosen directory is closed to it.

A clone under /root (mode 0700) is closed to every other account. Opening the user's directories would be rude,
so the data go to a directory of root's own that can be passed through, and a pointer file says where they are.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from devstack.errors import EmbeddedError
from devstack.files import write_private
from devstack.lock import is_held
from devstack.servers.accounts import Account, can_enter

logger = logging.getLogger(__name__)
SHARED_PLACES = (Path("/var/lib/predictq"), Path("/var/tmp/predictq"))  # noqa: S108 - checked to be root's own
POINTER = "location"


def home_of(data_dir: Path, account: Account | None) -> Path:
    """The directory that holds the cluster of `data_dir`: itself, or a reachable one made for it."""
    pointer = data_dir / POINTER
    if pointer.exists():
        return Path(pointer.read_text(encoding="utf-8"))
    if account is None or can_enter(data_dir, account):
        return data_dir
    place = shared_place()
    _tidy(place)
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    # A random end as well: a new clone at an old path must not meet data whose password is gone.
    home = Path(tempfile.mkdtemp(prefix=f"{digest}-", dir=place))
    home.chmod(0o711)
    write_private(home / "origin", str(data_dir))  # for whoever tidies up
    write_private(pointer, str(home))
    logger.warning("%s is closed to the account of the servers: its data are kept in %s", data_dir, home)
    return home


def _tidy(place: Path) -> None:
    """Remove the data of stacks that had lain in the temporary directory, and whose directory is gone: killed tests.

    Elsewhere a directory may be away with its disk, so its data stay.
    """
    temporary = Path(tempfile.gettempdir())
    for home in place.iterdir():
        try:
            origin = Path((home / "origin").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if origin.is_relative_to(temporary) and not origin.exists() and not is_held(home):
            shutil.rmtree(home, ignore_errors=True)  # another process may be at it


def shared_place() -> Path:
    """A directory of root's that every account can pass through.

    Raises:
        EmbeddedError: none can be made.

    """
    for place in SHARED_PLACES:
        try:
            place.mkdir(mode=0o711, exist_ok=True)
        except OSError:
            continue
        status = place.lstat()
        if status.st_uid == 0 and place.is_dir() and not place.is_symlink():
            place.chmod(0o711)
            return place
    raise EmbeddedError(
        "PostgreSQL cannot run as root and no directory for it could be made in "
        f"{SHARED_PLACES[0].parent} or {SHARED_PLACES[1].parent}: run as an ordinary user, or make one of them writable"
    )
