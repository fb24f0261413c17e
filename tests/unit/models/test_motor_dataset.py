from __future__ import annotations

import re
import time

import pandas as pd
import pytest

from examples.motor_claims.columns import CONTACTS, FEATURES, KEY, REGIONS, RISKS, TARGETS
from examples.motor_claims.dataset import generate, policy_key


@pytest.fixture(scope="module")
def policies() -> pd.DataFrame:
    return pd.concat(generate(20_000, seed=7), ignore_index=True)


def test_keys_are_texts_of_one_form_and_none_comes_twice(policies: pd.DataFrame) -> None:
    """`P-00000017`: a text that no number can stand for."""
    assert policy_key(17) == "P-00000017"
    assert policies[KEY].is_unique
    assert policies[KEY].map(lambda key: bool(re.fullmatch(r"P-\d{8}", key))).all()
    assert (policies[KEY].iloc[0], policies[KEY].iloc[-1]) == ("P-00000001", "P-00020000")


def test_columns_are_those_of_the_tables_with_gaps_where_they_may_be(policies: pd.DataFrame) -> None:
    """Dates, moments with a zone, decimals, words with accents, digits that are no number; gaps in eight columns."""
    assert list(policies.columns) == [KEY, *FEATURES, *TARGETS]
    assert set(policies["region"]) == set(REGIONS)
    assert "Rhône" in REGIONS
    assert set(policies["contact_channel"].dropna()) == set(CONTACTS)
    assert policies["postcode"].str.fullmatch(r"\d{5}").all()
    assert policies["postcode"].str.startswith("0").any()
    assert policies["last_contact_at"].dt.tz is not None
    gaps = policies.isna().mean()
    assert sorted(gaps[gaps > 0].index) == [
        "annual_mileage", "contact_channel", "has_legal_cover", "last_contact_at", "licence_date", "open_complaints",
        "parked_in_garage", "vehicle_value",
    ]  # fmt: skip
    assert gaps.max() < 0.15
    assert (policies["annual_premium"] == policies["annual_premium"].round(2)).all()


def test_no_policy_contradicts_itself(policies: pd.DataFrame) -> None:
    """Nobody drove before 18, or held a policy; nothing lies in the future."""
    eighteen = policies["birth_date"] + pd.DateOffset(years=18)
    slack = pd.Timedelta(days=2)  # of the days of leap years
    assert (policies["licence_date"].dropna() >= (eighteen - slack)[policies["licence_date"].notna()]).all()
    assert (policies["policy_start"] >= eighteen - slack).all()
    for name in ("policy_start", "first_registered"):
        assert (policies[name] <= pd.Timestamp("2026-01-01")).all()


def test_targets_hang_on_what_is_known(policies: pd.DataFrame) -> None:
    """Two classes, three classes and an amount, each of which can be learnt and none of which is plain."""
    assert 0.15 < (policies["churned"] == "Yes").mean() < 0.3
    assert policies["risk_class"].value_counts(normalize=True).reindex(RISKS).min() > 0.2
    assert policies["claim_severity"].between(1, 250_000).all()
    complaints = policies["open_complaints"].fillna(0) > 0
    assert (policies["churned"][complaints] == "Yes").mean() > 1.3 * (policies["churned"][~complaints] == "Yes").mean()
    order = policies["risk_class"].map({"low": 0, "middle": 1, "high": 2})
    assert order.corr(policies["bonus_malus"]) > 0.2
    assert policies["claim_severity"].corr(policies["power_kw"], method="spearman") > 0.1


@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
def test_a_policy_depends_on_seed_and_number_alone(chunk_rows: int) -> None:
    """Whatever the chunks and wherever one starts."""
    whole = next(generate(60, seed=3))
    chunks = pd.concat(generate(60, seed=3, chunk_rows=chunk_rows), ignore_index=True)
    pd.testing.assert_frame_equal(chunks, whole)
    tail = next(generate(20, seed=3, first=41))
    pd.testing.assert_frame_equal(tail, whole.iloc[40:].reset_index(drop=True))
    assert not next(generate(60, seed=4)).equals(whole)


@pytest.mark.parametrize("arguments", [(-1, 0, 1, 1), (1, -1, 1, 1), (1, 0, 0, 1), (1, 0, 1, 0), (1, 0, 10**8, 1)])
def test_impossible_arguments_are_refused_at_once(arguments: tuple[int, int, int, int]) -> None:
    """The error comes with the call; a number of nine digits would be a key of another form."""
    with pytest.raises(ValueError, match="at least"):
        generate(*arguments)


def test_a_hundred_thousand_take_seconds() -> None:
    """Of the process's own time, whatever else the machine does."""
    start = time.process_time()
    assert sum(len(chunk) for chunk in generate(100_000, seed=1)) == 100_000
    assert time.process_time() - start < 5
