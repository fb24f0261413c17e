"""Client keys: their canonical form, what is refused, and what of the caller's spelling is kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sources.keys import ClientKey, KeyColumn, KeyForm, KeyRefused


def form(*kinds: str) -> KeyForm:
    return KeyForm(tuple(KeyColumn(f"k{number}", kind) for number, kind in enumerate(kinds)))


@pytest.mark.parametrize(
    ("kinds", "storage"),
    [
        (["smallint"], "int8"),
        (["integer"], "int8"),
        (["bigint"], "int8"),
        (["uuid"], "uuid"),
        *(([kind], "text") for kind in ("numeric", "text", "varchar", "char", "citext", "date")),
        (["integer", "integer"], "text"),
        (["uuid", "uuid"], "text"),
    ],
)
def test_the_storage_follows_from_the_columns(kinds: list[str], storage: str) -> None:
    """One integer or UUID has an array of its own kind; all else is text."""
    assert form(*kinds).storage == storage


@pytest.mark.parametrize(
    ("kind", "given", "canonical", "spelled"),
    [
        ("bigint", 5, "5", None),
        ("bigint", "5", "5", "5"),  # the JSON type comes back as it was given
        ("bigint", "+005", "5", "+005"),
        ("bigint", -0, "0", None),
        ("bigint", 2**63 - 1, "9223372036854775807", None),
        ("smallint", " -32768\t", "-32768", " -32768\t"),
        ("numeric", "1.10", "1.1", "1.10"),
        ("numeric", "1.1", "1.1", None),
        ("numeric", "-0.00", "0", "-0.00"),
        ("numeric", "12e2", "1200", "12e2"),
        ("numeric", ".5", "0.5", ".5"),
        ("numeric", "nan", "NaN", "nan"),
        ("text", " Ab ", " Ab ", None),
        ("text", "", "", None),
        ("varchar", "007", "007", None),
        ("char", "ab   ", "ab", "ab   "),
        ("char", " a\t ", " a\t", " a\t "),
        ("citext", "ÉCOLE", "école", "ÉCOLE"),
        ("citext", "İΣ", "İΣ", None),  # their small forms are others in each locale
        ("citext (A-Z)", "ÉcolE", "École", "ÉcolE"),
        ("uuid", "{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ...),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None),
        ("date", "20250201", "2025-02-01", "20250201"),
        ("date", "2024-02-29", "2024-02-29", None),
        ("date", "0044-03-15 BC", "0044-03-15 BC", None),
        ("date", "infinity", "infinity", None),
        ("date", "12025-12-31", "12025-12-31", None),
    ],
)
def test_spellings_of_one_value_have_one_form(kind: str, given: Any, canonical: str, spelled: Any) -> None:
    """What PostgreSQL takes for equal is one client, and the caller's own spelling is kept beside it."""
    assert form(kind).parse(given) == ClientKey(canonical, given if spelled is ... else spelled)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *((kind, given) for kind in ("bigint", "numeric", "text", "date") for given in (1.0, True, None, [], {}, b"1")),
        ("bigint", -(2**63)),  # stands for a row that names no client
        ("bigint", 2**63),
        ("integer", 2**31),
        ("smallint", 40_000),
        ("bigint", "1.0"),
        ("bigint", "1_000"),
        ("bigint", "0x10"),
        ("bigint", "١"),
        ("bigint", ""),
        ("numeric", 5),  # a JSON number is for integers only
        ("numeric", "1,5"),
        ("numeric", "1e999999999"),
        ("numeric", "1e1000"),
        ("numeric", "1e-2000"),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("text", "é" * 501),
        ("citext", "Ⱥ" * 400),  # 800 bytes, and 1,200 when small
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"),
        ("uuid", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("date", "2025-02-29"),
        ("date", "01/02/2025"),
        ("date", "0000-01-01"),
        ("date", "4714-11-23 BC"),
        ("date", "5874898-01-01"),
        ("date", "2025-02-01 12:00"),
    ],
)
def test_what_is_none_of_the_type_is_refused(kind: str, given: Any) -> None:
    """By name, and the words do not repeat the value."""
    with pytest.raises(KeyRefused) as caught:
        form(kind).parse(given)
    assert not isinstance(given, str) or len(given) < 2 or given not in caught.value.detail


