"""The checks of a page's rows against the log of the source and the estimator itself.

The answer alone decides which state was read: it must be the estimator's for a state that the client really had. Only
then is the trace looked at, and it must show that state. A trace that lies therefore excuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.torture.checking.histories import Interval, Version, meet
from tests.torture.checking.oracle import State
from tests.torture.checking.page_reader import Cell, NoPage
from tests.torture.checking.violation import Violation
from tests.torture.context import Context
from tests.torture.population import Features
from tests.torture.stored import Page

ROW = "each row has one answer or one stated error"
RIGHT = "each answer is the estimator's for a state that its client had"
TRACE = "the trace shows the state that was scored"
_NOTHING = (None, None, None, None)  # the features of a row without a client


def check_rows(page: Page, name: str, context: Context) -> Iterator[Violation]:
    """Whatever is wrong with the rows of a page of answers."""
    values = page.values or []
    try:
        features = page.features
    except NoPage as error:
        yield Violation(TRACE, f"{name} cannot be read: {error}")
        return
    if not len(features) == len(values) == len(page.clients):
        yield Violation(ROW, f"{name}: {len(values)} values, {len(features)} rows of features")
        return
    moments = context.moments(page)
    versions = [_versions(page, row, moments[row], context) for row in range(len(values))]
    context.oracle.learn(page.version, {version.features for had in versions for version in had})
    is_right = True
    for row, cells in enumerate(features):
        for violation in _check_row(page, row, cells, versions[row], context):
            is_right = False
            yield violation
    if is_right and page.clients:
        yield from _check_moment(page, versions, moments)


def _versions(page: Page, row: int, moments: Interval, context: Context) -> list[Version]:
    """What may have been scored: what the client was then, or what the call itself gave."""
    given, client = page.given[row], page.clients[row]
    if given is not None:
        return [Version(Features(*(given.get(name) for name in Features._fields)), *moments)]  # type: ignore[arg-type]
    return [] if client is None else context.histories.within(client, moments)


def _seen(cells: tuple[Cell, ...]) -> State:
    return None if cells == _NOTHING else Features(*cells)  # type: ignore[arg-type]


def _check_row(
    page: Page, row: int, cells: tuple[Cell, ...], versions: list[Version], context: Context
) -> Iterator[Violation]:
    value = page.values[row] if page.values else None
    if row in page.erased:
        return
    if row in page.cancelled:
        if value is not None:
            yield Violation("a cancelled row has no answer", f"{page.batch_id}-{row}: {value}")
        return
    error = page.errors.get(row)
    if (value is None) == (error is None):
        yield Violation(ROW, f"{page.batch_id}-{row}: {value} and {error}")
        return
    outcome = value if error is None else error
    states = [version.features for version in versions]
    fitting = [state for state in states if context.oracle.agrees(page.version, state, outcome)]
    if not fitting:
        had = [(state, context.oracle.expected(page.version, state)) for state in states[:3]]
        words = f"client {page.clients[row]} is answered by {outcome}; it had {had}, of {len(states)} states"
        yield Violation(RIGHT, f"{page.batch_id}-{row}, version {page.version}: {words}")
    if _seen(cells) not in (fitting or states):
        yield _tell_of_the_trace(page, row, cells, states, context)


def _tell_of_the_trace(
    page: Page, row: int, cells: tuple[Cell, ...], states: list[State], context: Context
) -> Violation:
    client, seen = page.clients[row], _seen(cells)
    words = f"{page.batch_id}-{row} (fence {page.fence}): client {client} was read as {seen}"
    if client is None or page.given[row] is not None:
        return Violation(TRACE, f"{words}, given {page.given[row]}")
    when = context.histories.when(client, seen)
    late = context.not_before(page)
    if late and any(last <= late for _, last in when):
        return Violation("each page is of the claim that won", f"{words}, which it was before that claim alone")
    return Violation(TRACE, f"{words}, which it was in {when}; it had {states[:3]}, of {len(states)} states")


def _check_moment(page: Page, versions: list[list[Version]], moments: list[Interval]) -> Iterator[Violation]:
    """There must be one moment at which all clients of a page read as the page says: it is read in one snapshot."""
    first, last = max(first for first, _ in moments), min(last for _, last in moments)
    common: list[Interval] = [(first, last)]
    for row, (cells, had) in enumerate(zip(page.features, versions, strict=True)):
        if row in page.erased or row in page.cancelled or page.given[row] is not None:
            continue
        if len(had) == 1 and had[0].first <= first and had[0].last >= last:
            continue  # it was nothing else all the while
        seen = _seen(cells)
        met = meet(common, [(version.first, version.last) for version in had if version.features == seen])
        if not met:
            words = f"client {page.clients[row]} was {seen}, but not when the rows before it were as the page says"
            yield Violation(TRACE, f"{page.batch_id}-{row}: {words}: {common}")
            return
        common = met
