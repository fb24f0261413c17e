"""A feature that the source's table has and the source does not give: why, and what to type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from shared.models.no_features import no_features
from shared.models.signature import LACKS, FeatureKind, FeatureSpec, Signature
from shared.sources.source import KeyColumn, Source, SourceColumn
from tests.unit.models.test_models_of_others import registered

SOURCE = Source(
    1,
    "shop",
    None,
    "sales",
    "orders",
    (KeyColumn("country", "text"), KeyColumn("Order No", "bigint")),
    columns=(SourceColumn("pay", "integer"), SourceColumn("Order No", "bigint")),
    filters=(SourceColumn("region", "text"), SourceColumn("pay", "integer")),
    measured={
        "not_features": [
            {"name": "photo", "type": "bytea", "why": "its type cannot be a feature"},
            {"name": "Salary", "type": "integer", "why": "the worker may not read it"},
        ],
        "left_out": ["age", "region"],
    },
)

REASONS = {
    "country": "part of the key, which is no feature by itself: add a source of the table with --column",
    "region": "there for filters alone: add a source of the table with --column for each feature",
    "age": "left out by --column: add a source of the table with --column for each feature, this one too: "
    "predictq sources add NAME --table sales.orders",
    "photo": "of the type bytea, and no feature can be: make a view that casts it",
    "Salary": 'may not read it: GRANT SELECT ("Salary") ON sales.orders to its role, then predictq sources check shop',
}


def test_a_column_that_is_a_feature_has_no_reason_against_it() -> None:
    """Also where it is in the key or in filters as well."""
    assert set(no_features(SOURCE)) == set(REASONS)


@pytest.mark.parametrize("name", REASONS)
@pytest.mark.parametrize("is_given", [False, True])
def test_what_the_source_lacks_is_said_with_its_reason(name: str, is_given: bool) -> None:
    """Registration names the column's part in the source, and not a column that is called nearly so."""
    frame = pd.DataFrame({"pay": np.arange(40), name: np.arange(40)})
    model = DummyClassifier(strategy="prior").fit(frame.to_numpy() if is_given else frame, np.arange(40) % 2)
    said = Signature(tuple(FeatureSpec(each, FeatureKind.INTEGER) for each in frame)) if is_given else None
    columns = [*SOURCE.columns, SourceColumn("Region", "text")]
    findings = registered(model, columns=columns, others=no_features(SOURCE), signature=said).metadata.findings
    (lacks,) = [finding for finding in findings if finding.startswith(LACKS)]
    assert f"1 of the model's features: {name!r} (" in lacks
    assert REASONS[name] in lacks
