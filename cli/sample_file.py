"""Whether a file is one of the sample's clients, whose table has a model of its own."""

from __future__ import annotations

import csv
from pathlib import Path

from model.columns import column_name
from shared.sources.sample_features import CLIENT_FEATURE_NAMES

_LONGEST_HEADER = 65_536


def is_sample(path: Path) -> bool:
    """Whether the first line of a CSV file names an id and all features of the sample."""
    with path.open("rb") as file:
        first = file.readline(_LONGEST_HEADER).decode("utf-8-sig", "replace")
    if "\0" in first:
        return False
    names = {column_name(title) for title in next(csv.reader([first]), [])}
    return bool(names & {"client_id", "employee_number"}) and names.issuperset(CLIENT_FEATURE_NAMES)