@pytest.mark.parametrize(
    ("given", "canonical", "spelled"),
    [
        ({"k0": "FR", "k1": 17}, '["FR","17"]', None),
        ({"k1": 17, "k0": "FR"}, '["FR","17"]', None),  # the order of members means nothing in JSON
        ({"k0": "FR", "k1": "17"}, '["FR","17"]', {"k0": "FR", "k1": "17"}),
        (["FR", 17], '["FR","17"]', None),
        ({"k0": 'é"\\', "k1": -1}, '["é\\"\\\\","-1"]', None),
    ],
)
def test_a_composite_key_is_the_array_of_its_columns(given: Any, canonical: str, spelled: Any) -> None:
    """In key order, whatever the caller's order; what comes back is an object."""
    key = form("text", "integer").parse(given)
    assert key == ClientKey(canonical, spelled)
    assert form("text", "integer").parse(form("text", "integer").natural(canonical)) == ClientKey(canonical, None)


@pytest.mark.parametrize(
    "given",
    [
        {"k0": "FR"},
        {"k0": "FR", "k1": 17, "k2": 1},
        ["FR"],
        "FR",
        17,
        {"k0": "FR", "k1": 1.5},
        {"k0": "a" * 600, "k1": 1},
    ],
)
def test_a_composite_key_has_all_its_columns_and_no_other(given: Any) -> None:
    """At most 1,000 bytes in all."""
    if isinstance(given, dict) and given.get("k0") == "a" * 600:
        with pytest.raises(KeyRefused, match="1,000 bytes in all"):
            form("text", "text").parse({"k0": "a" * 600, "k1": "b" * 600})
        return
    with pytest.raises(KeyRefused):
        form("text", "integer").parse(given)


@pytest.mark.parametrize(
    ("kinds", "text", "canonical", "spelled"),
    [
        (["bigint"], "5", "5", None),  # digits are what a file has for a number
        (["bigint"], "005", "5", "005"),
        (["text"], "005", "005", None),
        (["text", "integer"], '{"k0":"FR","k1":17}', '["FR","17"]', None),
        (["text", "integer"], '["FR", 17]', '["FR","17"]', None),
    ],
)
def test_a_field_of_a_file_is_a_key_too(kinds: list[str], text: str, canonical: str, spelled: Any) -> None:
    """Composite keys are JSON there, or have a column each."""
    assert form(*kinds).parse_text(text) == ClientKey(canonical, spelled)


def test_the_columns_of_a_composite_key_can_be_fields() -> None:
    """As in a file with its columns, or `COUNTRY=FR NO=17` on a command line."""
    key = form("text", "integer")
    assert key.parse_fields({"k1": "17", "k0": "FR"}) == ClientKey('["FR","17"]', None)
    assert key.parse_fields({"k0": "FR", "k1": "017"}) == ClientKey('["FR","17"]', {"k0": "FR", "k1": "017"})
    assert form("integer").parse_fields({"k0": "7"}) == ClientKey("7", None)
    for wrong in ({"k0": "FR"}, {"k0": "FR", "k1": "x"}, {}):
        with pytest.raises(KeyRefused):
            key.parse_fields(wrong)


@pytest.mark.parametrize("text", ["", "{", "[1", "null", '"a"', "[" * 100_000])
def test_what_is_no_composite_key_is_refused_in_words(text: str) -> None:
    """Whatever the JSON."""
    with pytest.raises(KeyRefused):
        form("text", "integer").parse_text(text)


def test_an_empty_field_names_nobody() -> None:
    """A file cannot say whether it is an empty text or none."""
    with pytest.raises(KeyRefused, match="is empty"):
        form("text").parse_text("")


def test_a_key_stands_in_no_log() -> None:
    """Neither does what the caller wrote."""
    assert "P-17" not in repr(form("citext").parse("P-17"))


@given(st.sampled_from(["text", "varchar", "char", "citext"]), st.text(max_size=200))
def test_any_text_has_one_form_or_is_refused(kind: str, text: str) -> None:
    """And a form is its own form: parsing it again changes nothing."""
    try:
        key = form(kind).parse(text)
    except KeyRefused:
        assert (
            "\0" in text
            or len(text.encode(errors="surrogatepass")) > 100
            or any("\ud800" <= c <= "\udfff" for c in text)
        )
        return
    assert form(kind).parse(key.canonical) == ClientKey(key.canonical, None)
    assert form(kind).natural(key.canonical) == key.canonical


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), min_size=2, max_size=4
    )
)
def test_composite_keys_are_told_apart(parts: list[str]) -> None:
    """No two different keys have one form, whatever separators stand in them."""
    key = form(*["text"] * len(parts))
    canonical = key.parse(parts).canonical
    assert key.parts(canonical) == parts
    assert key.join(parts) == canonical
    assert list(key.natural(canonical).values()) == parts
