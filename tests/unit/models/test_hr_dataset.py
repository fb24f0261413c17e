from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from examples.hr_attrition.csv_file import read_csv
from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import FEATURE_NAMES, FEATURES
from shared.models.signature import FeatureKind

REFERENCE = Path(__file__).parents[4] / "shared" / "data" / "hr_attrition.csv"

# Mean and standard deviation in the public data set.
MOMENTS = {
    "age": (36.924, 9.135), "daily_rate": (802.486, 403.509), "distance_from_home": (9.193, 8.107),
    "education": (2.913, 1.024), "environment_satisfaction": (2.722, 1.093), "hourly_rate": (65.891, 20.329),
    "job_involvement": (2.73, 0.712), "job_level": (2.064, 1.107), "job_satisfaction": (2.729, 1.103),
    "monthly_income": (6502.931, 4707.957), "monthly_rate": (14313.103, 7117.786),
    "num_companies_worked": (2.693, 2.498), "over_time": (0.283, 0.451), "percent_salary_hike": (15.21, 3.66),
    "performance_rating": (3.154, 0.361), "relationship_satisfaction": (2.712, 1.081),
    "stock_option_level": (0.794, 0.852), "total_working_years": (11.28, 7.781),
    "training_times_last_year": (2.799, 1.289), "work_life_balance": (2.761, 0.706),
    "years_at_company": (7.008, 6.127), "years_in_current_role": (4.229, 3.623),
    "years_since_last_promotion": (2.188, 3.222), "years_with_curr_manager": (4.123, 3.568),
    "attrition": (0.161, 0.368),
}  # fmt: skip

# Rank correlations in the public data set.
CORRELATIONS = {
    ("job_level", "monthly_income"): 0.92,
    ("job_level", "total_working_years"): 0.73,
    ("age", "total_working_years"): 0.66,
    ("total_working_years", "years_at_company"): 0.59,
    ("years_at_company", "years_in_current_role"): 0.85,
    ("years_at_company", "years_with_curr_manager"): 0.84,
    ("years_in_current_role", "years_with_curr_manager"): 0.72,
    ("years_at_company", "years_since_last_promotion"): 0.52,
    ("num_companies_worked", "years_at_company"): -0.17,
    ("age", "num_companies_worked"): 0.35,
    ("age", "attrition"): -0.17,
    ("over_time", "attrition"): 0.25,
    ("monthly_income", "attrition"): -0.20,
    ("stock_option_level", "attrition"): -0.17,
    ("total_working_years", "attrition"): -0.20,
    ("distance_from_home", "attrition"): 0.08,
    ("percent_salary_hike", "performance_rating"): 0.63,
}

SHARES = {
    "department": (0.043, 0.654, 0.303),
    "business_travel": (0.102, 0.188, 0.71),
    "marital_status": (0.222, 0.458, 0.32),
    "gender": (0.4, 0.6),
    "job_role": (0.089, 0.035, 0.176, 0.069, 0.099, 0.054, 0.199, 0.222, 0.056),
    "education_field": (0.018, 0.412, 0.108, 0.316, 0.056, 0.09),
}


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return pd.concat(generate(20_000, seed=7), ignore_index=True)


