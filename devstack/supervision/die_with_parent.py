"""Replace this process by a command that is told to end when the process that started it dies.

A program of its own, not a preexec_fn: that would run Python between fork and exec of a threaded parent, which
can deadlock. It costs some 20 ms per start. Run by file path with `python -I -S`, so it needs nothing but the
standard library, and it gives up root itself because an unprivileged user may be unable to reach the Python
interpreter.
"""

import argparse
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop privileges, ask for the signal, check that the parent still lives, and become the command."""
    options = _options()
    if options.uid is not None:
        os.setgroups([])
        os.setgid(options.gid)
        os.setuid(options.uid)
    # Python ignores SIGPIPE, a background shell SIGINT; both would be inherited by the command.
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        # Only now: the kernel forgets the request when the user id changes.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, options.signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != options.parent:
            sys.exit("the process that asked for this command has died")
    os.execvp(options.command[0], options.command)  # noqa: S606 - the point of this program


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    main()
