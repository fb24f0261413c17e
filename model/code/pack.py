"""The pack: Python files as one JSON text. The same files are the same bytes, so that a digest can stand for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from model.errors import ModelRefused

MOST_FILES = 500
MOST_BYTES = 5_000_000  # of all files together
MOST_PACK_BYTES = 3 * MOST_BYTES  # with what JSON adds: a line's end or a quote is two letters, some are six

_FORMAT = 1
_SUFFIX = ".py"


def write_pack(files: Mapping[str, bytes]) -> bytes:
    """The pack of files by their path, such as `churn/features.py`. Raises ModelRefused."""
    texts = {}
    for path, content in files.items():
        try:
            texts[path] = content.decode()
        except UnicodeDecodeError as error:
            raise ModelRefused(f"{path} of the code is not UTF-8 ({error.reason} at byte {error.start}).") from None
    _check(texts)
    made = {"format": _FORMAT, "files": texts}
    return json.dumps(made, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def read_pack(content: bytes) -> dict[str, str]:
    """The texts of the files by their path, sorted. Raises ModelRefused where it is no pack."""
    if len(content) > MOST_PACK_BYTES:
        raise ModelRefused(f"The code has {len(content):,} bytes. {_limits()}")
    try:
        found = json.loads(content)
        is_ours = found["format"] == _FORMAT and isinstance(found["files"], dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ModelRefused("The code is not as `predictq models register --code DIR` packs it.")
    files: dict[str, Any] = found["files"]
    _check(files)
    return dict(sorted(files.items()))


def is_module_path(path: str) -> bool:
    """Whether Python can import what lies there: every part is a name."""
    pure = PurePosixPath(path)
    return (
        pure.suffix == _SUFFIX and all(part.isidentifier() for part in pure.with_suffix("").parts) and str(pure) == path
    )


def top_names(files: Mapping[str, str]) -> frozenset[str]:
    """What can be imported by name: the modules and packages that lie at the top."""
    return frozenset(PurePosixPath(path).with_suffix("").parts[0] for path in files)


def _check(files: Mapping[str, Any]) -> None:
    for path, content in files.items():
        if not is_module_path(path) or not isinstance(content, str):
            raise ModelRefused(f"{path[:200]!r} of the code is no Python file that can be imported.")
    if not files:
        raise ModelRefused("The code has no Python file.")
    size = sum(len(content.encode(errors="surrogatepass")) for content in files.values())
    if len(files) > MOST_FILES or size > MOST_BYTES:
        raise ModelRefused(f"The code has {len(files):,} Python files of {size:,} bytes. {_limits()}")


def _limits() -> str:
    return (
        f"At most {MOST_FILES:,} files of {MOST_BYTES:,} bytes together travel with a version: give a folder with "
        "nothing but what the model imports, and install libraries in the workers."
    )
