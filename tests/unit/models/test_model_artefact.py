from __future__ import annotations

import hashlib
import io
import json
import pickle
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from model.artefact import Artefact, build_artefact, load, positive_column, read, save, versions_of_file
from model.errors import ArtefactCorrupt, ArtefactIncompatible, ModelRefused
from model.fingerprint import TrainingData
from model.metadata import ArtefactMetadata
from model.stated import NOT_STATED, stated_versions
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from tests.models import TestModel

X, Y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
SIGNATURE = Signature((FeatureSpec("x", FeatureKind.NUMBER, minimum=0.0),))
DATA = TrainingData("four numbers", 4, "ab" * 32)


@pytest.fixture
def artefact() -> Artefact:
    fitted = LogisticRegression().fit(X, Y)
    figures = {"f1": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    return build_artefact(fitted, SIGNATURE, 0.6, name="line", metrics=figures, training_data=DATA)


class Unpickled(Exception):
    """Raised by a pickle that was read though it should not have been."""


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _spring, ("read",)


def _spring(text: str) -> None:
    raise Unpickled(text)


def test_an_artefact_survives_the_disk(artefact: Artefact, tmp_path: Path) -> None:
    """What is saved is read back equal, to the byte, and loads into the same estimator."""
    save(artefact, tmp_path / "new" / "folder")
    found = read(tmp_path / "new" / "folder")
    assert found == artefact
    np.testing.assert_array_equal(load(found).predict_proba(X), LogisticRegression().fit(X, Y).predict_proba(X))


def test_the_metadata_is_plain_json(artefact: Artefact) -> None:
    """It goes through JSON and comes back equal, with or without training data."""
    for metadata in (artefact.metadata, replace(artefact.metadata, training_data=None)):
        assert ArtefactMetadata.from_json(json.loads(json.dumps(metadata.to_json()))) == metadata
    assert artefact.metadata.library_versions["scikit-learn"] == sklearn.__version__
    assert not {"signature", "threshold", "sha256", "classes"} & set(artefact.metadata.description())
    assert artefact.metadata.created_at <= datetime.now(UTC)


def test_any_estimator_with_probabilities_can_be_wrapped() -> None:
    """Another kind of model and other class names need no code."""
    tree = DecisionTreeClassifier().fit(X, np.array(["stays", "stays", "leaves", "leaves"]))
    artefact = build_artefact(tree, SIGNATURE, 0.5, name="tree", positive_class="leaves")
    loaded = load(artefact)
    assert loaded.predict_proba(X)[:, positive_column(loaded, "leaves")].tolist() == [0, 0, 1, 1]


def test_altered_bytes_are_refused_unread(artefact: Artefact) -> None:
    """A wrong digest is found before anything is unpickled."""
    trapped = Artefact(pickle.dumps(Trap()), artefact.metadata)
    with pytest.raises(ArtefactCorrupt, match="altered or cut"):
        load(trapped)


def test_another_scikit_learn_is_refused_unread(artefact: Artefact) -> None:
    """A version that may answer otherwise is refused before unpickling, and the cure is told."""
    old = made_with("0.18.2", artefact.content)
    trapped = old + pickle.dumps(Trap())
    with pytest.raises(ArtefactIncompatible, match=r"Install scikit-learn==0\.18\.2"):
        load(_with_digest(trapped, artefact.metadata))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("compress", [None, "zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_file_says_which_scikit_learn_made_it(protocol: int, compress: str | None) -> None:
    """The version is read from the bytes, in every form in which joblib and pickle write them."""
    buffer = io.BytesIO()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(np.tile(X, (5000, 1)), np.tile(Y, 5000))
    model.ballast = np.random.default_rng(0).random(200_000)
    joblib.dump(model, buffer, compress=(compress, 1) if compress else 0, protocol=protocol)
    assert stated_versions(buffer.getvalue()) == {"scikit-learn": sklearn.__version__}
    if compress is None:
        plain = pickle.dumps(model, protocol=protocol)
        assert stated_versions(plain) == {"scikit-learn": sklearn.__version__}
        assert stated_versions(made_with("1.0.2", pickle.dumps(model, protocol=protocol))) == {"scikit-learn": "1.0.2"}


def test_a_file_that_says_nothing_is_not_credited_with_our_versions() -> None:
    """What made a file is what the file says, never what happens to run here."""
    assert stated_versions(pickle.dumps(TestModel())) == {}
    assert versions_of_file(pickle.dumps(TestModel()))["scikit-learn"] == NOT_STATED
    assert versions_of_file(pickle.dumps(LogisticRegression().fit(X, Y)))["python"] == NOT_STATED


def test_a_patch_release_is_accepted_only_where_answers_will_be_compared(artefact: Artefact) -> None:
    """The last number may differ for those who compare the answers afterwards; the second never."""
    major, minor, _ = sklearn.__version__.split(".")
    near = _with_digest(made_with(f"{major}.{minor}.99", artefact.content), artefact.metadata)
    with pytest.raises(ArtefactIncompatible, match=r"\.99"):
        load(near)
    assert load(near, accept_patch=True).predict_proba(X).shape == (4, 2)
    far = _with_digest(made_with(f"{major}.{int(minor) + 1}.0", artefact.content), artefact.metadata)
    with pytest.raises(ArtefactIncompatible):
        load(far, accept_patch=True)


def made_with(version: str, content: bytes) -> bytes:
    """The same pickle as another scikit-learn would have made it."""
    here = sklearn.__version__.encode()
    found = content
    for size in (bytes([len(here)]), len(here).to_bytes(4, "little")):
        new = len(version).to_bytes(len(size), "little") + version.encode()
        found = found.replace(size + here, new)
    return found.replace(b"V" + here + b"\n", b"V" + version.encode() + b"\n")


def _with_digest(content: bytes, metadata: ArtefactMetadata) -> Artefact:
    return Artefact(content, replace(metadata, sha256=hashlib.sha256(content).hexdigest()))


def test_bytes_that_are_no_pickle_are_refused(artefact: Artefact) -> None:
    """Even with a right digest, garbage has a name."""
    with pytest.raises(ArtefactCorrupt, match="cannot be unpickled"):
        load(_with_digest(b"\0garbage", artefact.metadata))


@pytest.mark.parametrize("main", ["__main__", "worker.closed.__main__"])
def test_a_function_of_the_training_script_is_named_with_what_to_do(
    main: str, artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the process that opens the file is called; no path of its own is told."""
    module = ModuleType(main)
    module.__file__ = "/opt/worker/closed/__main__.py"
    monkeypatch.setitem(sys.modules, "__main__", module)
    with pytest.raises(ArtefactIncompatible, match=r"'days' was defined in the script.*\(__main__\).*--code") as caught:
        load(_with_digest(b"\x80\x04c__main__\ndays\n.", artefact.metadata))
    assert "/opt" not in str(caught.value)


def test_the_trap_works(artefact: Artefact) -> None:
    """The pickle used above would have been noticed if it had been read."""
    with pytest.raises(ArtefactCorrupt, match="Unpickled"):
        load(_with_digest(pickle.dumps(Trap()), artefact.metadata))


def test_a_loaded_object_must_be_servable(artefact: Artefact, tmp_path: Path) -> None:
    """A whole pickle of something else is refused when it is loaded."""
    joblib.dump({"not": "a model"}, tmp_path / "other")
    with pytest.raises(ArtefactIncompatible, match="a dict with not: save the model alone"):
        load(_with_digest((tmp_path / "other").read_bytes(), artefact.metadata))


@pytest.mark.parametrize(
    ("estimator", "positive_class", "message"),
    [
        (LinearSVC().fit(X, Y), 1, "LinearSVC tells no probabilities. Fit it inside CalibratedClassifierCV"),
        (LogisticRegression(), 1, "not fitted"),
        (LogisticRegression().fit(X, Y), "leaves", "'leaves' is not among them"),
    ],
)
def test_what_cannot_be_served_is_not_wrapped(estimator: object, positive_class: int | str, message: str) -> None:
    """The error comes when the artefact is made, not when it is served."""
    with pytest.raises((ArtefactIncompatible, ModelRefused), match=message):
        build_artefact(estimator, SIGNATURE, 0.5, name="bad", positive_class=positive_class)


def test_a_threshold_is_a_probability() -> None:
    """A threshold that no probability can be compared with is refused."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        build_artefact(LogisticRegression().fit(X, Y), SIGNATURE, 1.5, name="bad")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.joblib", None, "cannot be read"),
        ("model.json", None, "cannot be read"),
        ("model.json", "{", "is not JSON"),
        ("model.json", "{}", "KeyError"),
        ("model.json", "[]", "TypeError"),
        ("model.json", '"threshold": 0.6->"threshold": 0.0', "was edited"),
        ("model.json", '"name": "x"->"name": "y"', "was edited"),
        ("model.json", '"minimum": 0.0->"minimum": 5.0', "was edited"),
        ("model.json", '"nullable": false->"nulable": false', "did you mean 'nullable'"),
    ],
)
def test_damaged_files_are_named(
    artefact: Artefact, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    """A missing or garbled file is an ArtefactCorrupt, with the reason."""
    save(artefact, tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    elif "->" in content:
        before, _, after = content.partition("->")
        text = (tmp_path / file).read_text()
        assert before in text
        (tmp_path / file).write_text(text.replace(before, after))
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(ArtefactCorrupt, match=message):
        read(tmp_path)
