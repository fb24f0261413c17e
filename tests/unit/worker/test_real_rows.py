"""Real rows at registration: what takes too long is said, and hinders nothing."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pytest

from model.errors import ModelRefused
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


@pytest.mark.parametrize(
    ("answered", "begins"),
    [(0, "None of 200 rows of people is"), (1, "Only one of 200 rows of people is"),
     (99, "Only 99 of 200 rows of people are"), (100, None)],
)  # fmt: skip
def test_a_model_that_answers_few_of_the_rows_needs_a_reason(answered: int, begins: str | None) -> None:
    """Half of them at least: what the others lack is said, and whoever knows better says why."""
    report = {
        "rows": 200,
        "answered": answered,
        "errors": {"missing_feature": 200 - answered},
        "first_errors": {"missing_feature": "'age' is missing"},
        "differences": {},
    }
    if begins is None:
        said = real_rows._seen(report, "people")
        assert said == [
            "100 of 200 rows of people answered, each as the estimator itself answers",
            "of people: 100 rows missing_feature, one with: 'age' is missing",
        ]
        return
    with pytest.raises(
        ModelRefused, match=rf"^{begins} answered: .* missing_feature, one with: 'age' is missing\."
    ) as raised:
        real_rows._seen(report, "people")
    assert raised.value.can_force
