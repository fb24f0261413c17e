"""Modules out of a pack, for a process that is kept for one version: nothing is written to a disk to import them."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import PurePosixPath
from types import CodeType, ModuleType

from model.code.pack import read_pack, top_names
from model.errors import ModelRefused

_MARK = "<code>/"  # before each path, so that a traceback tells whose line it is
# Packages of predictq itself. Somebody's code may have modules of these names: `from model import Churn` is common.
_OURS = ("api", "cli", "devstack", "examples", "model", "shared", "sql", "tests", "web", "worker")

_installed: dict[str, Mapping[str, str]] = {}  # the files by the digest of their pack: one at most


class _Finder(MetaPathFinder, InspectLoader):
    """Finds modules among the files of a pack, and makes them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is, if it is in the pack."""
        del path, target  # Python gives them
        folder = fullname.replace(".", "/")
        place = self._place(fullname)
        if place is None:
            if folder not in self._folders:
                return None
            spec = ModuleSpec(fullname, None, is_package=True)  # a folder without __init__.py
        else:
            found = spec_from_loader(fullname, self, origin=_MARK + place, is_package=self.is_package(fullname))
            if found is None:
                return None
            spec = found
            spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations = [_MARK + folder]
        return spec

    def is_package(self, fullname: str) -> bool:
        """Whether it is a folder with an __init__.py."""
        return (self._place(fullname) or "").endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        """The text, also for whoever prints a traceback."""
        place = self._place(fullname)
        if place is None:
            raise ImportError(f"{fullname} is not in the code", name=fullname)
        return self._files[place]

    def get_code(self, fullname: str) -> CodeType:
        """The text compiled. Raises SyntaxError."""
        place = self._place(fullname)
        return _compile(place or "", self.get_source(fullname))

    def _place(self, fullname: str) -> str | None:
        folder = fullname.replace(".", "/")
        return next((place for place in (f"{folder}/__init__.py", f"{folder}.py") if place in self._files), None)


def install_code(content: bytes) -> None:
    """Make the modules of a pack importable in this process, before any other of their names.

    Nothing of it runs yet, though all of it is compiled. Raises ModelRefused for a line that is no Python, and for the
    name of a module that is part of Python or of a library that workers themselves need.
    """
    files = read_pack(content)
    tops = top_names(files)
    for name in sorted(tops):
        if name in sys.stdlib_module_names or (name in sys.modules and name not in _OURS):
            whose = "Python itself" if name in sys.stdlib_module_names else "a library that workers need"
            raise ModelRefused(f"{name!r} of the code has the name of a module of {whose}: give it another name.")
    for place, text in files.items():
        _compile_first(place, text)
    for module in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[module]  # ours: whatever uses it holds it already
    sys.meta_path.insert(0, _Finder(files))
    _installed[hashlib.sha256(content).hexdigest()] = files


def is_installed(sha256: str | None) -> bool:
    """Whether the code of this digest is importable here."""
    return sha256 in _installed


def installed_names() -> list[str]:
    """What can be imported out of the code that is installed."""
    return sorted({name for files in _installed.values() for name in top_names(files)})


def place_in_code(error: BaseException) -> str | None:
    """The innermost line of the code that an error went through: `features.py, line 12`."""
    found, frame = None, error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if name.startswith(_MARK):
            found = f"{name.removeprefix(_MARK)}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return found


def _compile(place: str, text: str) -> CodeType:
    with warnings.catch_warnings(action="ignore"):
        return compile(text.encode(), _MARK + place, "exec", dont_inherit=True)


def _compile_first(place: str, text: str) -> None:
    try:
        _compile(place, text)
    except SyntaxError as error:
        line = "" if error.lineno is None else f", line {error.lineno}"
        raise ModelRefused(f"{place} of the code{line}: {error.msg}. Mend it, and register it anew.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ModelRefused(f"{place} of the code cannot be compiled: {error}.") from None
