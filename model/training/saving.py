"""A training as a directory: what can be registered, and what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

from model import artefact as artefacts
from model.training.card import write_report
from model.training.run import TrainingResult

SIGNATURE_FILE = "signature.json"


def save_training(result: TrainingResult, directory: Path) -> None:
    """Write the model, its signature, the card and its plots into `directory`, which is made if it is missing.

    `predictq models register NAME DIRECTORY` takes it as it is.
    """
    artefacts.save(result.artefact, directory)
    text = json.dumps(result.signature.to_json(), indent=2, ensure_ascii=False)
    (directory / SIGNATURE_FILE).write_text(text + "\n", encoding="utf-8")
    write_report(result, directory)
