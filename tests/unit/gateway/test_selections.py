"""What the body of a bulk job asks for: clients by their keys, or by a filter, some of them at each step."""

from __future__ import annotations

from typing import Any

import pytest

from api.http.problems import Invalid
from api.intake.client_ids import are_whole_numbers
from api.intake.key_spool import KeySpool
from api.intake.selections import AT_ONCE, filter_steps, job_name, key_steps, listed_keys
from shared.errors import FilterRefused
from shared.jobs.accepting.key_pages import KeyPage
from shared.sources.keys import KeyColumn, KeyForm
from shared.sources.source import Source, SourceColumn

BIGINT = KeyForm((KeyColumn("no", "bigint"),))
INTEGER = KeyForm((KeyColumn("no", "integer"),))
TEXT = KeyForm((KeyColumn("no", "text"),))
PAIR = KeyForm((KeyColumn("no", "bigint"), KeyColumn("part", "text")))
MOST = 2**63 - 1
SOURCE = Source(1, "clients", None, "public", "clients", (KeyColumn("no", "bigint"),), (SourceColumn("age", "bigint"),))


@pytest.mark.parametrize(
    ("values", "are"),
    [
        ([1, -MOST, MOST], True),
        ([], False),
        ([1, MOST + 1], False),
        ([1, -MOST - 1], False),
        ([1, True], False),
        ([1, "1"], False),
        ([1.0], False),
    ],
)
def test_whole_numbers_are_told_at_once(values: list[object], are: bool) -> None:
    """One at least, of 64 bits, and nothing else among them."""
    assert are_whole_numbers(values) is are


LISTS: list[tuple[KeyForm, list[object], KeyPage]] = [
    (BIGINT, [1, 2], KeyPage(b"1,2")),
    (BIGINT, [1, "007"], KeyPage(b"1,7", b'{"1":"007"}')),
    (INTEGER, [1, 2], KeyPage(b"1,2")),
    (TEXT, ["a", "b"], KeyPage(b'"a","b"')),
]


@pytest.mark.parametrize(("form", "ids", "page"), LISTS)
def test_a_list_is_a_page_of_keys(form: KeyForm, ids: list[object], page: KeyPage) -> None:
    """Whichever way it is kept until then; what was written is known where it is not the key's own form."""
    assert list(listed_keys(ids, form).pages(10)) == [page]
    with KeySpool() as spool:
        assert len(list(key_steps(ids * AT_ONCE, form, spool))) == 2
        assert spool.count == 2 * AT_ONCE
        assert next(spool.pages(2)) == page


@pytest.mark.parametrize(
    ("form", "ids"),
    [(INTEGER, [1, 2**31]), (PAIR, [1, 2]), (BIGINT, [1, "x"]), (BIGINT, [1, MOST + 1]), (TEXT, ["a", ["b"]])],
)
def test_what_is_no_key_in_a_list_is_told_by_its_place(form: KeyForm, ids: list[object]) -> None:
    """In a short list as in a long one."""
    before: list[object] = ["a" if form is TEXT else 1] * AT_ONCE if form is not PAIR else []
    with pytest.raises(Invalid) as refused:
        listed_keys(ids, form)
    assert refused.value.flaws[-1].pointer == "/client_ids/1"
    with KeySpool() as spool, pytest.raises(Invalid) as refused:
        list(key_steps([*before, *ids], form, spool))
    assert refused.value.flaws[-1].pointer == f"/client_ids/{len(before) + 1}"


@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
def test_every_value_of_a_filter_is_looked_at(count: int) -> None:
    """The last of a long list, too."""
    values: list[Any] = list(range(count))
    assert len(list(filter_steps({"age": values}, SOURCE, most_values=count))) == -(-count // AT_ONCE)
    with pytest.raises(FilterRefused):
        list(filter_steps({"age": [*values[:-1], "x"]}, SOURCE, most_values=count))
    with pytest.raises(FilterRefused, match="more than"):
        list(filter_steps({"age": values}, SOURCE, most_values=count - 1))


@pytest.mark.parametrize(("length", "is_good"), [(0, False), (1, True), (200, True), (201, False)])
def test_a_name_has_up_to_200_characters(length: int, is_good: bool) -> None:
    """And one at least."""
    name = "ü" * length
    if is_good:
        assert job_name(name) == name
    else:
        with pytest.raises(Invalid, match="1 to 200 printable"):
            job_name(name)
