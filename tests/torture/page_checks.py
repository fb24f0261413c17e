"""The checks of one page: it is there once, it accounts for each row, and each row is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.models import right_answer
from tests.torture import models
from tests.torture.histories import Histories, Interval, meet
from tests.torture.page_reader import Cell, NoPage
from tests.torture.population import Features
from tests.torture.stored import Job, Page
from tests.torture.violation import Violation

_CLOCK_SECONDS = 0.002  # between PostgreSQL's reading of the clock and ours
_SMALL = 64  # rows from which on a page has a filter of its keys
_NOTHING = (None, None, None, None)  # the features of a row without a client
_ROW = "each row has one answer or one stated error"
_RIGHT = "each answer is right for the version it names"
_TRACE = "the features in the page were the client's when it was scored"
_ACCOUNT = "accepted = succeeded + failed + cancelled + in flight"
_POISON_ERRORS = {
    models.RAISES: "model_failed",
    models.KILLS: "model_failed",
    models.HANGS: "model_failed",
    models.NAN: "invalid_probability",
}

Counts = tuple[int, int, int]  # succeeded, failed, cancelled


@dataclass
class Context:
    """What pages are held against, and what they sum up to."""

    jobs: Mapping[str, Job]
    histories: Histories
    offsets: Mapping[int, float]
    claims: Mapping[tuple[int, int], float]  # batch and fence → a moment at which that claim was not made yet
    erased: frozenset[int]  # clients who were erased, and that was done
    asked: dict[str, list[object]] = field(default_factory=dict)  # job → clients or features, in order
    counts: dict[str, Counts] = field(default_factory=dict)  # job → as its pages have it
    requests: int = 0
    answers: tuple[int, int] = (0, 0)  # probabilities and errors

    def add(self, job: str, asked: Sequence[object], counts: Counts) -> None:
        """Add rows of a job."""
        self.asked.setdefault(job, []).extend(asked)
        before = self.counts.get(job, (0, 0, 0))
        self.counts[job] = (before[0] + counts[0], before[1] + counts[1], before[2] + counts[2])


def check_page(page: Page, context: Context) -> Iterator[Violation]:
    """Whatever is wrong with one page; notes its rows in `context`."""
    name = f"batch {page.batch_id}"
    if not page.has_requests:
        yield Violation("nothing unrequested appears", f"{name} has no requests")
        return
    context.requests += page.request_count
    yield from _check_erased(page, context)
    asked: list[object] = [
        client if given is None else given for client, given in zip(page.clients, page.given, strict=True)
    ]
    yield from _check_jobs(page, name, asked, context)
    if page.outputs > 1:
        yield Violation("one page of answers per batch", f"{name} has {page.outputs}")
    if page.has_outputs and page.is_open:
        yield Violation("only a batch that has ended has answers", f"{name} is open work, too")
    if not page.has_outputs:
        if not page.is_open:
            yield Violation(_ROW, f"{name} is neither open nor answered")
        return
    yield from _check_account(page, name)
    if page.values is not None:
        context.answers = (
            context.answers[0] + sum(value is not None for value in page.values),
            context.answers[1] + sum(row not in page.cancelled for row in page.errors),
        )
        yield from _check_answers(page, name, context)


def _check_erased(page: Page, context: Context) -> Iterator[Violation]:
    """Of an erased client nothing is left but that there was a row."""
    promise = "an erased client is nowhere"
    for row, client in enumerate(page.clients):
        name = f"{page.batch_id}-{row}"
        if client in context.erased:
            yield Violation(promise, f"{name} still names client {client}")
        if row not in page.erased or not page.has_outputs:
            continue
        value = page.values[row] if page.values else None
        cells = page.features[row] if page.content else _NOTHING
        error = "erased" if row not in page.cancelled and page.values else page.errors.get(row, "erased")
        if (client, page.given[row], value, cells, page.errors.get(row, error)) != (
            None,
            None,
            None,
            _NOTHING,
            "erased",
        ):
            yield Violation(promise, f"{name}: {client}, {page.given[row]}, {value}, {cells}, {page.errors.get(row)}")


def _check_jobs(page: Page, name: str, asked: list[object], context: Context) -> Iterator[Violation]:
    if page.job_id is not None:
        context.add(page.job_id, asked, page.counts)
        jobs = [page.job_id]
    else:
        jobs = page.job_ids or []
        for row, job in enumerate(jobs):
            context.add(job, [asked[row]], _single_counts(page, row))
            known = context.jobs.get(job)
            if known is not None and (known.batch_id, known.row) != (page.batch_id, row):
                yield Violation("the job holds what was asked", f"job {job} is row {row} of {name}, and says otherwise")
    for job in jobs:
        if job not in context.jobs:
            yield Violation("nothing unrequested appears", f"{name} has rows of job {job}, which there is not")
            continue
        if page.has_outputs and context.jobs[job].version != page.version:
            yield Violation("the pinned model answers", f"{name}: version {page.version} for job {job}")
        cancelled = context.jobs[job].cancelled_at
        if page.job_id and cancelled and page.values is not None and page.claimed > cancelled:
            yield Violation("what was cancelled is not scored", f"{name} was claimed after the cancel of {job}")


def _single_counts(page: Page, row: int) -> Counts:
    if not page.has_outputs:
        return (0, 0, 0)
    if page.values is None or row in page.cancelled:
        return (0, 0, 1)
    if row in page.erased:
        return (0, 0, 0)  # nobody can know any more
    return (0, 1, 0) if page.values[row] is None else (1, 0, 0)


def _check_account(page: Page, name: str) -> Iterator[Violation]:
    if page.values is None:
        expected: Counts = (0, 0, page.request_count)
    else:
        good = sum(value is not None for value in page.values)
        bad = sum(row not in page.cancelled | page.erased for row in page.errors)
        expected = (good, bad, len(page.cancelled))
        if page.erased - page.cancelled and page.counts[0] >= good and page.counts[1] >= bad:
            expected = (*page.counts[:2], len(page.cancelled))  # an erasure leaves the counts as they were
    if page.counts != expected or sum(expected) != page.request_count:
        yield Violation(_ACCOUNT, f"{name} says {page.counts} of {page.request_count}, its rows {expected}")


def _check_answers(page: Page, name: str, context: Context) -> Iterator[Violation]:
    values = page.values or []
    if page.fence < 1 or not page.worker:
        yield Violation("each page is of the claim that won", f"{name}: fence {page.fence} of {page.worker}")
    try:
        features = page.features
    except NoPage as error:
        yield Violation(_TRACE, f"{name} cannot be read: {error}")
        return
    if not len(features) == len(values) == len(page.clients):
        yield Violation(_ROW, f"{name}: {len(values)} values, {len(features)} rows of features")
        return
    for row, (value, cells) in enumerate(zip(values, features, strict=True)):
        yield from _check_row(page, row, value, cells, context)
    yield from _check_trace(page, name, context)
    yield from _check_keys(page, name)


def _check_row(
    page: Page, row: int, value: float | None, cells: tuple[Cell, ...], context: Context
) -> Iterator[Violation]:
    if row in page.erased:
        return
    if row in page.cancelled:
        if value is not None:
            yield Violation("a cancelled row has no answer", f"{page.batch_id}-{row}: {value}")
        return
    error = page.errors.get(row)
    if (value is None) == (error is None):
        yield Violation(_ROW, f"{page.batch_id}-{row}: {value} and {error}")
        return
    expected = _expected(Features(*cells), context.offsets[page.version])  # type: ignore[arg-type]
    right = error == expected if isinstance(expected, str) else value is not None and abs(value - expected) < 1e-9
    if not right:
        given = error if value is None else value
        yield Violation(_RIGHT, f"{page.batch_id}-{row}: {given}, expected {expected} for {cells}")


def _expected(features: Features, offset: float) -> float | str:
    if tuple(features) == _NOTHING:
        return "unknown_client"
    return _POISON_ERRORS.get(features.age) or offset + right_answer(*features)


def _check_trace(page: Page, name: str, context: Context) -> Iterator[Violation]:
    """There must be one moment, after the claim and before the answer, at which all clients read as the page says."""
    not_before = max(page.claimed, context.claims.get((page.batch_id, page.fence), 0.0))
    moments: list[Interval] = [(not_before - _CLOCK_SECONDS, page.answered + _CLOCK_SECONDS)]
    for row, (client, given, cells) in enumerate(zip(page.clients, page.given, page.features, strict=True)):
        if given is not None:
            if cells != tuple(given.get(name) for name in Features._fields):
                yield Violation(_TRACE, f"{page.batch_id}-{row}: {cells}, given {given}")
        elif client is not None:
            seen = None if cells == _NOTHING else Features(*cells)  # type: ignore[arg-type]
            met = meet(moments, context.histories.when(client, seen))
            if not met:
                yield from _tell_of_no_moment(page, row, client, seen, moments, context)
                return
            moments = met


def _tell_of_no_moment(
    page: Page, row: int, client: int, seen: Features | None, moments: list[Interval], context: Context
) -> Iterator[Violation]:
    words = f"{page.batch_id}-{row} (fence {page.fence}): client {client} was read as {seen}, which it was"
    when = context.histories.when(client, seen)
    late = context.claims.get((page.batch_id, page.fence), 0.0)
    if late and any(last <= late for _, last in when):
        yield Violation("each page is of the claim that won", f"{words} before that claim alone")
    else:
        yield Violation(_TRACE, f"{words} in {when}, not in {moments}")


def _check_keys(page: Page, name: str) -> Iterator[Violation]:
    """A client is found by the hashes of small pages and by the filter of large ones."""
    named = {client for client, given in zip(page.clients, page.given, strict=True) if given is None} - {None}
    small = page.request_count < _SMALL
    if page.hashes != (len(named) if small else 0) or page.has_filter != (bool(named) and not small):
        words = f"{name}: {page.hashes} hashes, filter: {page.has_filter}, {len(named)} clients in {page.request_count}"
        yield Violation("a client's answers are found", words)
