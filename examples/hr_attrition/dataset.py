"""Sample clients in any number: shaped like the public HR attrition data, and the same for the same seed.

Each client is drawn along a chain: age → career → job level → role → pay → tenure, so that the columns hang
together as in the measured data; whether the client leaves is drawn last, from all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.hr_attrition import figures
from examples.hr_attrition.draw import Ints, Uniform, band, even, pick, quantile
from examples.hr_attrition.features import FEATURE_NAMES, FEATURES, TARGET
from examples.hr_attrition.leaving import leaving_probability
from shared.models.signature import FeatureKind

# One uniform number per client and name. Their order is part of the seed's meaning: append, never reorder.
DRAWS = (
    "age", "education", "num_companies_worked", "total_working_years", "job_level", "job_role", "department",
    "education_field", "monthly_income", "years_at_company", "years_in_current_role", "stock_option_level",
    "years_since_last_promotion", "years_with_curr_manager", *figures.MARGINALS, *figures.EVEN, TARGET,
)  # fmt: skip

Draws = Mapping[str, Uniform]
Columns = dict[str, Ints]


def generate(count: int, seed: int, first_client_id: int = 1, chunk_rows: int = 50_000) -> Iterator[pd.DataFrame]:
    """Yield `count` sample clients in frames of at most `chunk_rows` rows, in constant memory.

    Columns: client_id, the 30 features in signature order (int64, bool, str), and attrition (int64, 0 or 1).
    A client depends on `seed` and its client_id alone, not on the count, the start or the chunk size.
    Raises ValueError when count or seed is negative, or first_client_id or chunk_rows is below 1.
    """
    if count < 0 or seed < 0 or first_client_id < 1 or chunk_rows < 1:
        raise ValueError("count and seed must be at least 0, first_client_id and chunk_rows at least 1")
    return _chunks(count, seed, first_client_id, chunk_rows)


def _chunks(count: int, seed: int, first_client_id: int, chunk_rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, count, chunk_rows):
        yield _clients(seed, first_client_id + start, min(chunk_rows, count - start))


def _clients(seed: int, first_client_id: int, rows: int) -> pd.DataFrame:
    draws = _draws(seed, first_client_id, rows)
    columns = _independent(draws)
    columns |= _career(draws)
    columns |= _job(draws, columns)
    columns |= _tenure(draws, columns)
    leaves = draws[TARGET] < leaving_probability(columns)
    frame = {"client_id": np.arange(first_client_id, first_client_id + rows, dtype=np.int64)}
    return pd.DataFrame(frame | _typed(columns) | {TARGET: leaves.astype(np.int64)}, copy=False)


def _draws(seed: int, first_client_id: int, rows: int) -> Draws:
    # Every client takes exactly len(DRAWS) steps of the generator, so any client can be reached by a jump.
    bits = np.random.PCG64(seed).advance((first_client_id - 1) * len(DRAWS))
    uniform = np.random.Generator(bits).random((rows, len(DRAWS)))
    return dict(zip(DRAWS, np.ascontiguousarray(uniform.T), strict=True))


def _independent(draws: Draws) -> Columns:
    """Features that depend on no other, and the two that follow from one of them."""
    columns = {name: pick(draws[name], shares) for name, shares in figures.MARGINALS.items()}
    for name, first in figures.FIRST_VALUE.items():
        columns[name] += first
    columns |= {name: even(draws[name], low, high) for name, (low, high) in figures.EVEN.items()}
    columns["performance_rating"] = np.where(columns["percent_salary_hike"] >= 20, 4, 3)
    columns["stock_option_level"] = pick(draws["stock_option_level"], figures.STOCK, columns["marital_status"])
    return columns


def _career(draws: Draws) -> Columns:
    age = pick(draws["age"], figures.AGE) + 18
    age_band = band(age, figures.AGE_BANDS)
    companies = pick(draws["num_companies_worked"], figures.COMPANIES, age_band)
    worked = quantile(draws["total_working_years"], figures.CAREER, 2 * age_band + (companies > 1))
    return {
        "age": age,
        "education": pick(draws["education"], figures.EDUCATION, age_band) + 1,
        "num_companies_worked": companies,
        "total_working_years": np.minimum(worked, age - 18),
    }


def _job(draws: Draws, columns: Columns) -> Columns:
    career_band = band(columns["total_working_years"], figures.CAREER_BANDS)
    level = pick(draws["job_level"], figures.JOB_LEVEL, career_band)  # from 0
    role = pick(draws["job_role"], figures.JOB_ROLE, level)
    department = pick(draws["department"], figures.DEPARTMENT, role)
    pay_group = figures.INCOME_ROW[level, figures.TRACK[role]]
    return {
        "job_level": level + 1,
        "job_role": role,
        "department": department,
        "education_field": pick(draws["education_field"], figures.EDUCATION_FIELD, department),
        "monthly_income": quantile(draws["monthly_income"], figures.INCOME, pay_group),
    }


def _tenure(draws: Draws, columns: Columns) -> Columns:
    career = columns["total_working_years"]
    share = quantile(draws["years_at_company"], 100 * figures.TENURE, band(career, figures.CAREER_BANDS))
    # A first employer is the whole career; somebody with no earlier company joined after a year elsewhere.
    companies = columns["num_companies_worked"]
    tenure = np.where(companies > 1, (share * career + 50) // 100, np.maximum(career - (companies == 0), 0))
    group = band(tenure, figures.TENURE_BANDS)
    parts = {
        "years_in_current_role": figures.ROLE_YEARS,
        "years_since_last_promotion": figures.PROMOTION_YEARS,
        "years_with_curr_manager": figures.MANAGER_YEARS,
    }
    drawn = {name: quantile(draws[name], table, group) for name, table in parts.items()}
    return {"years_at_company": tenure} | {name: np.minimum(years, tenure) for name, years in drawn.items()}


def _typed(columns: Columns) -> dict[str, pd.Series | NDArray[np.generic]]:
    typed: dict[str, pd.Series | NDArray[np.generic]] = {name: columns[name] for name in FEATURE_NAMES}
    for spec in FEATURES:
        if spec.kind is FeatureKind.CATEGORY:
            codes = pd.Categorical.from_codes(columns[spec.name], pd.Index(spec.categories))
            typed[spec.name] = pd.Series(codes).astype("str")
        elif spec.kind is FeatureKind.BOOLEAN:
            typed[spec.name] = columns[spec.name].astype(bool)
    return typed
