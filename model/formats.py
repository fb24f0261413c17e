"""The forms in which a fitted model comes as a file, and opening each.

joblib, pickle and cloudpickle are one form, and run code. skops does not: its types are looked at first, and those that
are not known to be safe must be allowed by name. ONNX is a graph for onnxruntime.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from model.errors import ArtefactCorrupt, ArtefactIncompatible, ModelRefused
from model.graphs.onnx_model import OnnxModel
from model.opening import missing_module, open_model, release_refusal
from model.stated import is_onnx, schema_of, stated_versions

JOBLIB, SKOPS, ONNX = "joblib", "skops", "onnx"
FORMATS = (JOBLIB, SKOPS, ONNX)

_SKLEARN = re.compile(r'"_sklearn_version":\s*\{[^{}]*?"content":\s*"\\"([^"\\]+)\\""')
_HARMLESS = frozenset({"numpy.dtype"})  # the number type of an encoder's output, which skops asks for


def format_of(content: bytes) -> str:
    """Which of FORMATS the bytes are. What is none of them is taken for a pickle, whose opening says what is wrong."""
    if content.startswith(b"PK") and schema_of(content) is not None:
        return SKOPS
    return ONNX if is_onnx(content) else JOBLIB


def open_file(content: bytes, file_format: str, *, allow: Sequence[str] | None, accept_patch: bool = False) -> Any:
    """What a file of this form holds, fit to be asked.

    `allow` names types of a skops file that are trusted; None trusts all, which is for a file that was registered.
    Raises ModelRefused with the types that are not allowed, ArtefactIncompatible, ArtefactCorrupt.
    """
    if file_format == SKOPS:
        return _open_skops(content, allow, accept_patch=accept_patch)
    if file_format == ONNX:
        return OnnxModel(content)
    return open_model(content, accept_patch=accept_patch)


def versions_in(content: bytes, file_format: str) -> dict[str, str]:
    """The library versions that made the file, as far as it says."""
    if file_format == JOBLIB:
        return stated_versions(content)
    if file_format == ONNX:
        return {}
    found = sorted(set(_SKLEARN.findall(schema_of(content) or "")))
    return {"scikit-learn": ", ".join(found)} if found else {}


def _open_skops(content: bytes, allow: Sequence[str] | None, *, accept_patch: bool) -> Any:
    refusal = release_refusal(versions_in(content, SKOPS).get("scikit-learn"), accept_patch=accept_patch)
    if refusal:
        raise ArtefactIncompatible(refusal)
    import skops.io as skops  # noqa: PLC0415 - takes a second, and most files are pickles

    try:
        unknown = skops.get_untrusted_types(data=content)
    except Exception as error:
        raise ArtefactCorrupt(f"The skops file cannot be read: {type(error).__name__}: {error}") from error
    if allow is not None:
        _require_allowed(unknown, allow)
    try:
        with warnings.catch_warnings(action="ignore"):
            return skops.loads(content, trusted=unknown)
    except ModuleNotFoundError as error:
        raise ArtefactIncompatible(missing_module(error.name or str(error))) from error
    except Exception as error:
        raise ArtefactCorrupt(f"The skops file cannot be opened: {type(error).__name__}: {error}") from error


def _require_allowed(unknown: Iterable[str], allow: Sequence[str]) -> None:
    left = [name for name in unknown if name not in allow and name not in _HARMLESS]
    if left:
        options = " ".join(f"--allow {name}" for name in left)
        raise ModelRefused(
            f"The file holds types that are not known to be safe: {', '.join(left)}. No code of it has run. If you "
            f"trust them, say {options}"
        )
