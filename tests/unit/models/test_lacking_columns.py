"""A feature that the source's table has and the source does not give: why, and what to type."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from typer.testing import CliRunner

from cli.commands import sources
from cli.main import app
from model.signature.infer import lacking_words
from shared.models.no_features import adding_command, no_features
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
    "country": "part of the key, which is no feature by itself",
    "region": "there for filters alone",
    "age": "left out by --column",
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


@pytest.mark.parametrize(("name", "is_told"), [("é" * 32, True), ("e" * 64, True), ("é" * 31 + "e", False)])
def test_a_name_that_no_column_can_have_is_told_as_such(name: str, *, is_told: bool) -> None:
    """In bytes, as PostgreSQL counts: neither a new column nor another name for one helps, and none is proposed."""
    said = lacking_words([name], [name[:-2]], {})
    assert ("no column can have this name, 63 bytes at most: rename the model's feature" in said) == is_told
    assert ("there is" in said) != is_told


def test_what_is_to_be_typed_for_such_a_column_is_what_the_command_line_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the source's own address and key, and every feature that the table has, whatever is in the names."""
    asked: list[dict[str, Any]] = []

    class Gateway:
        def call(self, _method: str, _path: str, body: dict[str, Any]) -> dict[str, Any]:
            asked.append(body)
            return {}

    @contextlib.contextmanager
    def gateway(*_: object, **__: object) -> Iterator[Gateway]:
        yield Gateway()

    monkeypatch.setattr(sources, "api_client", gateway)
    source = replace(
        SOURCE, relation="it's", url_variable="SHOP_URL", filters=(SourceColumn("région", "text"), *SOURCE.filters)
    )
    assert adding_command(source, ["pay", "nowhere"]) is None
    command = adding_command(source, ["pay", "country", "Order No", "nowhere", "region", "age"])
    assert command is not None
    name, *words = shlex.split(command)
    assert name == "predictq"
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    (body,) = asked
    assert (body["name"], body["table"], body["url_variable"]) == ("shop-features", "sales.it's", "SHOP_URL")
    assert (body["key"], body["filters"]) == (["country", "Order No"], ["région"])
    assert body["columns"] == ["pay", "country", "Order No", "region", "age"]
    assert '\'"sales"."it.s"\'' in str(adding_command(replace(source, relation="it.s"), ["region"]))
