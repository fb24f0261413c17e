"""The columns of both tables and of the view, in order, with their types in PostgreSQL."""

from __future__ import annotations

KEY = "policy_no"
CHURN, SEVERITY, RISK = "churned", "claim_severity", "risk_class"

REGIONS = (
    "Auvergne-Rhône-Alpes", "Bourgogne-Franche-Comté", "Bretagne", "Centre-Val de Loire", "Grand Est",
    "Hauts-de-France", "Île-de-France", "Normandie", "Nouvelle-Aquitaine", "Occitanie", "Pays de la Loire", "Rhône",
)  # fmt: skip
CONTACTS = ("agent", "broker", "téléphone", "web")
FUELS = ("diesel", "électrique", "essence", "hybride")
BODIES = ("berline", "break", "coupé", "SUV", "utilitaire")
MAKES = ("Citroën", "Dacia", "Fiat", "Peugeot", "Renault", "Škoda", "Toyota", "Volkswagen")
RISKS = ("high", "low", "middle")

# Of the table crm.policyholders, one row for each policy.
POLICYHOLDERS = {
    KEY: "text PRIMARY KEY",
    "birth_date": "date NOT NULL",
    "licence_date": "date",
    "region": "text NOT NULL",
    "postcode": "varchar(5) NOT NULL",  # digits, and yet no number: 01000
    "contact_channel": "text",
    "policy_start": "date NOT NULL",
    "last_contact_at": "timestamptz",
    "annual_premium": "numeric(9,2) NOT NULL",
    "bonus_malus": "numeric(3,2) NOT NULL",
    "late_payments": "smallint NOT NULL",
    "open_complaints": "integer",
    "pays_monthly": "boolean NOT NULL",
    "has_legal_cover": "boolean",
}
# Of the table crm.vehicles, one row for each policy; the view joins them.
VEHICLES = {
    KEY: "text PRIMARY KEY",
    "vehicle_make": "text NOT NULL",
    "body_type": "text NOT NULL",
    "fuel_type": "text NOT NULL",
    "power_kw": "smallint NOT NULL",
    "first_registered": "date NOT NULL",
    "vehicle_value": "numeric(10,2)",
    "annual_mileage": "integer",
    "parked_in_garage": "boolean",
}
FEATURES: tuple[str, ...] = tuple(name for name in (*POLICYHOLDERS, *VEHICLES) if name != KEY)
TARGETS = (CHURN, SEVERITY, RISK)

# Every name that belongs to this example: nothing outside the examples may know one.
WORDS: frozenset[str] = frozenset({KEY, *FEATURES, *TARGETS})
