"""The code that a version brings: what is packed of a folder, and what is refused before any of it runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from model.code import folder as folders
from model.code import importing
from model.code.folder import pack_folder
from model.code.importing import install_code
from model.code.imports import imported
from model.code.pack import read_pack, write_pack
from model.errors import ArtefactIncompatible, ModelRefused, SealRefused
from model.opening import open_model
from model.requirements import requirements_of
from model.seals.keys import create_key, read_private, read_trusted
from model.seals.seal import Seal, Statement, check_seal, create_seal

SHA256 = "ab" * 32


def test_a_folder_is_packed_to_the_same_bytes_and_what_stays_behind_is_told(tmp_path: Path) -> None:
    """Python files alone travel; neither the order of writing nor hidden files, caches or links make a difference."""
    one, other = tmp_path / "one", tmp_path / "other"
    for place, names in (
        (one, ["a.py", "lib/b.py", "lib/__init__.py"]),
        (other, ["lib/__init__.py", "lib/b.py", "a.py"]),
    ):
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(f"# {name} ü\n", encoding="utf-8")
    for name in (
        ".git/x.py",
        "__pycache__/a.py",
        "venv/pyvenv.cfg",
        "venv/y.py",
        "my-tests/z.py",
        "notes.txt",
        "run-me.py",
    ):
        (one / name).parent.mkdir(exist_ok=True)
        (one / name).write_text("")
    (one / "link.py").symlink_to("/etc/passwd")
    packed = pack_folder(one)
    assert packed.content == pack_folder(other).content
    assert list(read_pack(packed.content)) == ["a.py", "lib/__init__.py", "lib/b.py"]
    assert packed.left_out == ["link.py (a link)", "my-tests/", "notes.txt", "run-me.py", "venv/"]
    first, second = packed.describe()
    assert first.startswith("code: 3 Python files, ")
    assert first.endswith(f"SHA-256 {packed.sha256[:16]}…: a.py, lib/__init__.py, lib/b.py")
    assert second == "left out of the code: link.py (a link), my-tests/, notes.txt, run-me.py, venv/"


def test_a_package_given_as_the_folder_keeps_its_name(tmp_path: Path) -> None:
    """`--code src/pricing` is what people type for `import pricing`."""
    (tmp_path / "pricing").mkdir()
    (tmp_path / "pricing" / "__init__.py").write_text("")
    assert list(pack_folder(tmp_path / "pricing").files) == ["pricing/__init__.py"]


def test_too_much_and_too_little_are_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Python file, more than the limits, and a text that is not UTF-8."""
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ModelRefused, match="has no Python file that could be imported"):
        pack_folder(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    with pytest.raises(ModelRefused, match=r"latin\.py of the code is not UTF-8"):
        pack_folder(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"x" * 5_000_001)
    with pytest.raises(ModelRefused, match=r"more than 500 Python files or 5,000,000 bytes of them, .* to latin\.py"):
        pack_folder(tmp_path)
    monkeypatch.setattr(folders, "_MOST_ENTRIES", 1)
    with pytest.raises(ModelRefused, match="give the code's own folder"):
        pack_folder(tmp_path)


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (b"\x80\x04", "is not as `predictq models register --code DIR` packs it"),
        (b'{"format":2,"files":{}}', "is not as `predictq models register --code DIR` packs it"),
        (b"[" * 100_000, "is not as `predictq models register --code DIR` packs it"),
        (b'{"format":1,"files":{}}', "has no Python file"),
        (b'{"format":1,"files":{"../a.py":""}}', "no Python file that can be imported"),
        (b'{"format":1,"files":{"a.py":7}}', "no Python file that can be imported"),
        (b'{"format":1,"files":{"a.py":"' + b"\\u0007" * 2_600_000 + b'"}}', "At most 500 files of 5,000,000 bytes"),
    ],
)
def test_a_forged_pack_is_refused(pack: bytes, words: str) -> None:
    """A worker trusts none that it has not read."""
    with pytest.raises(ModelRefused, match=words):
        read_pack(pack)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"a.py": b"x = 1\ny = = 2\n"},
            "a.py of the code, line 2: invalid syntax. Mend it, and register it anew.",
        ),
        ({"lib/a.py": b"x = '\x00'\n"}, "lib/a.py of the code"),
        ({"statistics.py": b""}, "'statistics' of the code has the name of a module of Python itself"),
        ({"numpy/__init__.py": b""}, "'numpy' of the code has the name of a module of a library that workers need"),
    ],
)
def test_what_cannot_be_imported_is_refused_before_anything_runs(files: dict[str, bytes], words: str) -> None:
    """A file that is no Python is named with its line; no name hides a library."""
    before = list(sys.meta_path)
    with pytest.raises(ModelRefused, match=re.escape(words)):
        install_code(write_pack(files))
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"cfailing_price\nPrice\n.",
            "code of the version failed in failing_price.py, line 2 (ZeroDivisionError: ",
        ),
        (
            b"clacking_price\nPrice\n.",
            "the Python module 'gone', which is neither installed here nor in the code",
        ),
        (b"cother_price\nPrice\n.", "in the code, which has failing_price, lacking_price. Put it into the folder of "),
    ],
)
def test_a_failure_on_opening_names_the_line_or_the_module(
    content: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told what to mend."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(importing, "_installed", {})
    install_code(write_pack({"failing_price.py": b"\nRATE = 1 / 0\n", "lacking_price.py": b"import gone\n"}))
    with pytest.raises(ArtefactIncompatible, match=re.escape(words)):
        open_model(content)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os, lightgbm as lgb", {"os", "lightgbm"}),
        ("from scipy.stats import norm\nimport a.b", {"scipy", "a"}),
        ("def f():\n    import lightgbm", {"lightgbm"}),
        ('"""Usage:\nimport lightgbm\n"""', set()),
        ("try:\n    import lightgbm\nexcept ImportError:\n    import xgboost\nelse:\n    import a", {"a"}),
        ("try:\n    import lightgbm\nfinally:\n    pass", {"lightgbm"}),
        ("from . import rates\nfrom .parts import b", set()),
        ("import (", set()),
    ],
)
def test_what_a_module_imports_is_read_from_its_text(text: str, found: set[str]) -> None:
    """Whole lists, at any depth; no docstring, nothing that it can do without, and none of its own neighbours."""
    assert set(imported(text)) == found


def test_libraries_that_the_code_imports_are_required() -> None:
    """A worker without them is not asked."""
    code = {"pricing.py": "import numpy\nfrom sqlalchemy import text\nimport sklearn.base\n", "pytest.py": ""}
    found = requirements_of(b"", "joblib", {**code, "a.py": "import pytest"})
    assert [need.partition("==")[0] for need in found.split(", ")] == ["scikit-learn", "sqlalchemy"]


def test_a_seal_is_of_a_file_and_its_code(tmp_path: Path) -> None:
    """A file with other code than was sealed is refused, and so is one with code that the seal does not know."""
    create_key(tmp_path / "team")
    key, trusted = read_private(tmp_path / "team.key"), read_trusted(tmp_path)
    with_code = Seal.from_json(create_seal(Statement("churn", SHA256, code="cd" * 32), key).to_json())
    without = create_seal(Statement("churn", SHA256), key)
    check_seal(with_code, trusted, model="churn", sha256=SHA256, code="cd" * 32)
    for seal, code in ((with_code, None), (with_code, "ef" * 32), (without, "cd" * 32)):
        with pytest.raises(SealRefused, match=r"The seal is of .*, and not of "):
            check_seal(seal, trusted, model="churn", sha256=SHA256, code=code)
