"""How much of a kind may be open at a time: of one API key, and of all keys together.

A route holds a place for as long as what it gives is open: `with services.caps.streams.place(caller): …`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from api.access.caller import Caller
from api.http.problems import AT_ONCE, Flaw, Problem
from shared.config import Settings
from shared.sentences import Sentence


class TooManyAtOnce(Problem):
    """A cap is reached. Its flaw names the setting that the operator would raise."""

    def __init__(self, what: str, limit: int, setting: str, *, of_key: bool) -> None:
        whose = "your API key" if of_key else "all callers together"
        detail = f"{limit:,} {what} are open for {whose}, and no more may be at a time. Let one end, then try again."
        super().__init__(AT_ONCE, Sentence(detail, limit=limit), [Flaw("", setting, detail)])


class TooMuchOfOwner(Problem):
    """What is kept or made for an owner has reached its cap. Its flaw names the setting to raise."""

    def __init__(self, what: str, limit: int, setting: str) -> None:
        detail = f"{limit:,} {what} are the most for one owner at a time. Let some end or expire, then try again."
        super().__init__(AT_ONCE, detail, [Flaw("", setting, detail)])


class Cap:
    """Counts what is open of one kind. For the event loop alone; its memory is that of the keys that have some open."""

    def __init__(self, name: str, what: str, *, of_key: int, of_all: int) -> None:
        """`name` is what the settings `key_NAME` and `all_NAME` are called by, `what` is a plural for people."""
        self._name = name
        self._what = what
        self._of_key = of_key
        self._of_all = of_all
        self._open: Counter[str] = Counter()  # by API key
        self.open = 0
        self.refused: Counter[str] = Counter({f"key_{name}": 0, f"all_{name}": 0})  # since the start, by setting

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """Hold a place during the block. Raises TooManyAtOnce, which is a 429."""
        self.take(caller)
        try:
            yield
        finally:
            self.leave(caller)

    def check(self, caller: Caller) -> None:
        """Whether there is a place. Raises TooManyAtOnce."""
        if self._open[caller.key] >= self._of_key:
            raise self._refusal(self._of_key, of_key=True)
        if self.open >= self._of_all:
            raise self._refusal(self._of_all, of_key=False)

    def take(self, caller: Caller) -> None:
        """Take a place, which `leave` gives back. Raises TooManyAtOnce."""
        self.check(caller)
        self._open[caller.key] += 1
        self.open += 1

    def leave(self, caller: Caller) -> None:
        """Give a place back."""
        self.open -= 1
        self._open[caller.key] -= 1
        if not self._open[caller.key]:
            del self._open[caller.key]

    def _refusal(self, limit: int, *, of_key: bool) -> TooManyAtOnce:
        setting = f"{'key' if of_key else 'all'}_{self._name}"
        self.refused[setting] += 1
        return TooManyAtOnce(self._what, limit, setting, of_key=of_key)


@dataclass(frozen=True, slots=True)
class Caps:
    """Every kind that is counted."""

    waiters: Cap
    streams: Cap
    uploads: Cap
    downloads: Cap
    lists: Cap
    errands: Cap
    owners: Counter[str] = field(default_factory=lambda: Counter(owner_upload_bytes=0, owner_exports=0))

    def too_much(self, what: str, limit: int, setting: str) -> TooMuchOfOwner:
        """The refusal of what is too much for one owner, counted."""
        self.owners[setting] += 1
        return TooMuchOfOwner(what, limit, setting)

    def refusals(self) -> dict[str, int]:
        """How often each limit has refused something since the start, by the name of its setting."""
        kinds = (self.waiters, self.streams, self.uploads, self.downloads, self.lists, self.errands)
        own = {setting: count for kind in kinds for setting, count in kind.refused.items()}
        return {**own, **self.owners}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(
            waiters=Cap("waiters", "waiting calls", of_key=settings.key_waiters, of_all=settings.all_waiters),
            streams=Cap("streams", "streams of events", of_key=settings.key_streams, of_all=settings.all_streams),
            uploads=Cap("uploads", "uploads", of_key=settings.key_uploads, of_all=settings.all_uploads),
            downloads=Cap("downloads", "downloads", of_key=settings.key_downloads, of_all=settings.all_downloads),
            lists=Cap("lists", "lists and parts of results", of_key=settings.key_lists, of_all=settings.all_lists),
            errands=Cap(
                "errands", "calls that wait for a worker", of_key=settings.key_errands, of_all=settings.all_errands
            ),
        )
