"""A version on real rows of its source, before it is registered: what it cannot answer is refused now, not by a job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from model.errors import ModelRefused, doubted
from shared.errors import DatabaseUnavailable
from shared.models.new_version import NewVersion
from shared.models.signature import missing_columns
from shared.postgres.source_time_outs import STATEMENT, time_out
from shared.sentences import count_of
from shared.sources.source import Source
from worker.closed.process import Closed
from worker.errands.failures import ErrandRefused
from worker.errands.version_check import check_closed
from worker.models.references.kept import KeptReference
from worker.sources.failures import SourceAway, SourceFailed
from worker.sources.reader import SourceReader
from worker.sources.sampling import Sample, sample_rows

_ROWS = 200
_LEAST_ANSWERED = 0.5  # of them; below it a person has to decide
_MOST_SECONDS = 60.0  # that opening and trying may have taken
_CALLERS_SECONDS = 165.0  # for all of it: the caller waits three minutes
_STATEMENT_SECONDS = 25.0  # other errands wait meanwhile, whatever time-out the source has


def look_at_rows(
    closed: Closed, reader: SourceReader, source: Source, new: NewVersion, reference: KeptReference, *, began: float
) -> list[str]:
    """What was seen of the first rows of the source, for a person. `began`, of time.monotonic: the errand.

    A source that is away, empty or without the model's columns says so and hinders nothing. Raises ModelRefused where
    rows are answered otherwise than the estimator answers, or fewer than half are answered at all, and whatever the
    process says of its end.
    """
    if missing_columns(new.signature, [column.name for column in source.columns]):
        return []  # said already, with the names
    if time.monotonic() - began > _MOST_SECONDS:
        return [f"not tried on rows of {source.name}, because opening it took so long: predictq models check does it"]
    patience = min(_STATEMENT_SECONDS, time_out(source.settings, STATEMENT))
    quick = replace(source, settings={**source.settings, STATEMENT: patience})
    try:
        sample = sample_rows(reader, quick, new.signature, _ROWS)
    except (SourceAway, SourceFailed, DatabaseUnavailable) as error:
        return [f"not tried on rows of {source.name}: {str(error).rstrip('.')}. predictq models check does it later"]
    if not sample.features.num_rows:
        return [f"not tried on rows of {source.name}: it has none"]
    left = _CALLERS_SECONDS - (time.monotonic() - began)
    try:
        report = _check(closed, new, reference, sample, left)
    except ErrandRefused:
        if time.monotonic() - began < _CALLERS_SECONDS:
            raise
        return [f"not tried on rows of {source.name}, which took too long: predictq models check does it"]
    return _seen(report, source.name)


def _check(
    closed: Closed, new: NewVersion, reference: KeptReference, sample: Sample, seconds: float
) -> Mapping[str, Any]:
    record = {
        "id": 0,
        "version": 0,
        **new.facts(),
        "state": "registered",
        "is_live": False,
        **dict.fromkeys(("created_at", "checked_at", "promoted_at", "retired_at")),
    }
    return check_closed(closed, record, new.artefact, new.code, reference, sample, seconds=seconds)


def _seen(report: Mapping[str, Any], source: str) -> list[str]:
    """The report in a sentence. Raises ModelRefused where a person must decide."""
    rows, answered = int(report["rows"]), int(report["answered"])
    errors = "; ".join(
        f"{count_of(count, 'row')} {code}, one with: {report['first_errors'].get(code, '')}"
        for code, count in report["errors"].items()
    )
    if answered < _LEAST_ANSWERED * rows:
        raise ModelRefused(
            f"{_answered(answered, rows, source)}: {errors}. Mend the model or the source, or register it all "
            'the same with --force "REASON".',
            can_force=True,
        )
    if report["differences"]:
        found = "; ".join(f"not as {way}: {words}" for way, words in report["differences"].items())
        raise doubted(f"Real rows of {source} are answered otherwise than the estimator answers them: {found}")
    labels = report["first_errors"].get("labels")
    each = "each as the estimator itself answers" if labels is None else "each with the estimator's own probabilities"
    return [
        f"{answered} of {rows} rows of {source} answered, {each}",
        *([] if labels is None else [f"of {source}: {labels}"]),
        *([f"of {source}: {whole}"] if (whole := report["first_errors"].get("whole_numbers")) else []),
        *([f"of {source}: {errors}"] if errors else []),
    ]


def _answered(count: int, rows: int, source: str) -> str:
    words = {0: "None", 1: "Only one"}.get(count, f"Only {count}")
    return f"{words} of {rows} rows of {source} {'is' if count < 2 else 'are'} answered"