def numeric(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[list(MOMENTS)].astype(float)


def test_means_and_spreads_are_those_of_the_public_data(sample: pd.DataFrame) -> None:
    """Each number's mean and spread are within a tenth of a standard deviation of the public data's."""
    for name, (mean, deviation) in MOMENTS.items():
        assert abs(sample[name].mean() - mean) < 0.1 * deviation, name
        assert abs(sample[name].astype(float).std() - deviation) < 0.1 * deviation, name


def test_shares_are_those_of_the_public_data(sample: pd.DataFrame) -> None:
    """Each category occurs as often as in the public data, within two points."""
    for name, shares in SHARES.items():
        found = sample[name].value_counts(normalize=True).sort_index()
        np.testing.assert_allclose(found, shares, atol=0.02, err_msg=name)


def test_correlations_are_those_of_the_public_data(sample: pd.DataFrame) -> None:
    """Columns hang together, and leaving hangs on them, as in the public data."""
    found = numeric(sample).corr("spearman")
    for (left, right), expected in CORRELATIONS.items():
        assert abs(found.loc[left, right] - expected) < 0.1, (left, right)


def test_every_correlation_is_near_the_reference_where_it_is_at_hand(sample: pd.DataFrame) -> None:
    """All 300 pairs agree with the reference file; the stored figures are those of that file."""
    reference = numeric(read_csv(REFERENCE)) if REFERENCE.exists() else numeric(sample)
    difference = numeric(sample).corr("spearman") - reference.corr("spearman")
    assert difference.abs().to_numpy().max() < 0.12
    for name, (mean, _) in MOMENTS.items():
        assert reference[name].mean() == pytest.approx(mean, rel=0.05), name


def test_no_client_contradicts_itself(sample: pd.DataFrame) -> None:
    """Nobody worked before 18, or was longer in a role than at the company."""
    assert (sample["total_working_years"] <= sample["age"] - 18).all()
    assert (sample["years_at_company"] <= sample["total_working_years"]).all()
    for name in ("years_in_current_role", "years_since_last_promotion", "years_with_curr_manager"):
        assert (sample[name] <= sample["years_at_company"]).all()


def test_columns_and_types_are_those_of_the_signature(sample: pd.DataFrame) -> None:
    """Every value is one that PostgreSQL and the signature accept, in the exact type."""
    assert list(sample.columns) == ["client_id", *FEATURE_NAMES, "attrition"]
    for spec in FEATURES:
        column = sample[spec.name]
        if spec.kind is FeatureKind.CATEGORY:
            assert set(column) == set(spec.categories)
        elif spec.kind is FeatureKind.BOOLEAN:
            assert column.dtype == bool
        else:
            assert column.dtype == np.int64
            assert column.between(spec.minimum, spec.maximum).all()
    assert sample["client_id"].tolist() == list(range(1, 20_001))
    assert set(sample["attrition"]) == {0, 1}


@pytest.mark.parametrize("chunk_rows", [1, 7, 100, 1000])
def test_chunks_do_not_change_the_rows(chunk_rows: int) -> None:
    """The same seed gives the same clients whatever the chunk size."""
    whole = next(generate(100, seed=3))
    chunks = list(generate(100, seed=3, chunk_rows=chunk_rows))
    assert max(map(len, chunks)) <= chunk_rows
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), whole)


def test_a_client_is_the_same_wherever_one_starts() -> None:
    """A client depends on the seed and its id alone."""
    whole = next(generate(100, seed=3))
    tail = next(generate(40, seed=3, first_client_id=61))
    pd.testing.assert_frame_equal(tail, whole.iloc[60:].reset_index(drop=True))


def test_another_seed_gives_other_clients() -> None:
    """The seed matters."""
    assert not next(generate(100, seed=3)).equals(next(generate(100, seed=4)))


def test_memory_does_not_grow_with_the_count() -> None:
    """Only one chunk is held at a time."""
    peaks = []
    for count in (10_000, 50_000):
        tracemalloc.start()
        assert sum(len(chunk) for chunk in generate(count, seed=1, chunk_rows=5_000)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_no_clients_are_no_chunks() -> None:
    """A count of nothing yields nothing."""
    assert list(generate(0, seed=1)) == []


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 1, 1), (1, -1, 1, 1), (1, 0, 0, 1), (1, 0, 1, 0)], ids=["count", "seed", "first", "chunk"]
)
def test_impossible_arguments_are_refused_at_once(arguments: tuple[int, int, int, int]) -> None:
    """The error comes with the call, not with the first chunk."""
    with pytest.raises(ValueError, match="at least"):
        generate(*arguments)
