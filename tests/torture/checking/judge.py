"""`python -m tests.torture.checking.judge`: estimators called directly, in a process that has nothing of the service.

A line of JSON comes in: the file of an estimator, and states of clients. A line of JSON goes out: for each state the
probability that the estimator gives, or the error that it must come to.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import joblib
import pandas as pd

from tests.torture import models
from tests.torture.population import Features

Answer = float | str

_POISON_ERRORS = {
    models.RAISES: "model_failed",
    models.KILLS: "model_failed",
    models.HANGS: "model_failed",
    models.NAN: "invalid_probability",
}


def main() -> None:
    """Answer until nobody asks any more."""
    models.SLOW_SECONDS = 0.0
    for line in sys.stdin:
        question = json.loads(line)
        answers = judge(_load(question["file"]), [Features(*state) for state in question["states"]])
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


def judge(estimator: Any, states: list[Features]) -> list[Answer]:
    """What the estimator says of each of these, all of them asked about at once."""
    answers: list[Answer] = ["" for _ in states]
    errors = _POISON_ERRORS if getattr(estimator, "poisonous", False) else {}
    harmless = []
    for number, state in enumerate(states):
        if state.age in errors:
            answers[number] = errors[state.age]
        else:
            harmless.append(number)
    if harmless:
        probabilities = estimator.predict_proba(_frame([states[number] for number in harmless]))[:, 1]
        for number, probability in zip(harmless, probabilities.tolist(), strict=True):
            answers[number] = probability
    return answers


def _frame(states: list[Features]) -> pd.DataFrame:
    """As the estimators were trained: whole numbers that may be missing are floats, truths are truths."""
    frame = pd.DataFrame(states, columns=list(Features._fields))
    return frame.astype({"age": "int64", "monthly_income": "float64", "department": "object", "over_time": "bool"})


@cache
def _load(file: str) -> Any:
    return joblib.load(file)


if __name__ == "__main__":
    main()
