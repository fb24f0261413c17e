"""What large calls took is given back."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from api.server import memory
from api.server.memory import MemoryKeeper
from shared.process_memory import own_bytes

BLOCKS, BYTES = 5_000, 10_000


@pytest.fixture
def free_blocks() -> Iterator[None]:
    """50 MB that the C library has and nobody uses, below a block that is in use."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = [library.malloc(BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BYTES)
    for block in blocks[:-1]:
        library.free(block)
    yield
    library.free(blocks[-1])


@pytest.mark.skipif(memory._find_trim() is None, reason="another C library: nothing is given back by hand")
def test_free_memory_is_given_back(request: pytest.FixtureRequest) -> None:
    """It is seen by its growth, and gone after; what is left is no growth."""
    keeper = MemoryKeeper()
    keeper.give_back()  # what other tests left: the blocks would be made of it
    assert not keeper.has_grown()
    request.getfixturevalue("free_blocks")
    before = own_bytes()
    assert keeper.has_grown()
    keeper.give_back()
    assert before - own_bytes() > BLOCKS * BYTES * 0.8
    assert not keeper.has_grown()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at, for nothing could be done."""
    monkeypatch.setattr(memory, "_find_trim", lambda: None)
    keeper = MemoryKeeper()
    keeper._smallest = -(1 << 40)
    assert not keeper.has_grown()
    keeper.give_back()
