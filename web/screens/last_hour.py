"""The samples of the last hour as the overview shows them: per minute, by model, zero where nothing was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from web.charts.areas import areas
from web.words.language import Language

_MINUTES = 60
_MOST_MODELS = 5  # that have a colour; the others share one
_TICK_MINUTES = 15
OTHERS = "…"


@dataclass(frozen=True, slots=True)
class LastHour:
    """Figures of each minute, oldest first."""

    times: Sequence[datetime]
    models: dict[str, list[float]]  # rows a minute that got an answer or an error, the busiest model first
    errors: list[float]  # a minute
    waiting: list[float]
    oldest: list[float]  # seconds
    queues: dict[str, float] = field(default_factory=dict)  # rows that got an answer or an error in the hour
    failing: dict[str, float] = field(default_factory=dict)  # rows that got an error in the hour, by model

    @property
    def rows(self) -> list[float]:
        """Rows a minute of all models."""
        return [sum(column) for column in zip(*self.models.values(), strict=True)] or [0.0] * len(self.times)

    @property
    def now(self) -> int:
        """Rows of the newest minute that is written down."""
        return round(self.rows[-1])

    @property
    def ends(self) -> datetime:
        """The minute until which the figures go."""
        return self.times[-1]

    @property
    def ended_singly(self) -> int:
        """Single predictions that got an answer or an error in the hour."""
        return round(self.queues.get("interactive", 0.0))

    @property
    def failed(self) -> int:
        """Rows that got an error in the hour."""
        return round(sum(self.errors))

    @property
    def ended(self) -> int:
        """Rows that got an answer or an error in the hour."""
        return round(sum(self.rows))

    @property
    def by_queue(self) -> list[tuple[str, int]]:
        """Rows that got an answer or an error in the hour, the busiest queue first."""
        return _counted(self.queues)

    @property
    def failed_by_model(self) -> list[tuple[str, int]]:
        """Rows that got an error in the hour, the model with the most first."""
        return _counted(self.failing)

    def chart(self, language: Language, label: str) -> str:
        """Rows a minute, by model; empty where there was none."""
        if not self.ended:
            return ""
        moments, last = language.moments, len(self.times) - 1
        ticks = [
            (100 * number / last, moments.clock(at))
            for number, at in enumerate(self.times)
            if at.astimezone(language.zone).minute % _TICK_MINUTES == 0 and number > 2
        ]
        return areas(list(self.models.values()), ticks=ticks, write=language.numbers.short, label=label)


def read_last_hour(samples: dict[str, Any] | None) -> LastHour:
    """Out of what `GET /v1/samples` says; nothing at all is an hour of zeros."""
    newest = _newest(samples)
    times = [newest - timedelta(minutes=_MINUTES - 1 - number) for number in range(_MINUTES)]
    places = {at: number for number, at in enumerate(times)}
    models: dict[str, list[float]] = {}
    hour = LastHour(times, models, [0.0] * _MINUTES, [0.0] * _MINUTES, [0.0] * _MINUTES)
    for series in (samples or {}).get("series", ()):
        line = _line_of(hour, series)
        if line is None:
            continue
        for point in series["points"]:
            place = places.get(datetime.fromisoformat(point["at"]).astimezone(UTC))
            if place is not None:
                _add(series["name"], line, place, point["value"])
                _split(hour, series, point["value"])
    _sort(models)
    return hour


def _newest(samples: dict[str, Any] | None) -> datetime:
    """The minute that ends the hour: the present one once it is written down, else the one before."""
    present = datetime.now(UTC).replace(second=0, microsecond=0)
    # All of them are written alike, so that the greatest text is the newest.
    known = [point["at"] for series in (samples or {}).get("series", ()) for point in series["points"]]
    before = present - timedelta(minutes=1)
    return before if known and datetime.fromisoformat(max(known)).astimezone(UTC) == before else present


def _line_of(hour: LastHour, series: dict[str, Any]) -> list[float] | None:
    if series["name"] == "rows_per_second":
        return hour.models.setdefault(series["model"] or "", [0.0] * _MINUTES)
    return {"errors_per_second": hour.errors, "waiting_rows": hour.waiting, "oldest_seconds": hour.oldest}.get(
        series["name"]
    )


def _add(name: str, line: list[float], place: int, value: float) -> None:
    if name == "oldest_seconds":
        line[place] = max(line[place], value)
    else:
        line[place] += value * 60 if name.endswith("_per_second") else value


def _split(hour: LastHour, series: dict[str, Any], value: float) -> None:
    """Count what was answered by queue, and what failed by model."""
    if series["name"] == "rows_per_second":
        hour.queues[series["queue"]] = hour.queues.get(series["queue"], 0.0) + value * 60
    elif series["name"] == "errors_per_second":
        model = series["model"] or ""
        hour.failing[model] = hour.failing.get(model, 0.0) + value * 60


def _counted(sums: Mapping[str, float]) -> list[tuple[str, int]]:
    return [(name, round(value)) for name, value in sorted(sums.items(), key=lambda item: -item[1]) if round(value)]


def _sort(models: dict[str, list[float]]) -> None:
    """The busiest first; of many the rest as one."""
    ordered = sorted(models, key=lambda model: -sum(models[model]))
    kept = {model: models[model] for model in ordered[:_MOST_MODELS]}
    rest = [models[model] for model in ordered[_MOST_MODELS:]]
    if rest:
        kept[OTHERS] = [sum(column) for column in zip(*rest, strict=True)]
    models.clear()
    models.update(kept)
