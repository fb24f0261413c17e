"""A private directory for a Unix socket, short enough for the kernel."""

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from devstack.files import write_private
from devstack.servers.accounts import Account

PATH_LIMIT = 85  # bytes of the directory: the kernel allows 107 for all, and `/.s.PGSQL.65535` must fit


def socket_directory(home: Path, account: Account | None) -> Path:
    """A 0700 directory for `account`: `home`/socket, or a remembered one in /tmp if that is too long."""
    inside = home / "socket"
    if len(os.fsencode(inside)) <= PATH_LIMIT:
        if not inside.exists():
            _make(inside, account)
        return inside
    pointer = home / "socket-directory"
    if pointer.exists() and (known := _usable(Path(pointer.read_text(encoding="utf-8")), account)):
        return known
    outside = Path(_short_place()) / f"predictq-{secrets.token_hex(6)}"
    _make(outside, account)
    write_private(pointer, str(outside))
    return outside


def discard(home: Path) -> None:
    """Remove a directory made in /tmp once its server is down; one that is in use stays."""
    pointer = home / "socket-directory"
    if pointer.exists():
        with suppress(OSError):  # not empty, or gone already
            Path(pointer.read_text(encoding="utf-8")).rmdir()


def _short_place() -> str:
    place = tempfile.gettempdir()
    return place if len(os.fsencode(place)) <= PATH_LIMIT - 22 else "/tmp"  # noqa: S108 - we make a 0700 directory in it


def _make(directory: Path, account: Account | None) -> None:
    directory.mkdir(mode=0o700)  # fails on a name that exists, a stranger's link included
    if account:
        os.chown(directory, account.uid, account.gid)


def _usable(directory: Path, account: Account | None) -> Path | None:
    """The directory if it is a real one, ours alone; made again under its old name if it is gone."""
    if not os.path.lexists(directory):
        _make(directory, account)
    status = directory.lstat()
    owner = account.uid if account else os.geteuid()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
    return directory if private and status.st_uid == owner else None
