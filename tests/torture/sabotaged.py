"""`python -m tests.torture.sabotaged CLOCK_OFFSET PROTECTION api|worker ARGUMENTS`: run a process that lacks something.

CLOCK_OFFSET in seconds is added to what the process takes for the time; PROTECTION is a name in
`tests.torture.sabotage.SWITCHES`, or `-` for none.
"""

import importlib
import sys
import time

_ENTRIES = {"api": "api.server.main", "worker": "worker.main"}


def main() -> None:
    """Take away what shall be missing, before anything of the product is imported, then run it."""
    offset, protection, role, *arguments = sys.argv[1:]
    if float(offset):
        right_time = time.time
        time.time = lambda: right_time() + float(offset)
    sys.argv = [role, *arguments]
    if role == "worker":
        from worker.environment import prepare_environment

        prepare_environment()
    from tests.torture.sabotage import SWITCHES

    switch = SWITCHES.get(protection)
    if switch is not None and switch.role == role:
        switch.apply()
    importlib.import_module(_ENTRIES[role]).main()


if __name__ == "__main__":
    main()
