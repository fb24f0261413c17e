"""The goals as a table: figure, bound, met or not."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bench.report.goals import GOALS

Figures = dict[str, Any]


def judge(scenarios: Figures) -> list[Figures]:
    """One row per goal whose scenario was measured; quick runs leave some out."""
    rows = []
    for goal in GOALS:
        figures = scenarios.get(goal.scenario)
        if figures is None:
            continue
        value = float(goal.read(figures))
        rows.append(
            {
                "what": goal.what,
                "value": value,
                "unit": goal.unit,
                "bound": goal.bound,
                "at_least": goal.at_least,
                "met": goal.met(value),
            }
        )
    return rows


def show(rows: list[Figures], scenarios: Figures) -> None:
    """Print the table, and the peers' rates below it."""
    table = Table(title="predictq, measured", title_justify="left")
    for name in ("what", "measured", "goal", ""):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in rows:
        sign = "≥" if row["at_least"] else "≤"
        table.add_row(
            row["what"],
            f"{number(row['value'])} {row['unit']}",
            f"{sign} {number(row['bound'])}",
            "met" if row["met"] else "missed",
        )
    console = Console(width=110)
    console.print(table)
    for line in rates(scenarios):
        console.print(line)


def markdown(results: Figures) -> str:
    """The same table for a document, with where and when it was measured."""
    machine = results["machine"]
    lines = [
        (
            f"Measured {results['measured_at'][:10]} on {machine['cores']} cores ({machine['processor']}), "
            f"load {machine['load_before']:.1f} before, PostgreSQL {machine['postgresql']}, Python {machine['python']}."
        ),
        "",
        "| what | measured | goal | |",
        "|---|--:|--:|---|",
    ]
    for row in results["goals"]:
        sign = "≥" if row["at_least"] else "≤"
        verdict = "met" if row["met"] else "**missed**"
        lines.append(
            f"| {row['what']} | {number(row['value'])} {row['unit']} | {sign} {number(row['bound'])} | {verdict} |"
        )
    return "\n".join([*lines, "", *(f"- {line}" for line in rates(results["scenarios"]))]) + "\n"


def rates(scenarios: Figures) -> list[str]:
    """One line per system that was measured."""
    singles, bulk = scenarios.get("singles"), scenarios.get("bulk")
    lines = []
    if singles:
        names = [name for name in ("predictq", "recipe", "dramatiq", "rq", "synchronous") if name in singles]
        lines += [f"single predictions, {name}: {number(singles[name]['rate'])}/s" for name in names]
        lines.append(f"a POST that does nothing: {number(singles['noop_rate'])}/s")
    if bulk:
        lines += [f"bulk, {name}: {number(bulk[name]['rate'])} rows/s" for name in ("predictq", "pandas")]
        lines.append(f"bulk, COPY without a trace: {number(bulk['copy_limit_rate'])} rows/s")
    return lines


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
