"""Opening a model's file. joblib, pickle and cloudpickle run code of the file: only trusted bytes come here."""

from __future__ import annotations

import codecs
import io
import re
import warnings
from typing import Any

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from model.code.importing import installed_names, place_in_code
from model.errors import ArtefactCorrupt, ArtefactError, ArtefactIncompatible
from model.stated import stated_versions

# Where a worker opens files in a process of its own, its main module has the name of a package before it.
_OF_A_SCRIPT = re.compile(
    r"Can't get attribute '([^']+)' on <module '(?:[\w.]+\.)?__main__'"
    r"|module '(?:[\w.]+\.)?__main__' has no attribute '([^']+)'"
)


def open_model(content: bytes, *, accept_patch: bool = False) -> Any:
    """What a joblib, pickle or cloudpickle file holds.

    Raises ArtefactIncompatible, where it was made with another scikit-learn or needs what is not installed here, and
    ArtefactCorrupt. With `accept_patch` another patch release of scikit-learn is not refused: then its answers are to
    be compared with ones that the other release gave.
    """
    refusal = release_refusal(stated_versions(content).get("scikit-learn"), accept_patch=accept_patch)
    if refusal:
        raise ArtefactIncompatible(refusal)
    found, warned = _unpickle(content)
    refusal = release_refusal(warned, accept_patch=accept_patch)
    if refusal:
        raise ArtefactIncompatible(refusal)
    return found


def release_refusal(stated: str | None, *, accept_patch: bool = False) -> str | None:
    """Why a file that says `stated` of its scikit-learn is not served by this process, or None."""
    here = sklearn.__version__
    if stated is None or stated == here:
        return None
    if accept_patch and is_patch_apart(stated, here):
        return None
    return (
        f"The file was made with scikit-learn {stated}, this process has {here}: the same pickle may answer otherwise "
        f"there. Install scikit-learn=={stated} in the workers, or train it again with {here}."
    )


def is_patch_apart(one: str, other: str) -> bool:
    """Whether two releases differ in their last number alone."""
    first, second = re.match(r"(\d+\.\d+)\.\d+$", one), re.match(r"(\d+\.\d+)\.\d+$", other)
    return bool(first and second and first.group(1) == second.group(1))


def _unpickle(content: bytes) -> tuple[Any, str | None]:
    """The object, and the scikit-learn that a warning on loading has named."""
    with warnings.catch_warnings(record=True) as caught, np.errstate():
        warnings.simplefilter("always")
        try:
            found = joblib.load(io.BytesIO(content))
        except MemoryError as error:
            raise ArtefactIncompatible("The file needs more memory than this process has.") from error
        except SystemExit as error:
            raise ArtefactCorrupt(f"Code in the file ends the process that loads it (exit {error.code}).") from error
        except Exception as error:  # unpickling may raise anything
            raise _refusal(content, error) from error
    for warning in caught:
        if isinstance(warning.message, InconsistentVersionWarning):
            return found, str(warning.message.original_sklearn_version)
    return found, None


def _refusal(content: bytes, error: Exception) -> ArtefactError:
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return ArtefactIncompatible(missing_module(error.name))
    if "LZ4 is not installed" in str(error):  # joblib's words
        return ArtefactIncompatible(
            "The file is compressed with lz4, which is not installed here. Save it again with another compression: "
            "joblib.dump(model, FILE, compress=3), or install 'lz4' for the workers."
        )
    library = _own_format_of(content)
    if library is not None:
        return ArtefactIncompatible(
            f"The file is a model in {library}'s own format, which does not say what its features are. Load it into "
            "the estimator that was fitted, and save that with joblib.dump."
        )
    main = _OF_A_SCRIPT.search(str(error))
    if main:
        return ArtefactIncompatible(
            f"{main.group(1) or main.group(2)!r} was defined in the script or notebook itself that saved the file "
            "(__main__). Move it to a module of its own, import it from there, save the model again, and register it "
            "with --code FOLDER, or save it with cloudpickle."
        )
    place = place_in_code(error)
    if place is not None:
        return ArtefactIncompatible(f"The code of the version failed in {place} ({text}).")
    if isinstance(error, AttributeError | ImportError):
        return ArtefactIncompatible(
            f"The file names something that the libraries here do not have ({text}). It was probably saved with "
            "another version of a library: install that version, or save the model with this one."
        )
    words = _text_of(content)
    if words is not None:
        return ArtefactCorrupt(f"The file {words}")
    return ArtefactCorrupt(f"The file {_kind_of(content)} It cannot be unpickled ({text}).")


# What to do about libraries that models are known to come from.
_BOOSTERS = "Install predictq[boosters] for the workers; retraining does not help."
_KNOWN = {
    "catboost": _BOOSTERS,
    "imblearn": _BOOSTERS,
    "lightgbm": _BOOSTERS,
    "xgboost": _BOOSTERS,
    "dill": "Save the model again with joblib.dump or cloudpickle, or install 'dill' for the workers.",
    "polars": "Fit the model on a frame of pandas and save it again, or install 'polars' for the workers.",
}


def missing_module(module: str) -> str:
    """What to do about a module that the file names and nobody has here."""
    package = module.partition(".")[0]
    known = _KNOWN.get(package)
    if known is not None:
        return f"The file needs the Python module {module!r}, which is not installed here. {known}"
    names = installed_names()
    if names:
        return (
            f"The file needs the Python module {module!r}, which is neither installed here nor in the code, which has "
            f"{', '.join(names[:20])}. Put it into the folder of --code, or install {package!r} for the workers."
        )
    return (
        f"The file needs the Python module {module!r}, which is not installed here. Is it yours? Register the model "
        f"with --code FOLDER. Else install {package!r} for the workers; retraining does not help."
    )


def _own_format_of(content: bytes) -> str | None:
    """The library whose own format these bytes begin as; None for none that is known."""
    if content.startswith(b"CBM1"):
        return "CatBoost"
    if content.startswith(b"tree\nversion="):
        return "LightGBM"
    is_object = content.startswith((b"{L", b'{"'))  # in binary JSON or in JSON
    return "XGBoost" if is_object and b"learner" in content[:100] else None


def _kind_of(content: bytes) -> str:
    return "is no whole joblib or pickle file: it was cut, altered, or is of another kind." if content else "is empty."


def _text_of(content: bytes) -> str | None:
    """What a file of words holds; None for one that is none. The oldest pickles are words, too, but no table."""
    if content[:1] == b"\x80":
        return None
    start = content[:2000]
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)  # a letter may be cut at the end
    except UnicodeDecodeError:
        text = start.decode("cp1252", errors="replace")  # tables of spreadsheets often are
    if (
        not text
        or not all(letter.isprintable() or letter in "\t\r\n\u00a0\u202f" for letter in text)
        or "\ufffd" in text
    ):
        return None
    lines = text.splitlines()
    is_table = len(lines) > 1 and any(mark in lines[0] for mark in ",;\t")
    if not is_table and (text[:1] in "(c" or not start.isascii()):
        return None
    ending = " It looks like a table (CSV): name the file that joblib.dump or pickle.dump has written."
    return f"holds text, not a model: it begins with {text[:30]!r}.{ending if is_table else ''}"
