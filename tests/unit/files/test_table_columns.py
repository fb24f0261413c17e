"""Which columns of a table are the key, as the caller says or as they are called."""

from __future__ import annotations

import pytest

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.keys import KeyColumn, KeyForm
from worker.uploads.matching import MatchedColumns, match_columns

ONE = KeyForm((KeyColumn("no", "text"),))
PAIR = KeyForm((KeyColumn("branch", "text"), KeyColumn("no", "text")))
FEATURES = Signature((FeatureSpec("x", FeatureKind.NUMBER),))


@pytest.mark.parametrize(
    ("form", "names", "said", "key"),
    [
        (ONE, ["Police", "no"], {"no": "Police"}, ("Police",)),
        (ONE, ["Police", "no"], {"client_id": "Police"}, ("Police",)),
        (ONE, ["Police", "no"], {}, ("no",)),
        (ONE, ["x", "Client_ID"], {}, ("Client_ID",)),
        (PAIR, ["a", "b", "c"], {"no": "c", "branch": "a"}, ("a", "c")),
        (PAIR, ["no", "x", "branch"], {}, ("branch", "no")),
        (PAIR, ["Nr", "x", "branch"], {"no": "Nr"}, ("branch", "Nr")),
        (PAIR, ["Nr", "no", "Branch"], {"no": "Nr"}, ("Branch", "Nr")),
    ],
)
def test_the_key_is_in_the_columns_that_are_said_or_called_so(
    form: KeyForm, names: list[str], said: dict[str, str], key: tuple[str, ...]
) -> None:
    """What is said counts more than a name; a key of one column may be said as `client_id`."""
    matched = match_columns(names, form, None, said)
    assert (matched.key, matched.faults) == (key, ())


def test_a_part_of_a_key_that_is_said_is_no_key() -> None:
    """All of its columns must be known."""
    matched = match_columns(["a", "b"], PAIR, None, {"branch": "a"})
    assert matched.key is None
    (fault,) = matched.faults
    assert str(fault.detail) == "no column is called no; the file has a, b. Say which has it: `columns` no=NAME"


@pytest.mark.parametrize(("said", "column"), [({}, "branch"), ({"branch": "B"}, "B")])
def test_features_with_a_part_of_their_key_are_not_taken_for_rows_without_one(
    said: dict[str, str], column: str
) -> None:
    """Their answers would name nobody."""
    matched = match_columns([column, "x"], PAIR, FEATURES, said)
    assert matched.key is None
    (fault,) = matched.faults
    assert str(fault.detail) == (
        f"no column is called no; the file has {column}, x. Say which has it: `columns` no=NAME, "
        f"or leave {column} out of the file"
    )


@pytest.mark.parametrize(
    ("names", "key"),
    [(["x", "y"], None), (["x", "branch", "no"], ("branch", "no")), (["x", "No", "branch"], ("branch", "No"))],
)
def test_features_may_come_with_their_key_and_without(names: list[str], key: tuple[str, ...] | None) -> None:
    """A column that is a feature, too, is no part of a key that nobody meant."""
    matched = match_columns(names, PAIR, FEATURES, {})
    assert (matched.key, matched.faults) == (key, ())
    both = Signature((*FEATURES.features, FeatureSpec("branch", FeatureKind.CATEGORY, categories=("a",))))
    assert match_columns(["x", "branch"], PAIR, both, {}) == MatchedColumns(None, {"x": "x", "branch": "branch"})


def test_two_columns_that_may_both_be_the_key_are_a_fault_of_the_file() -> None:
    """Told with what else is wrong, where its columns are shown."""
    matched = match_columns(["no", "client_id"], ONE, None, {"age": "no"})
    assert matched.key is None
    assert [fault.code for fault in matched.faults] == ["unknown_column", "duplicate_column"]
    assert "may both be the key" in matched.faults[1].detail
