"""Another host: a network namespace, joined to this one by a virtual cable that can be pulled."""

from __future__ import annotations

import itertools
import os
import subprocess
from functools import cache
from typing import Self

HERE, THERE = "10.231.77.1", "10.231.77.2"
_numbers = itertools.count()


@cache
def obstacle() -> str | None:
    """Why there can be no such host on this machine; None when there can."""
    name = f"pq{os.getpid()}probe"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces are not permitted here ({error})"
    return None


class Host:
    """A host with the address `THERE`, from which this one is `HERE`; use as a context manager."""

    def __init__(self) -> None:
        self._name = f"pq{os.getpid() % 10_000}n{next(_numbers)}"
        self._cable = f"{self._name}h"

    @property
    def prefix(self) -> list[str]:
        """What goes before a command to run it there."""
        return ["ip", "netns", "exec", self._name]

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._name)
            _ip("address", "add", f"{HERE}/30", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            for arguments in (["address", "add", f"{THERE}/30", "dev", "eth0"], ["link", "set", "eth0", "up"]):
                _ip("-n", self._name, *arguments)
            _ip("-n", self._name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "del", self._name)  # the cable goes with it

    def pull_cable(self) -> None:
        """From now on nothing arrives, on either side, and nobody is told."""
        _ip("link", "set", self._cable, "down")

    def plug_cable(self) -> None:
        """As it was."""
        _ip("link", "set", self._cable, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
