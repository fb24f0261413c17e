"""What a model's file says of the libraries that made it. Read from its bytes: no code of it runs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any

NOT_STATED = "not stated"

_PIECE = 1 << 20
_OVERLAP = 256
_MOST_SCHEMA = 100_000_000
_KEY = b"_sklearn_version"
_MEMO = rb"(?:\x94|q.|r.{4}|\n(?:p\d+\n)?)?"  # the pickle's own mark after a text
_TEXT = re.compile(_KEY + _MEMO + rb"(?:\x8c(.)|X(.{4})|V([^\n]{1,40})\n)", re.DOTALL)
_VERSION = re.compile(r"\d[\w.+-]*")


def stated_versions(content: bytes) -> dict[str, str]:
    """Library versions by package name: scikit-learn's where one of its estimators is inside, else none."""
    found = sorted({version for piece in pieces(content) for version in _versions(piece)})
    return {"scikit-learn": ", ".join(found)} if found else {}


def _versions(piece: bytes) -> Iterator[str]:
    for match in _TEXT.finditer(piece):
        short, long, line = match.groups()
        if line is not None:
            text = line
        else:
            size = short[0] if short is not None else int.from_bytes(long, "little")
            text = piece[match.end() : match.end() + min(size, 40)]
        version = text.decode("ascii", errors="replace")
        if _VERSION.fullmatch(version):
            yield version


def schema_of(content: bytes) -> str | None:
    """The schema of a skops file, as text; None where the bytes are no such file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo("schema.json").file_size > _MOST_SCHEMA:
                return None
            return archive.read("schema.json").decode()
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, OSError, ValueError):
        return None


def is_onnx(content: bytes) -> bool:
    """Whether the bytes begin as a model in ONNX does: the version of its format, then a name or a graph."""
    return len(content) > 4 and content[0] == 0x08 and 1 <= content[1] < 0x40 and content[2] in (0x12, 0x1A, 0x22, 0x3A)


def pieces(content: bytes) -> Iterator[bytes]:
    """The bytes after decompression, in pieces that overlap. Damaged ones end early: loading will say so."""
    before = b""
    try:
        with _opened(content) as stream:
            while piece := stream.read(_PIECE):
                yield before + piece
                before = piece[-_OVERLAP:]
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
        return


def is_lz4(content: bytes) -> bool:
    """Whether joblib compressed a file with lz4, which is a library of its own."""
    return content.startswith(b"\x04\x22\x4d\x18")


def _opened(content: bytes) -> IO[bytes] | Any:
    raw = io.BytesIO(content)
    if is_lz4(content) and find_spec("lz4") is not None:
        return import_module("lz4.frame").LZ4FrameFile(raw)
    if content.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if content.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if content.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return lzma.LZMAFile(raw)
    if content[:1] == b"\x78" and content[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return _ZlibStream(content)
    return raw


class _ZlibStream(io.RawIOBase):
    """joblib's own compression: a bare zlib stream."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._inflate = zlib.decompressobj()
        self._rest = content

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none at the end."""
        found = self._inflate.decompress(self._rest, size)
        self._rest = self._inflate.unconsumed_tail
        return found
