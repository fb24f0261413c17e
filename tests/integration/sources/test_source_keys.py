"""Keys beside a real PostgreSQL: its own text of a value is the canonical form; and the table of sources."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, text

from devstack.servers.postgres import EmbeddedPostgres
from model.artefact import build_artefact
from shared.errors import ModelRefused
from shared.models.registry import promote_version, retire_version, withdraw_model
from shared.postgres.engine import transaction
from shared.sources.errors import SourceExists, SourceInUse, SourceRefused, SourceUnknown
from shared.sources.filter_values import value_text
from shared.sources.key_types import UNSETTLED_LETTERS, Unfit
from shared.sources.keys import KeyColumn, KeyForm, KeyRefused
from shared.sources.source import (
    Source,
    SourceColumn,
    add_source,
    get_source,
    list_sources,
    read_source,
    remove_source,
    update_source,
)
from tests.models import SIGNATURE, TestModel
from tests.support import add_model, register_artefact

# What the server itself makes of a key: the form that the pages have.
_FORMS = {
    "smallint": "CAST(CAST(:key AS smallint) AS text)",
    "integer": "CAST(CAST(:key AS integer) AS text)",
    "bigint": "CAST(CAST(:key AS bigint) AS text)",
    "numeric": "CAST(trim_scale(CAST(:key AS numeric)) AS text)",
    "text": "CAST(:key AS text)",
    "varchar": "CAST(CAST(:key AS varchar) AS text)",
    "char": "CAST(CAST(:key AS bpchar) AS text)",
    # As a database compares citext whose locale knows letters beyond ASCII; that of the tests does not.
    "citext": "lower(CAST(CAST(:key AS citext) AS text) COLLATE pg_c_utf8)",
    "citext (A-Z)": "lower(CAST(CAST(:key AS citext) AS text))",
    "uuid": "CAST(CAST(:key AS uuid) AS text)",
    "date": "CAST(CAST(:key AS date) AS text)",
}
_LETTERS = st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0"), max_size=40)
_UUIDS = st.builds(
    lambda value, upper, braces, hyphens: _spell(value, upper=upper, braces=braces, hyphens=hyphens),
    *(st.uuids(), st.booleans(), st.booleans(), st.lists(st.booleans(), min_size=7, max_size=7)),
)
_SPELLINGS = {
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(lambda n: f" {n:+07d}\t"),
    "bigint": st.integers(-(2**63) + 1, 2**63 - 1).map(str),
    "numeric": st.one_of(
        st.decimals(allow_nan=True, allow_infinity=True).map(str),
        st.from_regex(r"\A[+-]?(0{0,3}[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,9})([eE][+-]?[0-9]{1,2})?\Z"),
    ),
    "text": _LETTERS,
    "varchar": _LETTERS,
    "char": _LETTERS.map(lambda text: text + "  "),
    "citext": _LETTERS.filter(lambda text: not set(text) & set(UNSETTLED_LETTERS)),
    "citext (A-Z)": _LETTERS,
    "uuid": _UUIDS,
    "date": st.one_of(
        st.dates().map(str),
        st.dates(date(1000, 1, 1)).map(lambda day: day.strftime("%Y%m%d")),
        st.tuples(st.integers(1, 4713), st.integers(1, 12), st.integers(1, 31)).map(
            lambda parts: f"{parts[0]:04}-{parts[1]:02}-{parts[2]:02} BC"
        ),
        st.tuples(st.integers(10_000, 5_874_897), st.integers(1, 12), st.integers(1, 31)).map(
            lambda parts: f"{parts[0]}-{parts[1]:02}-{parts[2]:02}"
        ),
        st.sampled_from(["infinity", "-infinity"]),
    ),
}


def _spell(value: uuid.UUID, *, upper: bool, braces: bool, hyphens: list[bool]) -> str:
    groups = [value.hex[at : at + 4] for at in range(0, 32, 4)]
    text = "".join(group + "-" * hyphen for group, hyphen in zip(groups, [*hyphens, False], strict=True))
    text = text.upper() if upper else text
    return f"{{{text}}}" if braces else text


@pytest.fixture(scope="module")
def server(postgres: EmbeddedPostgres) -> Iterator[Connection]:
    """A connection in autocommit to a server with citext."""
    engine = create_engine(
        postgres.url, isolation_level="AUTOCOMMIT", connect_args={"options": "-c client_encoding=UTF8"}
    )
    with engine.connect() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS citext"))
        yield connection
    engine.dispose()


@pytest.mark.parametrize("kind", _FORMS)
def test_the_form_is_postgresqls_own_text(server: Connection, kind: str) -> None:
    """What is taken is written as the server writes it; what it refuses is refused here."""
    key = KeyForm((KeyColumn("k", kind),))

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(_SPELLINGS[kind])
    @example("2025-02-29" if kind == "date" else " 7 ")
    def check(spelling: str) -> None:
        theirs = _theirs(server, kind, spelling)
        try:
            ours: str | None = key.parse(spelling).canonical
        except KeyRefused:
            ours = None
        assert ours == theirs

    check()


def _theirs(server: Connection, kind: str, spelling: str) -> str | None:
    is_valid = server.execute(
        text("SELECT pg_input_is_valid(:key, :kind)"),
        {"key": spelling, "kind": {"char": "bpchar", "citext (A-Z)": "citext"}.get(kind, kind)},
    ).scalar_one()
    if not is_valid:
        return None
    found = server.execute(text(f"SELECT {_FORMS[kind]}"), {"key": spelling}).scalar_one()
    return str(found) if len(str(found).encode()) <= 1000 else None


_NUMBERS = st.one_of(
    *(st.integers(), st.floats(), st.floats(width=32)),
    st.builds(
        lambda digits, point, exponent: f"{digits}{point}e{exponent}",
        st.integers(-(10**20), 10**20), st.sampled_from(["", ".", ".0", ".5"]), st.integers(-450, 450),
    ),
)  # fmt: skip
_OF_FILTERS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["real", "double precision", "numeric", "smallint", "integer", "bigint"], _NUMBERS),
    "timestamp": st.datetimes().map(str),
    "timestamptz": st.datetimes(timezones=st.timezones()).map(str),
    "date": st.dates().map(str),
}


@pytest.mark.parametrize("kind", _OF_FILTERS)
def test_what_a_filter_takes_is_a_value_for_postgresql(server: Connection, kind: str) -> None:
    """Nothing is accepted with a 202 that a worker's query then cannot be asked with."""

    @settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
    @given(_OF_FILTERS[kind])
    def check(value: object) -> None:
        try:
            taken = value_text(kind, value)
        except Unfit:
            return
        query = text("SELECT pg_input_is_valid(:value, :kind)")
        assert server.execute(query, {"value": taken, "kind": kind}).scalar_one(), taken

    check()


