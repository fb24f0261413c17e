"""One module comes from elsewhere than its file: nothing on the disk is changed, so nothing has to be put back."""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

_VARIABLE = "PREDICTQ_TESTS_MUTANT"
_ROOT = Path(__file__).parents[2]


class _Loader(SourceFileLoader):
    """Gives the module another code than its file has."""

    def __init__(self, name: str, path: str, code: str) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._code, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds one module."""

    def __init__(self, path: str, code: str) -> None:
        self._name = path.removesuffix(".py").replace("/", ".")
        self._path = str(_ROOT / path)
        self._code = code

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return spec_from_file_location(fullname, self._path, loader=_Loader(fullname, self._path, self._code))


def install(path: str, code_file: Path) -> None:
    """From now on, in this process and in those that it starts, the module at `path` has the code of that file."""
    os.environ[_VARIABLE] = f"{path}:{code_file}"
    os.environ["PYTHONPATH"] = f"{_ROOT / 'tests' / 'mutants' / 'site'}:{_ROOT}"
    install_from_environment()


def install_from_environment() -> None:
    """Where the environment names a mutant, import that."""
    path, _, code_file = os.environ.get(_VARIABLE, "").partition(":")
    if path:
        sys.meta_path.insert(0, _Finder(path, Path(code_file).read_text(encoding="utf-8")))
