"""What `predictq models check` has seen, in lines for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.output.job_text import number_text
from shared.sentences import count_of


def check_lines(report: Mapping[str, Any]) -> list[str]:
    """What `models check` has seen."""
    of = count_of(report["rows"], "row")
    lines = [f"{report['answered']:,} of {of} answered, {1e6 * report['seconds_per_row']:.0f} µs a row"]
    for code, count in report["errors"].items():
        lines.append(f"{count_of(count, 'row')} {code}: {report['first_errors'].get(code, '')}")
    if report["nulls"]:
        lines.append("missing: " + ", ".join(f"{name} {count:,}" for name, count in report["nulls"].items()))
    for name, count in report["unknown_categories"].items():
        lines.append(f"{name}: {count_of(count, 'row has', 'rows have')} a category that the model does not know")
    if report["labels"]:
        lines.append("labels: " + ", ".join(f"{label} {count:,}" for label, count in report["labels"].items()))
    if report["quantiles"]:
        shares = report["quantiles"].items()
        lines.append("answers: " + ", ".join(f"{share} {number_text(value, 4)}" for share, value in shares))
    labels = report["first_errors"].get("labels")
    lines += [words for words in (labels, report["first_errors"].get("whole_numbers")) if words]
    for way, difference in report["differences"].items():
        lines.append(f"NOT EQUAL to {way}: {difference}")
    if not report["answered"]:
        lines.append("no row was answered, so nothing was compared; predictq sources check SOURCE says what changed")
    elif report["is_equal"]:
        left = report["rows"] - report["answered"]
        but = f"; {count_of(left, 'row has', 'rows have')} none" if left else ""
        what = "probability" if labels else "answer"
        lines.append(f"every {what} equals the estimator's own{but}")
    return lines
