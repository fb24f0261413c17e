"""How likely a sample client is to leave: log odds added up from effects measured on the public data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Chosen so that about 16 % leave.
INTERCEPT = 7.204

# Log odds by value: categories in alphabetical order, numbers from their lowest value up.
EFFECTS = {
    "business_travel": (-0.95, 0.97, -0.02),
    "environment_satisfaction": (0.85, -0.14, -0.21, -0.50),
    "education_field": (0.20, -0.39, 0.20, -0.42, -0.18, 0.59),
    "gender": (-0.20, 0.20),
    "job_involvement": (1.08, 0.03, -0.32, -0.79),
    "job_level": (0.23, -0.85, 0.37, -0.36, 0.60),
    "job_role": (-0.21, 0.23, 0.24, -0.05, 0.02, -0.80, -0.74, 0.85, 0.47),
    "job_satisfaction": (0.63, -0.01, 0.01, -0.63),
    "marital_status": (-0.30, -0.06, 0.35),
    "over_time": (-1.00, 1.00),
    "relationship_satisfaction": (0.66, -0.16, -0.24, -0.26),
    "stock_option_level": (0.55, -0.46, -0.37, 0.28),
    "training_times_last_year": (0.92, 0.10, -0.00, -0.22, 0.24, -0.32, -0.71),
    "work_life_balance": (0.81, -0.10, -0.59, -0.12),
}
LOWEST = {
    "environment_satisfaction": 1,
    "job_involvement": 1,
    "job_level": 1,
    "job_satisfaction": 1,
    "relationship_satisfaction": 1,
    "work_life_balance": 1,
}
# Log odds for each step of log(1 + value).
SLOPES = {
    "age": -0.92,
    "distance_from_home": 0.50,
    "monthly_income": -0.65,
    "num_companies_worked": 0.83,
    "total_working_years": -0.70,
    "years_at_company": 0.58,
    "years_in_current_role": -0.54,
    "years_since_last_promotion": 0.62,
    "years_with_curr_manager": -0.51,
}


def leaving_probability(columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """The probability to leave, (rows,), from coded columns: categories and booleans as indices from 0."""
    log_odds = np.full(len(columns["age"]), INTERCEPT)
    for name, effects in EFFECTS.items():
        log_odds += np.array(effects)[columns[name] - LOWEST.get(name, 0)]
    for name, slope in SLOPES.items():
        log_odds += slope * np.log1p(columns[name])
    return np.asarray(1 / (1 + np.exp(-log_odds)))