def _source(**changes: Any) -> Source:
    source = Source(
        id=0,
        name="policyholders",
        url_variable="CRM_URL",
        schema="crm",
        relation='policy "holders"',
        key=(KeyColumn("country", "char"), KeyColumn("no", "integer")),
        columns=(SourceColumn("Âge", "smallint", nullable=False, comment="in years"),),
        filters=(SourceColumn("région", "text"),),
        settings={"lock": 5},
        measured={"rows": 7},
    )
    return replace(source, **changes)


def test_a_source_is_read_back_as_it_was_added(engine: Engine) -> None:
    """By name, by number, and in the list."""
    with transaction(engine) as connection:
        added = add_source(connection, _source())
        assert added == _source(id=added.id)
        assert read_source(connection, "policyholders") == get_source(connection, added.id) == added
        assert added in list_sources(connection)
        update_source(connection, replace(added, is_scan=True, measured={"rows": 8}))
        assert read_source(connection, "policyholders") == replace(added, is_scan=True, measured={"rows": 8})
        assert added.key_form.storage == "text"
        assert added.column("Âge") == added.columns[0]


def test_a_removed_source_stays_readable_and_can_come_back(engine: Engine) -> None:
    """By its number; its name is free for the same keys only, for its pages have them."""
    with transaction(engine) as connection:
        added = add_source(connection, _source())
        with pytest.raises(SourceExists, match="there already"):
            add_source(connection, _source())
        remove_source(connection, "policyholders")
        with pytest.raises(SourceUnknown):
            read_source(connection, "policyholders")
        assert get_source(connection, added.id).is_removed
        assert added not in list_sources(connection)
        with pytest.raises(SourceExists, match="was removed"):
            add_source(connection, _source(key=(KeyColumn("no", "integer"),)))
        assert add_source(connection, _source(relation="other")).id == added.id


def test_a_source_that_a_live_model_reads_is_not_removed(engine: Engine) -> None:
    """The model is named, with what can be done: a live version is not retired."""
    version = add_model(engine)
    with transaction(engine) as connection, pytest.raises(SourceInUse) as caught:
        remove_source(connection, "clients")
    (model,) = caught.value.models
    assert f"the live version of {model} reads it." in str(caught.value)
    assert str(caught.value).endswith(f"out of service: predictq models withdraw {model} --reason REASON")
    assert "live versions of a, b read it." in str(SourceInUse("clients", ["a", "b"]))
    with transaction(engine) as connection, pytest.raises(ModelRefused, match="is live"):
        retire_version(connection, version)
    with transaction(engine) as connection:
        assert withdraw_model(connection, model).id == version
        assert remove_source(connection, "clients").is_removed
        assert retire_version(connection, version).retired_at is not None


def test_the_source_of_the_live_version_counts(engine: Engine) -> None:
    """A version of another source was promoted since: the old source may go, the new one may not."""
    add_model(engine)
    with transaction(engine) as connection:
        other = add_source(connection, _source())
        artefact = build_artefact(TestModel(), SIGNATURE, 0.6, name="test")
        promote_version(connection, register_artefact(connection, artefact, source_name=other.name))
        with pytest.raises(SourceInUse):
            remove_source(connection, other.name)
        assert remove_source(connection, "clients").is_removed


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "1st"},
        {"name": "a\nb"},
        {"name": "a" * 101},
        {"key": ()},
        {"key": (KeyColumn("k", "jsonb"),)},
        {"key": (KeyColumn("k", "text"), KeyColumn("k", "text"))},
    ],
)
def test_what_cannot_be_a_source_is_refused(engine: Engine, changes: dict[str, Any]) -> None:
    """Before anything is written."""
    with transaction(engine) as connection, pytest.raises(SourceRefused):
        add_source(connection, _source(**changes))
