"""Free TCP ports on the loopback interface."""

import random
import socket

import psutil

# Below the range from which Linux (32768) and macOS (49152) take the local ports of outgoing connections: a port
# from that range could be taken by any client while its server restarts.
PORTS = range(15_000, 32_768)
TRIES = 100


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on; outside the range of outgoing connections if one is found there."""
    for port in random.sample(PORTS, TRIES):
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(pid: int, port: int | None) -> bool:
    """Whether process `pid`, or one that it started, listens on `port`."""
    try:
        supervisor = psutil.Process(pid)
        family = [supervisor, *supervisor.children(recursive=True)]
    except psutil.Error:
        return False
    return any(_has_port(process, port) for process in family)


def _has_port(process: psutil.Process, port: int | None) -> bool:
    try:
        found = process.net_connections("tcp")
    except psutil.Error:  # gone, or another account's: not a gateway of ours
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
