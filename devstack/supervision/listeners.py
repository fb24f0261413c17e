"""Who listens on a port of this machine: a program of ours, or a stranger's that was quicker."""

import psutil


def listens(process: psutil.Process, port: int | None) -> bool:
    """Whether `process` listens on TCP `port`, by whatever address. Raises psutil.Error where that cannot be seen."""
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in process.net_connections("tcp"))


def may_listen(pid: int, port: int) -> bool:
    """Whether process `pid` listens on `port`. Of a process that may not be looked into it is believed.

    That is one of another account, where not even root may look: in a container without capabilities.
    """
    try:
        return listens(psutil.Process(pid), port)
    except psutil.AccessDenied:
        return True
    except psutil.Error:  # it has ended
        return False
