"""Files of libraries that are not installed here, or in formats of their own: one sentence says what to do."""

from __future__ import annotations

import io
import pickle
import sys
from importlib.abc import MetaPathFinder

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.errors import ArtefactIncompatible, ModelRefused
from model.opening import open_model
from model.requirements import missing_here
from tests.unit.models.test_models_of_others import registered

FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0)[::-1]})
LABELS = np.arange(60) % 2

# Pickles of a class of each library, as bytes: its module is looked for when they are opened.
_ABSENT = {
    "catboost": (
        b"\x80\x02ccatboost.core\nCatBoostClassifier\n)\x81.",
        r"Install predictq\[boosters\] for the workers",
    ),
    "dill": (b"\x80\x02cdill._dill\n_load_type\n.", "Save the model again with joblib.dump or cloudpickle"),
    "polars": (b"\x80\x02cpolars.dataframe.frame\nDataFrame\n)\x81.", "Fit the model on a frame of pandas"),
}


def hide(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Make a library one that is not installed, where it is."""

    class Hidden(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])


@pytest.mark.parametrize("library", _ABSENT)
def test_a_library_that_is_not_here_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Not as a module that may be the caller's own; and it is known before the file is opened."""
    content, words = _ABSENT[library]
    hide(monkeypatch, library)
    with pytest.raises(ArtefactIncompatible, match=f"needs the Python module '{library}.*{words}") as refused:
        open_model(content)
    assert "Is it yours" not in str(refused.value)


def test_a_file_compressed_with_lz4_is_refused_where_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joblib can, with a library of its own; what else can be done is said."""
    monkeypatch.setattr("joblib.compressor.lz4", None)
    content = b"\x04\x22\x4d\x18" + bytes(40)
    with pytest.raises(ArtefactIncompatible, match=r"compressed with lz4.*compress=3.*install 'lz4' for the workers"):
        open_model(content)


@pytest.mark.parametrize("compress", [("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)])
def test_every_other_compression_of_joblib_is_read(compress: tuple[str, int]) -> None:
    """They come with Python."""
    file = io.BytesIO()
    joblib.dump(LogisticRegression().fit(FRAME, LABELS), file, compress=compress)
    assert isinstance(open_model(file.getvalue()), LogisticRegression)
    assert missing_here(file.getvalue()) == ""


def _lightgbms() -> bytes:
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(FRAME, LABELS)
    return str(model.booster_.model_to_string()).encode()


def _xgboosts(form: str) -> bytes:
    model = xgboost.XGBClassifier(n_estimators=2).fit(FRAME, LABELS)
    return bytes(model.get_booster().save_raw(form))


_OWN = {
    "CatBoost": lambda: b"CBM1" + bytes(range(200)),
    "LightGBM": _lightgbms,
    "XGBoost": lambda: _xgboosts("json"),
    "XGBoost in binary": lambda: _xgboosts("ubj"),
}


@pytest.mark.parametrize("library", _OWN)
def test_a_booster_in_its_own_format_is_told_apart_from_a_broken_file(library: str) -> None:
    """It names no features and no classes; the estimator does."""
    with pytest.raises(ArtefactIncompatible, match=f"in {library.partition(' ')[0]}'s own format.*joblib.dump"):
        open_model(_OWN[library]())


def test_a_pipeline_that_answers_in_polars_is_refused_where_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was fitted by somebody who had it: registration says what its steps want."""
    hide(monkeypatch, "polars")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)
    pipeline[0].set_output(transform="polars")
    opened = open_model(pickle.dumps(pipeline))
    with pytest.raises(ModelRefused, match=r"cannot score a row.*requires polars to be installed"):
        registered(opened)
