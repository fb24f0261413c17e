"""The comparison as a picture: what each system reaches, on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Figures = dict[str, Any]

_OURS, _PEER, _LIMIT = "#1b7f5c", "#9aa5b1", "#d9dee3"
_LABELS = {
    "noop_rate": "a POST that does nothing",
    "predictq": "predictq",
    "synchronous": "synchronous endpoint",
    "dramatiq": "FastAPI + Dramatiq",
    "recipe": "FastAPI + Celery",
    "rq": "FastAPI + RQ",
    "copy_limit_rate": "COPY, no trace",
    "pandas": "pandas script",
}


def draw(scenarios: Figures, path: Path) -> bool:
    """Write the plot as SVG; returns False when neither comparison was measured."""
    panels = [(name, title) for name, title in _PANELS if name in scenarios]
    if not panels:
        return False
    mpl.rcParams["svg.hashsalt"] = "predictq"  # the same figures give the same file
    figure = Figure(figsize=(9, 1.2 + 1.9 * len(panels)), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        _bars(axes, scenarios[name], title)
    figure.savefig(path, metadata={"Date": None})
    return True


_PANELS = (
    ("singles", "single predictions per second, 256 connections"),
    ("bulk", "bulk rows per second, with requests and answers stored"),
)


def _bars(axes: Axes, figures: Figures, title: str) -> None:
    names = [name for name in _LABELS if name in figures][::-1]
    values = [figures[name] if name.endswith("_rate") else figures[name]["rate"] for name in names]
    bars = axes.barh([_LABELS[name] for name in names], values, color=[_colour(name) for name in names])
    axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 3, max(values) * 3)
    axes.set_title(title, loc="left", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _colour(name: str) -> str:
    if name == "predictq":
        return _OURS
    return _LIMIT if name.endswith("_rate") else _PEER
