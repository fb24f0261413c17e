"""Progress of long work: a bar with rate and time left in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cli.output.console import remark, remarks
from shared.sentences import count_of

PLAIN_SECONDS = 5.0  # between two lines where there is no terminal


Meter = Callable[..., None]  # told how much is done in all and, once it is known, of how much


@contextmanager
def progress(what: str, total: int | None, *, unit: str = "rows", quiet: bool = False) -> Iterator[Meter]:
    """Show the progress of `what` on standard error while the block runs; `unit` "bytes" is shown as kB and MB."""
    if quiet:
        yield _silent
    elif remarks.is_terminal:
        with _bar(unit) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done, total=total: bar.update(task, completed=done, total=total)
    else:
        yield _PlainMeter(what, total, unit)


def _silent(_done: int, _total: int | None = None) -> None:
    """Nothing is shown."""


def _bar(unit: str) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), _Amount(unit), _Rate(unit), TimeRemainingColumn())
    return Progress(*columns, console=remarks, transient=True)


def amount(number: float, unit: str) -> str:
    """A number with its unit, for people."""
    return decimal(int(number)) if unit == "bytes" else count_of(round(number), unit.removesuffix("s"))


def amount_of(done: float, total: float | None, unit: str) -> str:
    """How much is done, and of how much where that is known: `50 of 200 rows`."""
    if not total:
        return amount(done, unit)
    return f"{amount(done, unit) if unit == 'bytes' else f'{done:,.0f}'} of {amount(total, unit)}"


def _rate(speed: float, unit: str) -> str:
    """So many in a second; nothing where that would be none, as for the steps of a training."""
    return f"{amount(speed, unit)}/s" if speed >= 1 else ""


class _Amount(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(amount_of(task.completed, task.total, self._unit))


class _Rate(_Amount):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed or 0, self._unit), style="dim")


class _PlainMeter:
    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._start = self._told = time.monotonic()

    def __call__(self, done: int, total: int | None = None) -> None:
        self._total = self._total if total is None else total
        now = time.monotonic()
        if now - self._told < PLAIN_SECONDS:
            return
        self._told = now
        rate = done / (now - self._start)
        left = f", {(self._total - done) / rate:.0f} s left" if self._total and rate else ""
        speed = f", {_rate(rate, self._unit)}" if _rate(rate, self._unit) else ""
        remark(f"{self._what}: {amount_of(done, self._total, self._unit)}{speed}{left}")
