"""Loading clients into a real PostgreSQL: all or nothing, and only what differs is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from cli.client_load import import_file
from shared.postgres.engine import transaction
from shared.sources.clients import (
    DuplicateClients,
    LoadReport,
    create_clients_table,
    load_clients,
)
from shared.sources.sample_features import CLIENT_FEATURE_NAMES


def line(client_id: int, age: int | str = 41, department: str = "Sales", number: int | None = None) -> bytes:
    values = dict.fromkeys(CLIENT_FEATURE_NAMES, "") | {"age": age, "department": department}
    target = io.StringIO()
    head = [client_id] if number is None else [number, client_id]
    csv.writer(target).writerow([*head, *values.values()])
    return target.getvalue().encode()


def clients_of(engine: Engine) -> dict[int, int]:
    """{client id: age}."""
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT client_id, age FROM predictq_data.clients"))
        return {row.client_id: row.age for row in rows}


def places_of(engine: Engine) -> dict[int, str]:
    """Where each client's row lies: a row that is written anew lies elsewhere."""
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT client_id, ctid::text AS place FROM predictq_data.clients"))
        return {row.client_id: row.place for row in rows}


def test_only_changed_rows_are_written(engine: Engine) -> None:
    """A nightly reload of mostly unchanged clients writes those that differ, and removes none."""
    assert load_clients(engine, [line(1), line(2), line(3)]) == LoadReport(3, 0, 0)
    before = places_of(engine)
    assert load_clients(engine, [line(1), line(2, age=42), line(4)]) == LoadReport(1, 1, 1)
    assert clients_of(engine) == {1: 41, 2: 42, 3: 41, 4: 41}
    after = places_of(engine)
    assert {number for number, place in before.items() if after[number] != place} == {2}


def test_null_and_value_differ_both_ways(engine: Engine) -> None:
    """An emptied field is a change, and so is a filled one; two empty ones are none."""
    load_clients(engine, [line(1, age="")])
    assert load_clients(engine, [line(1, age="")]).unchanged == 1
    assert load_clients(engine, [line(1, age=30)]).updated == 1
    assert load_clients(engine, [line(1, age="")]).updated == 1


def test_a_client_that_comes_twice_is_refused_with_both_lines_and_nothing_is_written(engine: Engine) -> None:
    """Which of two rows counts is not for us to guess."""
    with pytest.raises(DuplicateClients, match="client 7 stands on line 3 and on line 9") as caught:
        load_clients(engine, [line(8, number=2), line(7, number=3), line(7, number=9)], numbered=True)
    assert [(found.client_id, found.lines) for found in caught.value.found] == [(7, (3, 9))]
    assert clients_of(engine) == {}


def test_a_source_that_fails_half_way_leaves_nothing_and_keeps_its_own_error(engine: Engine) -> None:
    """A full disk, or Ctrl-C, in the middle of a load is named as what it is, not as a failing server."""

    def pieces(failure: BaseException) -> Iterator[bytes]:
        yield line(1)
        raise failure

    with pytest.raises(ZeroDivisionError):
        load_clients(engine, pieces(ZeroDivisionError()))
    with pytest.raises(KeyboardInterrupt):
        load_clients(engine, pieces(KeyboardInterrupt()))
    assert clients_of(engine) == {}


def test_the_public_data_set_is_imported_and_imported_again_without_change(
    engine: Engine, reference_csv: Path | None, tmp_path: Path
) -> None:
    """The file as people download it loads, and loading it twice changes nothing."""
    path, expected = (reference_csv, 1470) if reference_csv else (_small_file(tmp_path), 3)
    assert import_file(engine, path, ignore_extra=True, quiet=True) == LoadReport(expected, 0, 0)
    assert import_file(engine, path, ignore_extra=True, quiet=True) == LoadReport(0, 0, expected)


def _small_file(directory: Path) -> Path:
    path = directory / "clients.csv"
    header = ",".join(["client_id", *CLIENT_FEATURE_NAMES, "Attrition"]).encode()
    path.write_bytes(b"\n".join([header, *(line(number).strip() + b",0" for number in (1, 2, 3))]))
    return path


def test_making_the_table_again_changes_nothing(engine: Engine) -> None:
    """It is made where it is missing, with its entry among the sources; clients that are there stay."""
    load_clients(engine, [line(1)])
    for _ in range(2):
        with transaction(engine) as connection:
            create_clients_table(connection)
    assert clients_of(engine) == {1: 41}
    with transaction(engine) as connection:
        query = "SELECT name, relation_schema, relation_name, key_storage FROM predictq.sources"
        assert [tuple(row) for row in connection.execute(text(query))] == [
            ("clients", "predictq_data", "clients", "int8")
        ]
