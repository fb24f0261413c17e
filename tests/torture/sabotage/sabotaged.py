"""`python -m tests.torture.sabotage.sabotaged CLOCK_OFFSET PROTECTIONS KIND ARGUMENTS`: run it without.

CLOCK_OFFSET in seconds is added to what the process takes for the time; PROTECTIONS are names in `SWITCHES` of
`tests.torture.sabotage.protections`, with commas between them; there may be none. `check` in place of a kind of process
runs nothing: it takes all of them away at once, and fails where the product has nothing of the kind any more.
"""

import importlib
import sys
import time

_ENTRIES = {
    "api": "api.server.main",
    "worker": "worker.main",
    "planner": "worker.planning.main",
    "upkeep": "worker.upkeep.main",
}


def main() -> None:
    """Take away what shall be missing, before anything of the product is imported, then run it."""
    offset, protections, role, *arguments = sys.argv[1:]
    if float(offset):
        right_time = time.time
        time.time = lambda: right_time() + float(offset)
    sys.argv = [role, *arguments]
    if role == "worker":
        from worker.environment import prepare_environment

        prepare_environment()
        _sabotage_its_planner(offset, protections)
    from tests.torture.sabotage.protections import SWITCHES

    for name in filter(None, protections.split(",")):
        if role in SWITCHES[name].roles or role == "check":
            SWITCHES[name].apply()
    if role == "check":
        return
    importlib.import_module(_ENTRIES[role]).main()


def _sabotage_its_planner(offset: str, protections: str) -> None:
    """The worker starts a planner of its own: that one must lack the same."""
    import subprocess
    from types import SimpleNamespace
    from typing import Any

    from worker import side_process

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        if command[1:3] == ["-m", "worker.errands"]:
            return subprocess.Popen(command, **options)
        if command[1:3] != ["-m", "worker.planning"]:
            raise LookupError(f"the product has changed: a planner is started by {command}")
        module = ["-m", "tests.torture.sabotage.sabotaged", offset, protections, "planner"]
        return subprocess.Popen([command[0], *module, *command[3:]], **options)

    vars(side_process)["subprocess"] = SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
