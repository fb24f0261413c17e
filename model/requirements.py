"""Which libraries a model's file needs, read from its bytes: no code of it runs.

A pickle names the module of every class in it, a skops file lists them, an ONNX file needs onnxruntime. Which release
is needed is what stood here when the file was opened and tried: of scikit-learn the minor release, of others the major.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from types import MappingProxyType

from model.code.imports import imported
from model.code.pack import top_names
from model.stated import is_lz4, is_onnx, pieces, schema_of, stated_versions
from shared.models.requirements import write_requirements

NO_CODE: Mapping[str, str] = MappingProxyType({})
_SKOPS, _ONNX = "skops", "onnx"  # as model.formats calls them, which opens files and so is slow to import
# In each worker that there is, or part of Python itself.
_EVERYWHERE = frozenset({"numpy", "scipy", "joblib", "pandas", "pyarrow", "threadpoolctl", "predictq"})
KNOWN = (
    "scikit-learn", "numpy", "pandas", "skops", "onnxruntime", "lightgbm", "xgboost", "catboost", "cloudpickle",
    "dill", "lz4", "polars",
)  # fmt: skip
_BUILDS = {  # the same package for another machine
    "xgboost-cpu": "xgboost",
    "onnxruntime-gpu": "onnxruntime",
}
_MINOR = frozenset({"scikit-learn"})  # whose pickles may answer otherwise from one minor release to the next
# A class of a pickle: its module and its name as texts, each with a mark, then the opcode that looks it up; and the
# form of older protocols.
_NEW = re.compile(rb"\x8c(.)([A-Za-z_][\w.]*)\x94\x8c(.)([A-Za-z_][\w.]*)\x94\x93", re.DOTALL)
_OLD = re.compile(rb"c([A-Za-z_][\w.]*)\n[A-Za-z_][\w.]*\n")
_OF_SKOPS = re.compile(r'"__module__":\s*"([A-Za-z_][\w.]*)"')


def requirements_of(content: bytes, file_format: str, code: Mapping[str, str] = NO_CODE) -> str:
    """The requirements of a file that was opened here, and of the code that it brings: texts by path."""
    tops = {module.partition(".")[0] for module in _modules(content, file_format)}
    tops |= {top for text in code.values() for top in imported(text)}
    tops -= top_names(code)
    names = {_distributions()[top] for top in tops if top in _distributions()} - _EVERYWHERE
    if file_format == _SKOPS:
        names.add("skops")
    if is_lz4(content):
        names.add("lz4")
    return write_requirements({name: _release(name) for name in names})


def missing_here(content: bytes, code: Mapping[str, str] = NO_CODE) -> str:
    """What a file that was not opened names and this process has not, as requirements; of code that it brings, too.

    A module that nobody here knows stands for the package of its name. Another release of scikit-learn is missing, too.
    """
    file_format = _SKOPS if schema_of(content) is not None else _ONNX if is_onnx(content) else ""
    tops = {module.partition(".")[0] for module in _modules(content, file_format)} - {"__main__"} - top_names(code)
    needs = {top.lower().replace("_", "-"): "*" for top in tops if not _is_here(top)}
    if is_lz4(content) and not _is_here("lz4"):
        needs["lz4"] = "*"
    stated = stated_versions(content).get("scikit-learn", "")
    minor = re.match(r"\d+\.\d+", stated)
    if minor and minor[0] != _release("scikit-learn"):
        needs["scikit-learn"] = minor[0]
    return write_requirements(needs)


def _is_here(top: str) -> bool:
    try:
        return top in sys.modules or find_spec(top) is not None
    except (ImportError, ValueError):  # words that only look like a module
        return False


def _modules(content: bytes, file_format: str) -> Iterator[str]:
    if file_format == _ONNX:
        yield "onnxruntime"
    elif file_format == _SKOPS:
        yield from _OF_SKOPS.findall(schema_of(content) or "")
    else:
        for piece in pieces(content):
            yield from (m[2].decode() for m in _NEW.finditer(piece) if m[1][0] == len(m[2]) and m[3][0] == len(m[4]))
            yield from (m[1].decode() for m in _OLD.finditer(piece))


def _release(name: str) -> str:
    parts = re.findall(r"\d+", installed_version(name) or "")
    return ".".join(parts[: 2 if name in _MINOR else 1]) or "*"


def installed_libraries() -> dict[str, str]:
    """The version of each package that models are known to need, and of Python, as far as they are here."""
    found = {name: installed_version(name) for name in KNOWN}
    return {"python": platform.python_version(), **{name: version for name, version in found.items() if version}}


def installed_version(name: str) -> str | None:
    """The version of a package, whichever of its builds is installed; None where none is."""
    for build in (name, *(build for build, plain in _BUILDS.items() if plain == name)):
        try:
            return metadata.version(build)
        except metadata.PackageNotFoundError:
            continue
    return None


@cache
def _distributions() -> dict[str, str]:
    """The package that brings each top module."""
    found = {top: names[0].lower().replace("_", "-") for top, names in metadata.packages_distributions().items()}
    return {top: _BUILDS.get(name, name) for top, name in found.items()}
