"""Landlock: the kernel lets this process read its libraries, and open nothing else for reading, writing or running.

https://docs.kernel.org/userspace-api/landlock.html, called by number because Python has no binding of its own.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_FILE_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many kinds of access each version knows
_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11  # binding and connecting (4); what leads out of the domain (6)

# What libraries look at: the loader's cache, the clock's zone, how many processors there are.
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random",
    "/dev/zero", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/sys/fs/cgroup",
)  # fmt: skip
_LIBRARY_FOLDERS = ("site-packages", "dist-packages", "lib-dynload")
_CODE = (".py", ".so", ".pyd", ".zip")


def landlock_version() -> int:
    """What the kernel knows of Landlock; 0 where it does not, or does not allow it."""
    if sys.platform != "linux":
        return 0
    version: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, version)


def close_files(*readable: Path) -> None:
    """Leave this process nothing but reading its code, its libraries and what is in `readable`.

    Raises OSError where the kernel refuses.

    Only for a process of one thread: others would keep what they have.
    """
    version = landlock_version()
    rights = (1 << _FILE_RIGHTS_BY_VERSION[min(version, 5)]) - 1
    attributes = struct.pack(
        "QQQ", rights, _TCP if version >= 4 else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    for path, wanted in _allowed():
        _allow(ruleset, path, wanted)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _READ_DIRECTORY)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allowed() -> Iterator[tuple[Path, int]]:
    """What may be read, and how."""
    for place in {*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        yield Path(place), _READ_FILE | _READ_DIRECTORY
    yield Path(os.devnull), _READ_FILE | _WRITE_FILE
    for package in Path(__file__).resolve().parents[2].iterdir():
        if package.name in ("model", "shared", "worker"):
            yield package, _READ_FILE | _READ_DIRECTORY
    for folder in [*map(Path, sys.path), *_editable()]:
        yield from _code_in(folder)


def _code_in(place: Path) -> Iterator[tuple[Path, int]]:
    """Of a folder that modules come from its libraries, its modules and its packages: it may be somebody's home."""
    if place.name in _LIBRARY_FOLDERS or place.is_file():
        yield place, _READ_FILE | _READ_DIRECTORY
    elif place.is_dir():
        yield place, _READ_DIRECTORY
        for child in place.iterdir():
            if child.suffix in _CODE or (not child.name.startswith(".") and (child / "__init__.py").is_file()):
                yield child, _READ_FILE | _READ_DIRECTORY


def _editable() -> Iterator[Path]:
    """Packages that were installed in place: a finder of setuptools knows where they are."""
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):
            yield from (Path(path).parent for path in getattr(module, "MAPPING", {}).values())


def _allow(ruleset: int, path: Path, wanted: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there, or not to be entered: then there is nothing to allow
        return
    try:
        rights = wanted if path.is_dir() else wanted & ~_READ_DIRECTORY
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    libc = _libc()
    answer: int = libc.syscall(number, *arguments)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return answer


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
