"""What a model's file needs of a worker, and whether a worker meets it."""

from __future__ import annotations

import io
import pickle
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
import skops.io
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.requirements import missing_here, requirements_of
from shared.models.requirements import lacking, read_requirements, write_requirements
from shared.watching.workers import Worker, why_nobody

ROWS = np.random.default_rng(0).random((200, 3))
LABELS = (ROWS[:, 0] > 0.5).astype(int)
OURS = f"scikit-learn=={'.'.join(sklearn.__version__.split('.')[:2])}.*"


def worker(name: str, models: list[str] | None = None, **libraries: str) -> Worker:
    return Worker(name, 1, ["bulk"], models, [], {key.replace("_", "-"): value for key, value in libraries.items()})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_any_protocol_names_the_libraries_of_its_classes(protocol: int) -> None:
    """Nothing of it is opened."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)
    assert requirements_of(pickle.dumps(model, protocol=protocol), "joblib") == OURS


def test_every_format_names_what_it_needs() -> None:
    """A compressed joblib file of a booster, a skops file, a graph."""
    file = io.BytesIO()
    booster: Any = LGBMClassifier(n_estimators=2, verbose=-1).fit(ROWS, LABELS)
    joblib.dump(booster, file, compress=3)
    assert requirements_of(file.getvalue(), "joblib") == f"lightgbm==4.*, {OURS}"
    model = LogisticRegression().fit(ROWS, LABELS)
    assert requirements_of(skops.io.dumps(model), "skops") == f"{OURS}, skops==0.*"
    assert requirements_of(b"", "onnx") == "onnxruntime==1.*"
    assert requirements_of(b"no model at all", "joblib") == ""


def test_what_a_file_names_and_is_not_here_is_known_before_it_is_opened() -> None:
    """Modules that nobody here has, and another minor release of scikit-learn; not what it brings as code."""
    assert missing_here(b"\x80\x02cno_such_library.models\nForest\n)\x81.") == "no-such-library"
    assert missing_here(b"\x80\x02cno_such_library\nForest\n)\x81.", {"no_such_library.py": ""}) == ""
    model = pickle.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS))
    assert missing_here(model) == missing_here(b"no model at all") == missing_here(b"") == ""
    other = model.replace(sklearn.__version__.encode(), b"0.9.9"[: len(sklearn.__version__)].ljust(5, b"0"))
    assert missing_here(other) == "scikit-learn==0.9.*"


def test_needs_are_written_and_read_back() -> None:
    """In the order of names, so that the same needs are the same text."""
    needs = {"scikit-learn": "1.9", "lightgbm": "4", "odd": "*"}
    assert write_requirements(needs) == "lightgbm==4.*, odd, scikit-learn==1.9.*"
    assert read_requirements(write_requirements(needs)) == needs
    assert read_requirements("") == {}


def test_what_lacks_is_said_in_words() -> None:
    """Another patch release is no lack, another minor one is."""
    needs = "lightgbm==4.*, scikit-learn==1.9.*"
    assert lacking(needs, {"lightgbm": "4.6.0", "scikit-learn": "1.9.3"}) == []
    assert lacking(needs, {"lightgbm": "4", "scikit-learn": "1.90.0"}) == ["scikit-learn 1.9 (it has 1.90.0)"]
    assert lacking(needs, {"scikit-learn": "1.9.3"}) == ["lightgbm 4 (it has none)"]
    assert lacking("odd", {"odd": "0.1"}) == []


def test_nobody_is_everybody_who_runs() -> None:
    """One able worker is enough; where none runs nothing is said of it."""
    able, other = worker("a", lightgbm="4.6.0"), worker("b")
    assert why_nobody([], "churn", "lightgbm==4.*") is None
    assert why_nobody([other, able], "churn", "lightgbm==4.*") is None
    assert why_nobody([other], "churn", "lightgbm==4.*") == "b lacks lightgbm 4 (it has none)"
    choosy = worker("c", ["fraud"], lightgbm="4.6.0")
    assert why_nobody([choosy], "churn", "") == "c lacks work of churn (it takes other models alone)"
