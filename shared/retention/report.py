"""What a run of retention would take, or took: by model, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.retention.cutoffs import Cutoff
from shared.retention.due import DueRange, VersionCount


@dataclass(slots=True)
class ModelReport:
    """What goes of one model. `bytes` is its share of the partitions' size, by rows."""

    model: str
    pages: int = 0
    jobs: int = 0
    answers: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Report:
    """What a run would take, or took. `waiting` are answers that are due and wait for their partition."""

    dry_run: bool
    partitions: list[str] = field(default_factory=list)
    models: list[ModelReport] = field(default_factory=list)
    waiting: int = 0
    thinned_rows: int = 0  # rows that go out of pages which stay for the sake of others
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As a JSON document, with the sums."""
        sums = {
            name: sum(getattr(model, name) for model in self.models) for name in ("pages", "jobs", "answers", "bytes")
        }
        return {**asdict(self), **sums}


def count_models(due: Sequence[DueRange], cutoffs: Mapping[int, Cutoff]) -> list[ModelReport]:
    """What goes by model. A bulk job whose pages are in several ranges counts once."""
    models: dict[str, ModelReport] = {}
    for one in due:
        stored = sum(count.rows for count in one.stored)
        for count in one.due:
            model = models.setdefault(cutoffs[count.version_id].model, ModelReport(cutoffs[count.version_id].model))
            _add(model, count, one.bytes * count.rows // max(1, stored))
    for version_id in {job_id: version for one in due for job_id, version in one.due_jobs.items()}.values():
        models[cutoffs[version_id].model].jobs += 1
    return sorted(models.values(), key=lambda model: model.model)


def _add(model: ModelReport, count: VersionCount, size: int) -> None:
    model.pages += count.pages
    model.answers += count.succeeded + count.failed
    model.bytes += size
    if count.kind == "single":
        model.jobs += count.rows
