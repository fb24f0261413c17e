"""What the embedded PostgreSQL is configured with, and how that is written down."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

MEGABYTE = 1024 * 1024
# No log of the server holds a value. Messages of errors quote them ("invalid input syntax for type integer: …"), so do
# details ("Key (owner, key)=(…) already exists"), and statements are full of them. Gateway and workers log what failed.
QUIET = {
    "log_min_messages": "log",  # ranks above `error` here: what goes wrong in the server itself is still said
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_duration_statement": "-1",
    "log_statement": "none",
}
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def default_settings() -> dict[str, str]:
    """Settings for this machine; fsync, full pages and synchronous commit are PostgreSQL's own defaults."""
    settings = {
        "shared_buffers": f"{min(memory_bytes() // 4, 1024 * MEGABYTE) // MEGABYTE}MB",
        "max_connections": "200",
        "max_wal_size": "4GB",
        "min_wal_size": "2GB",  # to make a segment of the log anew costs more than to write over an old one
        "wal_writer_delay": "10ms",  # the log of a job's rows is mostly written by the time of its commit
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %a ",
        **QUIET,
    }
    if not _roomy(Path("/dev/shm")):  # noqa: S108 - asked for its size only
        # Containers give /dev/shm 64 MB, too few for a parallel join.
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


def render(settings: Mapping[str, str]) -> str:
    """The text of a postgresql.conf."""
    lines = (f"{name} = '{_escape(value)}'" for name, value in settings.items())
    return "# Written by predictq at every start: changes made here are lost.\n" + "\n".join(lines) + "\n"


def memory_bytes() -> int:
    """The memory this process may use: the machine's, or its container's if that is less."""
    texts = (path.read_text(encoding="ascii").strip() for path in CGROUP_LIMITS if path.exists())
    return min(psutil.virtual_memory().total, *(int(text) for text in texts if text.isdigit()))


def _roomy(directory: Path) -> bool:
    return directory.is_dir() and shutil.disk_usage(directory).free > 512 * MEGABYTE


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
