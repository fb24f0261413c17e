"""File descriptors: each connection takes one, and a process that has none left answers nobody."""

from __future__ import annotations

import resource

_OTHERS = 128  # connections to PostgreSQL and Redis, spools of uploads, logs, libraries


def raise_limit(connections: int) -> None:
    """Let this process open files for so many connections, as far as its hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def room_for(connections: int) -> int:
    """How many of so many connections this process has descriptors for; one at least."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - _OTHERS))
