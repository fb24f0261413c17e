"""The unprivileged account that PostgreSQL runs under when we are root, and what it can reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import EmbeddedError, UserUnnamed

# initdb insists on an entry in the password file, so a made-up number will not do; every system has this one.
UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """A user id with its group."""

    uid: int
    gid: int


def unprivileged_account(data: Path) -> Account | None:
    """Who shall run a server that refuses root: the owner of existing `data`, else nobody; None if not root.

    Raises:
        EmbeddedError: we are root on a system without the account `nobody`.
        UserUnnamed: we are a user without a name, and there are no data yet.

    """
    if (uid := os.geteuid()) != 0:
        if not data.exists():
            _check_named(uid)
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL refuses to run as root and this system has no account nobody: run as an ordinary user"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def _check_named(uid: int) -> None:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise UserUnnamed(uid) from None


def can_enter(directory: Path, account: Account) -> bool:
    """Whether the account may pass through `directory` and every directory above it."""
    return all(_may_pass(place.stat(), account) for place in (directory, *directory.parents))


def _may_pass(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
