"""A folder of somebody's code to a pack. What is left out is told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from model.code.pack import MOST_BYTES, MOST_FILES, is_module_path, write_pack
from model.errors import ModelRefused
from shared.sentences import count_of

_MOST_ENTRIES = 20_000  # of all kinds: more is a home directory, or a project with its data
_SHOWN = 8


@dataclass(slots=True)
class PackedFolder:
    """The pack of a folder. `left_out`: paths, and why where that is not plain."""

    content: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    entries: int = 0

    @property
    def sha256(self) -> str:
        """What the version's digest, and a seal, say of the code."""
        return hashlib.sha256(self.content).hexdigest()

    def describe(self) -> list[str]:
        """What travels and what does not, in words."""
        size = count_of(sum(map(len, self.files.values())), "byte")
        files, names = count_of(len(self.files), "Python file"), _some(list(self.files))
        lines = [f"code: {files}, {size}, SHA-256 {self.sha256[:16]}…: {names}"]
        if self.left_out:
            lines.append(f"left out of the code: {_some(self.left_out)}")
        return lines


def pack_folder(folder: Path) -> PackedFolder:
    """Pack the Python files of a folder; one that is a package itself is packed under its own name.

    Links, hidden files, `__pycache__`, environments, files that are no Python, and those whose names cannot be imported
    stay behind. Raises ModelRefused.
    """
    found = PackedFolder()
    name = folder.resolve().name
    prefix = f"{name}/" if (folder / "__init__.py").is_file() and name.isidentifier() else ""
    try:
        for path, place in _python_files(folder, prefix, found):
            found.files[path] = place.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{error.filename} of the code cannot be read: {error.strerror}.") from error
    if not found.files:
        raise ModelRefused(f"{folder} has no Python file that could be imported.")
    found.files = dict(sorted(found.files.items()))
    found.content = write_pack(found.files)
    return found


def _python_files(folder: Path, prefix: str, found: PackedFolder) -> Iterator[tuple[str, Path]]:
    size = 0
    for files, (path, entry) in enumerate(_walk(folder, prefix, found), start=1):
        size += entry.stat(follow_symlinks=False).st_size
        if files > MOST_FILES or size > MOST_BYTES:
            raise ModelRefused(
                f"{folder} has more than {MOST_FILES:,} Python files or {MOST_BYTES:,} bytes of them, counted up to "
                f"{path}. Give a folder with nothing but what the model imports."
            )
        yield path, Path(entry.path)


def _walk(folder: Path, prefix: str, found: PackedFolder) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    found.entries += len(ordered)
    if found.entries > _MOST_ENTRIES:
        raise ModelRefused(f"{folder} is in a folder of more than {_MOST_ENTRIES:,} files: give the code's own folder.")
    for entry in ordered:
        path = prefix + entry.name
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_symlink():
            found.left_out.append(f"{path} (a link)")
        elif entry.is_dir(follow_symlinks=False):
            if not entry.name.isidentifier() or (Path(entry.path) / "pyvenv.cfg").exists():
                found.left_out.append(f"{path}/")
            else:
                yield from _walk(Path(entry.path), f"{path}/", found)
        elif entry.is_file(follow_symlinks=False) and is_module_path(path):
            yield path, entry
        else:
            found.left_out.append(path)


def _some(names: list[str]) -> str:
    more = "" if len(names) <= _SHOWN else f" and {len(names) - _SHOWN:,} more"
    return ", ".join(names[:_SHOWN]) + more
