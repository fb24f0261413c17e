"""A signature in a file, as `predictq models register --signature` reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import FileRefused
from cli.model_files import read_signature


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"features": [{"name": "a", "name": "b"}]}', "'name' comes twice"),
        (b'{"features": [', "is not JSON"),
        (b"\xff", "is not UTF-8: byte 1"),
    ],
)
def test_a_file_that_means_two_things_or_none_is_refused_with_its_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """Of two values under one key neither is meant for sure, so nothing is sent."""
    path = tmp_path / "signature.json"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=words) as refused:
        read_signature(path)
    assert str(path) in str(refused.value)
