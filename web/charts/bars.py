"""Bars of progress."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup


def progress_bar(counts: Mapping[str, int | None]) -> Markup:
    """How much of a job is answered, failed and cancelled; empty while its rows are counted. The words stand beside."""
    total = counts["total"] or 0
    start, parts = 0.0, []
    for name in ("succeeded", "failed", "cancelled"):
        width = 100 * (counts[name] or 0) / total if total else 0.0
        if width:
            width = max(width, 0.6)  # one failed row in a million is still to be seen
            parts.append(f'<rect class="{name}" x="{min(start, 99.4):.2f}" width="{width:.2f}" height="8"/>')
        start += width
    return Markup(  # noqa: S704 - numbers alone
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rest" width="100" height="8"/>{"".join(parts)}</svg>'
    )
