"""seccomp: calls that the kernel refuses this process, whatever code runs in it.

No socket of any kind, no other process touched or started as another program, no rights or times of files changed, no
escape into namespaces, tracing, keys or the kernel. https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Any

_SET_NO_NEW_PRIVILEGES, _GET_SECCOMP, _SET_SECCOMP, _MODE_FILTER = 38, 21, 22, 2  # of prctl(2)
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # of the filter's machine
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where they stand in what the filter sees
_OTHER_TABLE = 0x40000000  # x86 has a second table of calls above this number

# By architecture: its mark in the filter, and the numbers of its calls (asm/unistd.h).
_MARKS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED: dict[str, tuple[int, ...]] = {
    "x86_64": (
        41, 53, 42, 49, 50, 43, 288, 44, 46, 307,  # socket, socketpair, connect, bind, listen, accept, send…
        425, 426, 427,  # io_uring: it can do all of these by itself
        101, 310, 311, 312, 438, 434, 424, 440,  # ptrace, process_vm_*, kcmp, pidfd_*
        129, 297, 200, 112, 109,  # signals to others, setsid, setpgid: the group is what ends all of it
        59, 322,  # execve
        272, 308, 165, 166, 155, 161, 429, 430, 304,  # namespaces, mounts, handles
        321, 298, 323, 248, 249, 250,  # bpf, perf, userfaultfd, keys
        175, 313, 176, 246, 169, 167, 168, 163, 103, 172, 173, 179,  # modules, reboot, swap, ports
        164, 227, 305, 159, 170, 171,  # the clock, the machine's name
        29, 30, 31, 64, 68, 240,  # memory, semaphores and queues that others share
        90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280,  # rights, owners and times of files
        188, 189, 190, 197, 198, 199, 463, 466, 469,  # their attributes
        141, 251, 203, 144, 142, 314,  # turns of others
    ),
    "aarch64": (
        198, 199, 203, 200, 201, 202, 242, 206, 211, 269, 425, 426, 427, 117, 270, 271, 272, 438, 434, 424, 440, 138,
        240, 130, 157, 154, 221, 281, 97, 268, 40, 39, 41, 51, 429, 430, 265, 280, 241, 282, 217, 218, 219, 105, 273,
        106, 104, 142, 224, 225, 89, 116, 60, 170, 112, 266, 171, 161, 162, 194, 196, 195, 190, 186, 180, 52, 53, 452,
        55, 54, 88, 5, 6, 7, 14, 15, 16, 463, 466, 469, 140, 30, 122, 119, 118, 274,
    ),
}  # fmt: skip
# Only with this process, or with nobody, as their first argument: kill, tgkill, prlimit64.
_OWN_ONLY = {"x86_64": (62, 234, 302), "aarch64": (129, 131, 261)}


def can_close_calls() -> bool:
    """Whether this system has filters of calls, and we know its numbers."""
    if sys.platform != "linux" or platform.machine() not in _REFUSED:
        return False
    mode: int = ctypes.CDLL(None).prctl(_GET_SECCOMP, 0, 0, 0, 0)
    return mode >= 0


def forbid_new_privileges() -> None:
    """No program that this process starts gets rights that it does not have. The other rules ask for it."""
    _prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def close_calls() -> None:
    """Refuse the calls from now on, to this process and all that it starts. Raises OSError where that fails.

    Only for a process of one thread: others would keep what they have.
    """
    steps = _filter(platform.machine(), os.getpid())
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    _prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(program), 0, 0)


def _filter(machine: str, pid: int) -> list[bytes]:
    """The program: each step is an operation, where to go on if it holds and if not, and a number."""
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _MARKS[machine], if_not=0, if_so=1),
        _step(_RETURN, _KILL),  # another table of numbers
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _OTHER_TABLE, if_not=1),
        _step(_RETURN, _REFUSE),
    ]
    for number in _REFUSED[machine]:
        steps += [_step(_EQUAL, number, if_not=1), _step(_RETURN, _REFUSE)]
    for number in _OWN_ONLY[machine]:
        steps += [
            _step(_EQUAL, number, if_not=5),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_EQUAL, 0, if_so=2),
            _step(_EQUAL, pid, if_so=1),
            _step(_RETURN, _REFUSE),
            _step(_RETURN, _ALLOW),
        ]
    return [*steps, _step(_RETURN, _ALLOW)]


def _step(operation: int, value: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_so, if_not, value)


def _prctl(*arguments: Any) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl: {os.strerror(code)}")
