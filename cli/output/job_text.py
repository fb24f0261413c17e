"""Jobs and predictions in words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cli.output.console import plain_text

COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}


def status_text(status: str) -> str:
    """A job's status, in its colour."""
    colour = COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else status


def job_line(job: Mapping[str, Any]) -> str:
    """A job in one line: for a single one its answer, for a bulk one its counts and its rate."""
    head = f"job {job['id']} {status_text(job['status'])}"
    if job.get("result"):
        answer = f"{head}: {answer_text(job['result'])}, request {job['request_id']}"
        return "\n  ".join([answer, *_not_learnt(job["result"])])
    if job.get("error"):
        counted = job["request_counts"]["succeeded"] or job["request_counts"]["failed"]
        counts = f"{counts_text(job)}; " if job["kind"] == "bulk" and counted else ""
        return f"{head}: {counts}{plain_text(job['error']['detail'])}"
    if job["kind"] == "single":
        return f"{head}, request {job['request_id']}"
    return f"{head}: {counts_text(job)}"


def answer_text(result: Mapping[str, Any]) -> str:
    """One answer, as its model's task gives it."""
    who = f"client {plain_text(client_text(result['client_id']))}: " if result.get("client_id") is not None else ""
    made = f"({plain_text(result['model'])}:{result['model_version']})"
    if result.get("value") is not None:
        return f"{who}[bold]{number_text(result['value'])}[/] {made}"
    label = plain_text(client_text(result["label"]))
    if result.get("threshold") is None:
        return f"{who}[bold]{label}[/], probability {result['probability']:.4f} {made}"
    sign = "≥" if result["probability"] >= result["threshold"] else "<"
    verdict = f"probability {result['probability']:.4f} {sign} threshold {result['threshold']:.4f} → label "
    return f"{who}{verdict}[bold]{label}[/] {made}"


def _not_learnt(answer: Mapping[str, Any]) -> list[str]:
    """Of which features an answer has a category that its model did not learn, in words."""
    features = answer.get("unknown_categories")
    if not features:
        return []
    names = ", ".join(map(plain_text, features))
    if len(features) == 1:
        return [f"{names}: no category that the model learnt, and scored as none of them"]
    return [f"{names}: no categories that the model learnt, and scored as none of them"]


def number_text(value: float, digits: int = 6) -> str:
    """A number to so many digits, and all those before its point: an amount of millions has no exponent."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e15 else text


def client_text(value: Any) -> str:
    """A client's key or a label as people read it: a text as it is, a key of several columns as it is typed."""
    if isinstance(value, dict):
        return shlex.join(f"{column}={part}" for column, part in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def counts_text(job: Mapping[str, Any]) -> str:
    """The counts of a bulk job, and once it is finished its time and rate."""
    counts = job["request_counts"]
    if job["status"] == "cancelled" and not counts["total"]:
        return "its rows were not counted yet"
    done = counts["succeeded"] + counts["failed"]
    of = "the rows are being counted" if counts["total"] is None else f"of {counts['total']:,}"
    text = (
        f"{counts['succeeded']:,} scored, {of}" if counts["total"] is None else f"{counts['succeeded']:,} {of} scored"
    )
    for name in ("failed", "cancelled"):
        if counts[name]:
            text += f", {counts[name]:,} {name}"
    seconds = job_seconds(job)
    return f"{text} in {seconds:.1f} s ({done / seconds:,.0f} rows/s)" if seconds and done else text


def cause_lines(errors: Sequence[Mapping[str, Any]], job_id: str) -> list[str]:
    """Why rows of a bulk job failed: each code with its count and what is said of one such row, then how to see all."""
    lines = [f"  {group['count']:,} {group['code']}: {plain_text(group['samples'][0]['detail'])}" for group in errors]
    return [*lines, f"  All of them: predictq results {job_id} --errors only"] if lines else []


def summary_lines(summary: Mapping[str, Any] | None, job_id: str) -> list[str]:
    """What a bulk job's line leaves open: why rows failed, and which values the model did not know."""
    if summary is None:
        return []
    return [*cause_lines(summary["errors"], job_id), *_unknown_lines(summary["unknown_categories"])]


def _unknown_lines(unknown: Sequence[Mapping[str, Any]]) -> list[str]:
    count = sum(item["count"] for item in unknown)
    features = ", ".join(f"{plain_text(item['feature'])} ({item['count']:,})" for item in unknown)
    values = "value is no category" if count == 1 else "values are no categories"
    return [f"  {count:,} {values} that the model learnt, and scored as none of them: {features}"] if unknown else []


def job_seconds(job: Mapping[str, Any]) -> float | None:
    """Seconds from acceptance to the last committed answer; None while the job runs."""
    if not job.get("finished_at"):
        return None
    took = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["created_at"])
    return max(took.total_seconds(), 0.001)


def trace_lines(trace: Mapping[str, Any]) -> list[str]:
    """The trace of one prediction, a line for each thing that made it, and the features by name in columns."""
    lines = [f"[bold]request {trace['request_id']}[/] of job {trace['job_id']}"]
    lines += [f"  {label:<9} {text}" for label, text in _facts(trace) if text]
    features = trace.get("features") or {}
    if trace.get("features_left_out"):
        lines.append("  features are left out: your API key lacks the role 'features'")
    if any(value is not None for value in features.values()):  # else nothing was scored: nobody had this key
        lines.append(f"  features as scored, from {trace['features_from']}:")
        lines += _in_columns([f"{name}={_value_text(value)}" for name, value in features.items()])
    lines += [f"  {line}" for line in _not_learnt(trace)]
    return lines


def _facts(trace: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    moments = [(word, trace[f"{word}_at"]) for word in ("accepted", "claimed", "answered")]
    return [
        ("client", plain_text(client_text(trace["client_id"])) if trace.get("client_id") is not None else None),
        ("answer", _outcome(trace)),
        ("model", f"{plain_text(trace['model'])}:{trace['model_version']}, SHA-256 {trace['model_sha256'][:16]}…"),
        ("code", f"SHA-256 {trace['code_sha256'][:16]}…" if trace.get("code_sha256") else None),
        ("worker", plain_text(f"{trace['worker']}, batch {trace['batch_id']}") if trace.get("worker") else None),
        ("times", ", ".join(f"{word} {moment[11:23]}" for word, moment in moments if moment) + " (UTC)"),
    ]


def _outcome(trace: Mapping[str, Any]) -> str:
    if error := trace["error"]:
        return plain_text(f"none, {error['code']}: {error['detail']}")
    if trace["state"] != "answered":
        return "none: the row was cancelled" if trace["state"] == "cancelled" else "not scored yet"
    return answer_text({**trace, "client_id": None})


def _value_text(value: object) -> str:
    return "–" if value is None else plain_text(str(value).lower() if isinstance(value, bool) else value)


def _in_columns(cells: list[str], columns: int = 3) -> list[str]:
    rows = -(-len(cells) // columns)
    width = max(map(len, cells)) + 2
    lines = []
    for row in range(rows):
        line = "".join(cell.ljust(width) for cell in cells[row::rows])
        lines.append(f"    {line.rstrip()}")
    return lines
