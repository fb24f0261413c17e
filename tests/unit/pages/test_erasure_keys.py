"""Client keys as callers write them, and what names a client in filters and files."""

from __future__ import annotations

from typing import Any

import pytest

from shared.erasure.errors import ClientKeyRefused
from shared.erasure.keys import ClientKey, KeySource, client_key, stored_key
from shared.erasure.naming import is_free_of, names_client, without_client
from shared.pages.key_hash import hash_keys, hash_number, hash_text

SECRET = bytes(range(32))


def source(storage: str, *columns: str) -> KeySource:
    types = ("text", "integer") if columns else ({"int8": "bigint"}.get(storage, storage),)
    return KeySource(3, "s", storage, columns or ("id",), types=types)


@pytest.mark.parametrize(
    ("storage", "given", "canonical"),
    [
        ("int8", 5, "5"),
        ("int8", "5", "5"),
        ("int8", "+005", "5"),
        ("int8", " -7 ", "-7"),
        ("uuid", "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("text", "A 1/ü", "A 1/ü"),
    ],
)
def test_the_canonical_form(storage: str, given: object, canonical: str) -> None:
    """All spellings of a key are one client; what is stored reads back as the same."""
    key = client_key(source(storage), given)
    assert key.text == canonical
    assert stored_key(key.source, key.text) == key


def test_a_composite_key_is_the_array_of_its_parts_in_key_order() -> None:
    """Whatever the order in which the caller names them."""
    both = source("text", "country", "no")
    assert client_key(both, {"no": 17, "country": "FR"}).text == '["FR","17"]'
    with pytest.raises(ClientKeyRefused):
        client_key(both, {"no": 17})
    with pytest.raises(ClientKeyRefused):
        client_key(both, "17")


@pytest.mark.parametrize(
    ("storage", "given"),
    [
        ("int8", "5x"), ("int8", True), ("int8", 2**63), ("int8", -(2**63)), ("int8", 1.0), ("int8", "٥"),
        ("uuid", "a0ee"), ("uuid", 5), ("text", 5), ("text", "a\0b"), ("text", "\ud800"), ("text", "ä" * 501),
        ("text", {"id": "5"}),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_one_is_refused_without_being_repeated(storage: str, given: object) -> None:
    """The refusal says what a key looks like; it goes into answers and logs, so it does not have the key."""
    with pytest.raises(ClientKeyRefused) as refused:
        client_key(source(storage), given)
    assert "5x" not in str(refused.value)
    assert "a0ee" not in str(refused.value)


def test_a_key_hides_from_reprs_and_is_hashed_by_its_type() -> None:
    """A traceback or a log that shows the object does not show the client."""
    number, word = client_key(source("int8"), 483920), client_key(source("text"), "483920")
    assert "483920" not in f"{number!r}{word!r}"
    assert number.hash(SECRET) == hash_number(hash_keys(SECRET, 3), 483920)
    assert word.hash(SECRET) == hash_text(hash_keys(SECRET, 3), "483920")


KEY = ClientKey(source("int8"), 483920)


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (483920, []),
        ("0483920", []),
        ([5, 483920, "483920"], [5]),
        ({"gte": 483920}, {"gte": 483921}),
        ({"gt": 5, "lt": 483920}, {"gt": 5, "lte": 483919}),
        ({"gte": "483920", "lte": 483920}, {"gte": 483921, "lte": 483919}),
        ([5, 4839201], [5, 4839201]),
        (True, True),
        (None, None),
    ],
)
def test_a_filter_without_the_client(content: Any, left: Any) -> None:
    """She is dropped from lists; ranges begin or end beside her; where she is all there is, nobody is selected."""
    assert without_client({"id": content, "age": 483920}, KEY) == {"id": left, "age": 483920}


def test_a_range_that_begins_at_the_last_key_there_can_be() -> None:
    """Nothing lies behind it, so nobody is selected."""
    last = ClientKey(source("int8"), 2**63 - 1)
    assert without_client({"id": {"gte": 2**63 - 1}}, last) == {"id": []}


@pytest.mark.parametrize(
    ("words", "storage", "value", "is_named"),
    [
        ("client 5", "int8", 5, True),
        ("client_005.csv", "int8", 5, True),
        ("Q4 2025, 15 and 5a", "int8", 5, False),
        ("-7", "int8", -7, True),
        ("{A0EEBC999C0B-4EF8BB6D6BB9BD380A11}", "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", True),
        ("to Smith (A.)", "text", "smith (a.)", True),
        ("to Smithson", "text", "smith", False),
    ],
)
def test_a_text_that_names_her(words: str, storage: str, value: int | str, is_named: bool) -> None:
    """Her key is a word of it, however it is spelled; a part of another word is not hers."""
    assert names_client(words, ClientKey(source(storage), value)) is is_named


def test_a_text_that_names_all_columns_of_her_key() -> None:
    """One of them alone is many people's."""
    key = ClientKey(source("text", "country", "no"), '["FR","17"]')
    assert names_client("17 in fr", key)
    assert not names_client("17 in France", key)


@pytest.mark.parametrize(
    ("pieces", "media_type", "is_free"),
    [
        ([b"id\n5\n", b"7\n"], "text/csv", True),
        ([b"id\n4839", b"20\n"], "text/csv", False),
        ([b"id\n5\n"], "application/vnd.apache.parquet", False),
        ([b"i\0d\0"], "text/csv", False),
        ([b'{"id": "\\u0035"}'], "application/json", False),
        ([b"id\n5\n"], "Text/CSV; charset=utf-8", True),
    ],
)
def test_a_file_is_free_of_her_only_where_that_is_certain(pieces: list[bytes], media_type: str, is_free: bool) -> None:
    """Packed files and other encodings are never free; a key that lies across two pieces is found."""
    assert is_free_of(pieces, media_type, KEY) is is_free


def test_other_keys_in_files() -> None:
    """A uuid is found however it is spelled; a text that can be spelled in several ways makes no file free."""
    uuid = ClientKey(source("uuid"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
    assert not is_free_of([b"{A0EEBC999C0B-4EF8BB6D6BB9BD380A11}"], "text/csv", uuid)
    assert is_free_of([b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"], "text/csv", uuid)
    assert not is_free_of([b"nothing"], "text/csv", ClientKey(source("text"), 'a "b"'))
    assert not is_free_of([b"CLIENTX"], "text/csv", ClientKey(source("text"), "clientx"))


SPELLINGS = [("citext", "ABC", "abc"), ("numeric", "1.10", "1.1"), ("char", "a ", "a")]


@pytest.mark.parametrize(("kind", "given", "canonical"), SPELLINGS)
def test_a_client_is_erased_however_her_key_is_spelled(kind: str, given: str, canonical: str) -> None:
    """Pages hold one form of a key: what is erased is looked for in that form, and not as it was typed."""
    source = KeySource(3, "s", "text", ("k",), types=(kind,))
    assert client_key(source, given).text == canonical
