"""The filters of pages, asked in SQL."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from shared.pages.key_filter import BLOCK_NUMBER_SQL, BLOCK_SQL, HOLDS_SQL, block_holds, block_of
from shared.pages.key_hash import hash_keys, hash_number
from worker.pages.key_filter import build_filter
from worker.pages.key_hash import hash_numbers

KEYS = hash_keys(bytes(range(32)), 1)
SIZES = [64, 85, 86, 1_000, 10_000, 3]
PEOPLE = [0, 1, 63, 64, 5_000, 12_345, 99_999_999]


@pytest.fixture
def connection(engine: Engine) -> Connection:
    """A connection with pages of these sizes, whose keys are the numbers from 0 on, and one without a filter."""
    connection = engine.connect()
    connection.execute(text("CREATE TEMPORARY TABLE filtered (id integer, key_filter bytea)"))
    connection.execute(text("ALTER TABLE filtered ALTER key_filter SET STORAGE EXTERNAL"))
    for number, size in enumerate(SIZES):
        row = {"id": number, "filter": build_filter(hash_numbers(KEYS, np.arange(size)))}
        connection.execute(text("INSERT INTO filtered VALUES (:id, :filter)"), row)
    connection.execute(text("INSERT INTO filtered VALUES (99, NULL)"))
    return connection


@pytest.mark.parametrize("key", PEOPLE)
def test_sql_and_python_read_the_same_block(connection: Connection, key: int) -> None:
    """One statement gives each page's block and its number, and Python finds the key in it."""
    key_hash = hash_number(KEYS, key)
    statement = text(
        f"SELECT id, length(key_filter) / 64, {BLOCK_NUMBER_SQL}, {BLOCK_SQL} FROM filtered "
        "WHERE key_filter IS NOT NULL ORDER BY id"
    )
    for number, blocks, block_number, block in connection.execute(statement, {"key_hash": key_hash}):
        assert block_number == block_of(key_hash, blocks)
        assert len(block) == 64
        assert block_holds(block, key_hash) or key >= SIZES[number]
    connection.close()


@pytest.mark.parametrize("key", PEOPLE)
def test_sql_tests_the_bits_as_python_does(connection: Connection, key: int) -> None:
    """The condition finds the pages that Python finds, and never one without a filter."""
    key_hash = hash_number(KEYS, key)
    blocks = connection.execute(
        text(f"SELECT id, {BLOCK_SQL} FROM filtered WHERE key_filter IS NOT NULL"), {"key_hash": key_hash}
    )
    expected = sorted(number for number, block in blocks if block_holds(block, key_hash))
    found = connection.scalars(text(f"SELECT id FROM filtered WHERE {HOLDS_SQL} ORDER BY id"), {"key_hash": key_hash})
    assert list(found) == expected
    assert {number for number, size in enumerate(SIZES) if key < size} <= set(expected)
    connection.close()
