"""Policies in any number, the same for the same seed; what becomes of each is drawn last, from all that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.motor_claims.columns import (
    BODIES,
    CHURN,
    CONTACTS,
    FEATURES,
    FUELS,
    KEY,
    MAKES,
    REGIONS,
    RISK,
    SEVERITY,
)

TODAY = np.datetime64("2026-01-01")  # of the data: ages and terms are counted up to it

# One uniform number per policy and name, and as many for the gaps. Their order is part of the seed's meaning: append.
DRAWS = (
    "age", "licence_age", "region", "postcode", "contact_channel", "term", "silence", "premium", "bonus_malus",
    "late_payments", "open_complaints", "pays_monthly", "has_legal_cover", "make", "body", "fuel", "power",
    "vehicle_age", "value", "mileage", "garage", "gap_licence", "gap_contact", "gap_silence", "gap_complaints",
    "gap_legal", "gap_value", "gap_mileage", "gap_garage", "churn", "severity", "risk",
)  # fmt: skip

# Columns that may be empty, with the draw that decides it and how often it does.
_GAPS = {
    "licence_date": ("gap_licence", 0.02),
    "contact_channel": ("gap_contact", 0.04),
    "last_contact_at": ("gap_silence", 0.12),
    "open_complaints": ("gap_complaints", 0.03),
    "has_legal_cover": ("gap_legal", 0.06),
    "vehicle_value": ("gap_value", 0.08),
    "annual_mileage": ("gap_mileage", 0.10),
    "parked_in_garage": ("gap_garage", 0.05),
}
_MALUS = np.array([0.5, 0.54, 0.6, 0.68, 0.76, 0.85, 0.95, 1.0, 1.18, 1.4])
_RISKY_BODIES = np.array([0.0, -0.1, 0.7, 0.1, 0.4])

Uniform = NDArray[np.float64]
Draws = Mapping[str, Uniform]
Columns = dict[str, NDArray[np.generic] | pd.Series]


def generate(count: int, seed: int, first: int = 1, chunk_rows: int = 50_000) -> Iterator[pd.DataFrame]:
    """Yield `count` policies, numbered from `first`, in frames of at most `chunk_rows` rows.

    Columns: the key (`P-00000017`), the features (datetime64, float64 with two decimals, int64 or Int64 with gaps, str,
    bool or boolean with gaps), then `churned` (Yes or No), `claim_severity` (euros) and `risk_class` (low, middle,
    high). A policy depends on `seed` and its number alone. Raises ValueError for arguments below 0, a `first` or
    `chunk_rows` below 1, or a number of more than eight digits.
    """
    if count < 0 or seed < 0 or first < 1 or chunk_rows < 1 or first + count > 10**8:
        raise ValueError("count and seed must be at least 0, first and chunk_rows at least 1, numbers of eight digits")
    return _chunks(count, seed, first, chunk_rows)


def _chunks(count: int, seed: int, first: int, chunk_rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, count, chunk_rows):
        yield _policies(seed, first + start, min(chunk_rows, count - start))


def policy_key(number: int) -> str:
    """The key of a policy: `P-00000017`."""
    return f"P-{number:08}"


def _policies(seed: int, first: int, rows: int) -> pd.DataFrame:
    # Every policy takes exactly len(DRAWS) steps of the generator, so any policy can be reached by a jump.
    bits = np.random.PCG64(seed).advance((first - 1) * len(DRAWS))
    uniform = np.random.Generator(bits).random((rows, len(DRAWS)))
    draws = dict(zip(DRAWS, np.ascontiguousarray(uniform.T), strict=True))
    frame = pd.DataFrame(_holder(draws) | _vehicle(draws))[list(FEATURES)]
    outcomes = _outcomes(draws, frame)
    for name, (draw, share) in _GAPS.items():
        frame[name] = _with_gaps(frame[name], draws[draw] < share)
    frame.insert(0, KEY, [policy_key(number) for number in range(first, first + rows)])
    return frame.assign(**outcomes)


def _with_gaps(column: pd.Series, gaps: NDArray[np.bool_]) -> pd.Series:
    nullable: dict[str, Any] = {"int64": pd.Int64Dtype(), "bool": pd.BooleanDtype()}
    return column.astype(nullable.get(str(column.dtype), column.dtype)).mask(gaps)


def _holder(draws: Draws) -> Columns:
    age = 18 + 62 * draws["age"] ** 1.3
    licence = np.minimum(18 + 12 * draws["licence_age"] ** 2, age)
    region = _pick(draws["region"], REGIONS)
    term = np.minimum(14 * draws["term"] ** 1.6, age - 18)
    malus = _MALUS[np.minimum((draws["bonus_malus"] ** 1.8 * len(_MALUS)).astype(np.int64), len(_MALUS) - 1)]
    premium = 260 + 900 * malus * (0.6 + 0.8 * draws["premium"]) + 350 * (age < 26)
    return {
        "birth_date": _years_ago(age),
        "licence_date": _years_ago(age - licence),
        "region": region,
        "postcode": np.char.zfill((1000 + 94_000 * draws["postcode"]).astype(np.int64).astype(str), 5),
        "contact_channel": _pick(draws["contact_channel"] ** 1.4, CONTACTS),
        "policy_start": _years_ago(term),
        "last_contact_at": _moments(900 * draws["silence"] ** 2),
        "annual_premium": np.round(premium, 2),
        "bonus_malus": malus,
        "late_payments": np.floor(6 * draws["late_payments"] ** 4).astype(np.int64),
        "open_complaints": np.floor(4 * draws["open_complaints"] ** 5).astype(np.int64),
        "pays_monthly": draws["pays_monthly"] < 0.55,
        "has_legal_cover": draws["has_legal_cover"] < 0.35,
    }


def _vehicle(draws: Draws) -> Columns:
    age = 20 * draws["vehicle_age"] ** 1.4
    power = np.floor(40 + 160 * draws["power"] ** 2.2).astype(np.int64)
    value = (9000 + 190 * power) * 0.87**age * (0.8 + 0.4 * draws["value"])
    return {
        "vehicle_make": _pick(draws["make"], MAKES),
        "body_type": _pick(draws["body"], BODIES),
        "fuel_type": _pick(draws["fuel"], FUELS),
        "power_kw": power,
        "first_registered": _years_ago(age),
        "vehicle_value": np.round(value, 2),
        "annual_mileage": np.floor(2000 + 28_000 * draws["mileage"] ** 1.5).astype(np.int64),
        "parked_in_garage": draws["garage"] < 0.4,
    }


def _outcomes(draws: Draws, frame: pd.DataFrame) -> dict[str, NDArray[np.generic]]:
    age, term = (_years(frame[name]) for name in ("birth_date", "policy_start"))
    silence = (pd.Timestamp(TODAY, tz="UTC") - frame["last_contact_at"]).dt.total_seconds().to_numpy() / 86_400
    premium, malus = frame["annual_premium"].to_numpy(), frame["bonus_malus"].to_numpy()
    leave = (
        -3.6 + 0.0016 * premium + 0.9 * frame["open_complaints"].to_numpy() + 0.35 * frame["late_payments"].to_numpy()
    )
    leave += 0.0015 * silence - 0.22 * term + 0.5 * (frame["contact_channel"] == "web").to_numpy()
    danger = 1.6 * (malus - 0.7) + 0.011 * (frame["power_kw"].to_numpy() - 80) + 1.2 * (age < 26)
    danger += (
        0.00004 * (frame["annual_mileage"].to_numpy() - 12_000) + _RISKY_BODIES[_place(frame["body_type"], BODIES)]
    )
    danger += 0.5 * frame["region"].isin(["Île-de-France", "Rhône"]).to_numpy()
    noise = np.log(draws["risk"]) - np.log1p(-draws["risk"])
    risk = danger + 0.45 * noise
    spread = 0.15 * (np.log(draws["severity"]) - np.log1p(-draws["severity"]))
    value = frame["vehicle_value"].to_numpy()
    severity = np.exp(6.1 + 0.35 * danger + 0.45 * np.log1p(value / 10_000) + spread)
    return {
        CHURN: np.where(draws["churn"] < 1 / (1 + np.exp(-leave)), "Yes", "No").astype(object),
        SEVERITY: np.round(np.minimum(severity, 250_000), 2),
        RISK: np.select([risk < 0, risk < 1.1], ["low", "middle"], "high").astype(object),
    }


def _pick(uniform: Uniform, words: Sequence[str]) -> pd.Series:
    places = np.minimum((uniform * len(words)).astype(np.int64), len(words) - 1)
    return pd.Series(pd.Categorical.from_codes(places, pd.Index(list(words)))).astype("str")


def _place(column: pd.Series, words: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(pd.Index(list(words)).get_indexer(pd.Index(column)), dtype=np.int64)


def _years_ago(years: Uniform) -> NDArray[np.generic]:
    days = np.floor(years * 365.25).astype("timedelta64[D]")
    return np.asarray((TODAY - days).astype("datetime64[us]"))


def _moments(days_ago: Uniform) -> pd.Series:
    seconds = np.floor(days_ago * 86_400).astype("timedelta64[s]")
    moments = (TODAY.astype("datetime64[s]") - seconds).astype("datetime64[us]")
    return pd.Series(moments).dt.tz_localize("UTC")


def _years(column: pd.Series) -> Uniform:
    return np.asarray((TODAY - column.to_numpy().astype("datetime64[D]")).astype(np.float64) / 365.25)
