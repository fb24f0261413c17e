"""What `predictq models register` does with files before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.errors import FileRefused
from cli.model_files import ModelFile, read_signature, register


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


class Silent:
    """A gateway to which nothing may be sent."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


def test_a_file_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    """The command says so at once, by the file's size alone, with what to do."""
    path = tmp_path / "forest.joblib"
    with path.open("wb") as file:
        file.truncate(200_000_001)  # a hole: it takes no room
    with pytest.raises(FileRefused, match=r"forest\.joblib: The file has 200 MB; the most is 200 MB\. .* compress=3"):
        register(Silent(), "forest", ModelFile(path, {}), {}, quiet=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a/b", "a:1", "1st", ""])
def test_a_name_that_no_model_can_have_is_refused_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    """With a slash the gateway would look for another route, and say that there is none."""
    path = tmp_path / "model.joblib"
    path.write_bytes(b"x")
    with pytest.raises(FileRefused, match="begins with a letter, and has no colon or slash"):
        register(Silent(), name, ModelFile(path, {}), {}, quiet=True)  # type: ignore[arg-type]
