"""The hint at the column that was probably meant."""

from __future__ import annotations

import pytest

from shared.sources.near_names import nearest

COLUMNS = ["référence du compteur", "conso annuelle kWh", "usage du site", "Région", "PUISSANCE", "id"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("consomation", "conso annuelle kWh"),
        ("conso_annuelle_kwh", "conso annuelle kWh"),
        ("region", "Région"),
        ("puissance", "PUISSANCE"),
        ("compteurs", "référence du compteur"),
        ("usages", "usage du site"),
        ("ident", None),
        ("température", None),
    ],
)
def test_a_name_that_is_nearly_one_or_nearly_a_word_of_one_is_hinted_at(name: str, meant: str | None) -> None:
    """Whatever its case, accents and signs between words; what is like none of them has no hint."""
    assert nearest(name, COLUMNS) == meant
