"""The checks of one page: it is there once, it accounts for each row, and what it names is found."""

from __future__ import annotations

from collections.abc import Iterator

from tests.torture.checking.row_checks import ROW, check_rows
from tests.torture.checking.violation import Violation
from tests.torture.context import Context, Counts
from tests.torture.stored import Page

_SMALL = 64  # rows from which on a page has a filter of its keys
_NOTHING = (None, None, None, None)  # the features of a row without a client
_ACCOUNT = "accepted = succeeded + failed + cancelled + in flight"


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
            yield Violation(ROW, f"{name} is neither open nor answered")
        return
    yield from _check_account(page, name)
    if page.values is not None:
        context.answers = (
            context.answers[0] + sum(value is not None for value in page.values),
            context.answers[1] + sum(row not in page.cancelled for row in page.errors),
        )
        if page.fence < 1 or not page.worker:
            yield Violation("each page is of the claim that won", f"{name}: fence {page.fence} of {page.worker}")
        yield from check_rows(page, name, context)
        yield from _check_keys(page, name)


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
            yield from _check_told(page, row, job, context)
    for job in jobs:
        if job not in context.jobs:
            yield Violation("nothing unrequested appears", f"{name} has rows of job {job}, which there is not")
            continue
        if page.has_outputs and context.jobs[job].version != page.version:
            yield Violation("the pinned model answers", f"{name}: version {page.version} for job {job}")
        cancelled = context.jobs[job].cancelled_at
        if page.job_id and cancelled and page.values is not None and page.claimed > cancelled:
            yield Violation("what was cancelled is not scored", f"{name} was claimed after the cancel of {job}")


def _check_told(page: Page, row: int, job: str, context: Context) -> Iterator[Violation]:
    """A caller who was told the end of a single job was told what is stored."""
    told = context.told.get(job)
    if told is None or row in page.erased:
        return
    stored = page.values[row] if page.values else None
    said = (told.get("result") or {}).get("probability")
    if said != stored:
        yield Violation("what callers are told is what is stored", f"job {job} was told {said}: {stored} is stored")


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


def _check_keys(page: Page, name: str) -> Iterator[Violation]:
    """A client is found by the hashes of small pages and by the filter of large ones."""
    named = {client for client, given in zip(page.clients, page.given, strict=True) if given is None} - {None}
    small = page.request_count < _SMALL
    if page.hashes != (len(named) if small else 0) or page.has_filter != (bool(named) and not small):
        words = f"{name}: {page.hashes} hashes, filter: {page.has_filter}, {len(named)} clients in {page.request_count}"
        yield Violation("a client's answers are found", words)
