"""The sample's model, trained on generated clients in a few seconds, and the commands that put it to work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import KEY
from examples.hr_attrition.load import TABLE
from examples.hr_attrition.training import train_sample
from model.training.saving import save_training

ROWS, SPLITS = 2000, 3  # enough for a model to look at
STEPS = SPLITS + 1


def train(directory: Path, seed: int, on_step: Callable[[int], None]) -> list[list[str]]:
    """Write the trained model into `directory`; returns the `predictq` commands that register it and make it live.

    `on_step` is told how many of STEPS are done.
    """
    frame = pd.concat(generate(ROWS, seed), ignore_index=True)
    source = f"{ROWS:,} generated clients, seed {seed}"
    result = train_sample(frame, seed=seed, splits=SPLITS, source=source, progress=lambda done, _all: on_step(done))
    save_training(result, directory)
    return [
        ["sources", "add", "clients", "--table", TABLE, "--key", KEY],
        ["models", "register", "attrition", str(directory), "--source", "clients", "--promote"],
    ]
