"""Real rows at registration: what takes too long is said, and hinders nothing."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pytest

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.keys import KeyColumn
from shared.sources.source import Source, SourceColumn
from tests.unit.models.test_models_of_others import LR
from worker.errands import real_rows
from worker.errands.failures import ErrandRefused
from worker.sources.sampling import Sample


class New:
    """A version as far as it is asked for."""

    signature = Signature((FeatureSpec("age", FeatureKind.NUMBER),))


SOURCE = Source(
    1, "people", None, "public", "people", (KeyColumn("id", "integer"),), (SourceColumn("age", "integer"),),
    settings={"statement_seconds": 600.0},
)  # fmt: skip


@pytest.mark.parametrize(("began", "is_late"), [(170.0, True), (0.0, False)])
def test_a_check_that_its_caller_no_longer_waits_for_is_said(
    monkeypatch: pytest.MonkeyPatch, began: float, is_late: bool
) -> None:
    """And a source is asked for 25 s at most, whatever time-out it has: other errands wait meanwhile."""
    asked: list[Any] = []

    def sample(_: Any, source: Source, *__: Any) -> Sample:
        asked.append(source.settings["statement_seconds"])
        return Sample(pa.table({"age": [1.0]}), {})

    def refuse(*_: Any) -> dict[str, Any]:
        raise ErrandRefused("model_refused", "ended")

    monkeypatch.setattr(real_rows, "sample_rows", sample)
    monkeypatch.setattr(real_rows, "_check", refuse)
    monkeypatch.setattr(real_rows, "_MOST_SECONDS", 1_000.0)
    given: Any = (LR, None, SOURCE, New(), None)
    if is_late:
        (said,) = real_rows.look_at_rows(*given, began=time.monotonic() - began)
        assert said.startswith("not tried on rows of people, which took too long")
    else:
        with pytest.raises(ErrandRefused):
            real_rows.look_at_rows(*given, began=time.monotonic() - began)
    assert asked == [25.0]
