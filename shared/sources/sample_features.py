"""The columns of the sample's clients, as the readers here still know them: `examples/hr_attrition/features.py` is the
list itself, and a test holds them against each other. It goes when the readers take their columns from a source.
"""

from __future__ import annotations

from shared.models.signature import FeatureKind, FeatureSpec


def _integer(name: str, minimum: int, maximum: int) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.INTEGER, minimum=minimum, maximum=maximum)


def _category(name: str, *categories: str) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.CATEGORY, categories=categories)


CLIENT_FEATURES: tuple[FeatureSpec, ...] = (
    _integer("age", 14, 120),  # years
    _category("business_travel", "Non-Travel", "Travel_Frequently", "Travel_Rarely"),
    _integer("daily_rate", 0, 1_000_000),
    _category("department", "Human Resources", "Research & Development", "Sales"),
    _integer("distance_from_home", 0, 100_000),
    _integer("education", 1, 5),  # 1 below college … 5 doctor
    _category(
        "education_field",
        "Human Resources",
        "Life Sciences",
        "Marketing",
        "Medical",
        "Other",
        "Technical Degree",
    ),
    _integer("environment_satisfaction", 1, 4),  # 1 low … 4 very high
    _category("gender", "Female", "Male"),
    _integer("hourly_rate", 0, 1_000_000),
    _integer("job_involvement", 1, 4),
    _integer("job_level", 1, 10),
    _category(
        "job_role",
        "Healthcare Representative",
        "Human Resources",
        "Laboratory Technician",
        "Manager",
        "Manufacturing Director",
        "Research Director",
        "Research Scientist",
        "Sales Executive",
        "Sales Representative",
    ),
    _integer("job_satisfaction", 1, 4),
    _category("marital_status", "Divorced", "Married", "Single"),
    _integer("monthly_income", 0, 100_000_000),
    _integer("monthly_rate", 0, 100_000_000),
    _integer("num_companies_worked", 0, 1000),
    FeatureSpec("over_time", FeatureKind.BOOLEAN),
    _integer("percent_salary_hike", 0, 1000),  # percent
    _integer("performance_rating", 1, 4),
    _integer("relationship_satisfaction", 1, 4),
    _integer("stock_option_level", 0, 10),
    _integer("total_working_years", 0, 100),
    _integer("training_times_last_year", 0, 366),
    _integer("work_life_balance", 1, 4),
    _integer("years_at_company", 0, 100),
    _integer("years_in_current_role", 0, 100),
    _integer("years_since_last_promotion", 0, 100),
    _integer("years_with_curr_manager", 0, 100),
)

CLIENT_FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in CLIENT_FEATURES)

if len(CLIENT_FEATURES) != 30:  # the migration writes 30 columns; a typo here must not pass unseen
    raise AssertionError(f"expected 30 client features, found {len(CLIENT_FEATURES)}")

# What labelled data of the sample has beside its features.
TARGET = "attrition"
IGNORED_COLUMNS = frozenset({"employee_count", "employee_number", "over18", "standard_hours", "client_id"})
