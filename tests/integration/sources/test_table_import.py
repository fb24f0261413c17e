"""Tables of users' files in a real PostgreSQL: made, brought up to date, or left exactly as they were."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import Engine, text

from cli.main import main
from cli.table_import import ImportOptions, Plan, import_table
from shared.config import Settings
from shared.files.managed_table import DuplicateKeys, ImportReport
from shared.files.refusals import CellsRefused, TableRefused
from shared.postgres.engine import transaction
from shared.sources.source import read_source, remove_source

Import = Callable[..., ImportReport]
PEOPLE = "no;né le;prime;actif;ville\nP-1;31/12/1999;1 234,50;Oui;Évreux\nP-2;;;Non;\n"


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Import:
    """Imports a file of this content as `people`."""

    def run(content: str, **options: Any) -> ImportReport:
        path = tmp_path / "people.csv"
        path.write_text(content, encoding="utf-8")
        return import_file(engine, path, **options)

    return run


def import_file(engine: Engine, path: Path, **options: Any) -> ImportReport:
    seen: list[Plan] = []
    chosen = ImportOptions(**options)
    plan, report = import_table(engine, path, chosen, on_plan=seen.append, quiet=True)
    assert seen == [plan]
    return report


def query(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def tables(engine: Engine) -> set[str]:
    found = query(
        engine, "SELECT relname FROM pg_class WHERE relnamespace = 'predictq_data'::regnamespace AND relkind = 'r'"
    )
    return {row[0] for row in found}


def test_the_source_of_an_import_says_how_many_rows_it_has(engine: Engine, run: Import) -> None:
    """After each: those that came before are counted, too."""
    for content, rows in ((PEOPLE, 2), (PEOPLE.replace("P-2", "P-3"), 3)):
        run(content, key=["no"])
        assert query(engine, "SELECT measured FROM predictq.sources WHERE name = 'people'") == [
            ({"kind": "table", "rows": rows, "is_exact": True},)
        ]


def test_a_carriage_return_in_a_text_is_kept(engine: Engine, run: Import) -> None:
    """Within quotes it is as good as any other character."""
    assert run('no,note\r\nP-1,"a\rb"\r\nP-2,"c\r\nd\ne"\r\n', key=["no"]) == ImportReport(2, 0, 0)
    assert query(engine, "SELECT note FROM predictq_data.people ORDER BY no") == [("a\rb",), ("c\r\nd\ne",)]


def test_a_number_beyond_a_double_is_named_by_its_line(engine: Engine, run: Import) -> None:
    """And nothing is imported; as a numeric it is taken."""
    content = "no,x\nP-1,1.5\nP-2,1e400\n"
    with pytest.raises(CellsRefused, match="beyond what a double holds"):
        run(content, key=["no"], types=["x=double precision"])
    assert run(content, key=["no"], types=["x=numeric"]) == ImportReport(2, 0, 0)


def test_a_second_import_rounds_no_number(engine: Engine, run: Import) -> None:
    """What the table's doubles cannot hold is named by its line, and nothing is imported."""
    run("no,x\nP-1,1.5\nP-2,2.5\n", key=["no"])
    for number, words in (
        ("9007199254740993", "a whole number of more digits than a double holds"),
        ("-9007199254740993.0", "a whole number of more digits than a double holds"),
        ("1e-400", "nearer to zero than what a double holds"),
        ("-0." + "0" * 50 + "1e-400", "nearer to zero than what a double holds"),
    ):
        with pytest.raises(CellsRefused, match=rf"line 3: x: {number} is {words}: --types COLUMN=numeric"):
            run(f"no,x\nP-1,7\nP-2,{number}\n", key=["no"])
    assert query(engine, "SELECT x FROM predictq_data.people ORDER BY no") == [(1.5,), (2.5,)]
    held = ("9007199254740992", "1e23", "5e-324", "0e-400", "0.1234567890123456789")
    content = "no,x\n" + "".join(f"Q-{place},{number}\n" for place, number in enumerate(held))
    assert run(content, key=["no"]) == ImportReport(5, 0, 0)
    found = query(engine, "SELECT x FROM predictq_data.people WHERE no LIKE 'Q%' ORDER BY no")
    assert found == [(float(number),) for number in held]


def test_a_file_becomes_a_table_and_a_source(engine: Engine, run: Import) -> None:
    """Types, values and key as the file means them; the source names table and key."""
    assert run(PEOPLE, key=["no"]) == ImportReport(2, 0, 0)
    assert query(engine, "SELECT * FROM predictq_data.people ORDER BY no") == [
        ("P-1", dt.date(1999, 12, 31), 1234.5, True, "Évreux"),
        ("P-2", None, None, False, None),
    ]
    assert query(
        engine,
        "SELECT relation_schema, relation_name, key_columns, key_storage, columns->0 FROM predictq.sources "
        "WHERE name = 'people'",
    ) == [
        (
            "predictq_data",
            "people",
            [{"name": "no", "type": "text"}],
            "text",
            {"name": "né le", "type": "date", "nullable": True, "comment": None},
        )
    ]
    names = "SELECT c->>'name' FROM predictq.sources, jsonb_array_elements(columns) c WHERE name = 'people'"
    assert ("no",) not in query(engine, names)  # the key is no feature


def test_a_second_import_writes_what_differs(engine: Engine, run: Import) -> None:
    """By key; rows that are not in the file stay, and those that are the same are not written anew."""
    run(PEOPLE, key=["no"])
    places = dict(query(engine, "SELECT no, ctid::text FROM predictq_data.people"))
    again = "ville;no;né le;prime;actif\nÉvreux;P-1;31/12/1999;1 234,50;Oui\n;P-3;01/02/2000;0,5;Non\n"
    assert run(again) == ImportReport(1, 0, 1)
    assert run(again.replace("0,5", "0,75")) == ImportReport(0, 1, 1)
    after = dict(query(engine, "SELECT no, ctid::text FROM predictq_data.people"))
    assert {key for key, place in places.items() if after[key] != place} == set()
    assert query(engine, "SELECT count(*) FROM predictq.sources WHERE name = 'people'") == [(1,)]


def test_an_import_into_a_removed_source_brings_it_back(engine: Engine, run: Import) -> None:
    """Otherwise nobody would read what was reported as imported."""
    run(PEOPLE, key=["no"])
    with transaction(engine) as connection:
        number = remove_source(connection, "people").id
    assert run(PEOPLE.replace("P-2", "P-3")) == ImportReport(1, 0, 1)
    with transaction(engine) as connection:
        source = read_source(connection, "people")
    assert (source.id, source.measured) == (number, {"kind": "table", "rows": 3, "is_exact": True})


def test_a_table_whose_source_is_another_by_now_is_left_alone(engine: Engine, run: Import) -> None:
    """The source of its name reads another relation: what was imported would be read by nobody."""
    run(PEOPLE, key=["no"])
    with transaction(engine) as connection:
        connection.execute(text("UPDATE predictq.sources SET relation_name = 'others' WHERE name = 'people'"))
    with pytest.raises(TableRefused, match=r"people is of predictq_data\.others by now, .* --source names another"):
        run(PEOPLE.replace("P-2", "P-3"))
    assert query(engine, "SELECT count(*) FROM predictq_data.people") == [(2,)]


def test_a_second_file_is_read_by_the_types_of_the_table(engine: Engine, run: Import) -> None:
    """A column of codes stays one, though the new file has only digits in it."""
    run("id,code,n\n1,A7,1\n")
    assert run("id,code,n\n2,12,5\n") == ImportReport(1, 0, 0)
    assert query(engine, "SELECT code FROM predictq_data.people ORDER BY id") == [("A7",), ("12",)]
    with pytest.raises(CellsRefused, match="line 3: n: 'x' is not a number"):
        run("id,code,n\n3,13,5\n4,14,x\n")
    assert query(engine, "SELECT count(*) FROM predictq_data.people") == [(2,)]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("id,n\n1,5\n,6\n", {}, "line 3 has no id, which is the key"),
        ("a,b,n\n1,2,5\n1,,6\n", {"key": ["a", "b"]}, "line 3 has no b, which is of the key"),
        ("id,n\n1,5\n1,6\n", {}, r"the key \(id\) of line 2 stands again on line 3"),
        ("a,n\n1,5\n", {}, "which column names the client.*--key COLUMN"),
        ("id,n\n1,5\n", {"key": ["x"]}, "--key x: the file has no such column"),
        ("id,n\n1.5,5\n", {}, "--key id: a column of type double precision cannot be a key; add --types 'id=text'"),
        ("id,n\n", {}, "has a header and no row"),
        ("id,n\n1,5\n", {"source": "1a"}, "cannot be called '1a'"),
        ('id,n\n1,5\n2,"6\n', {}, "line 3: a quote opens here"),
    ],
)
def test_a_refused_file_leaves_nothing(
    engine: Engine, run: Import, content: str, options: dict[str, Any], expected: str
) -> None:
    """Neither a table nor a source."""
    before = tables(engine)
    with pytest.raises((TableRefused, DuplicateKeys), match=expected):
        run(content, **options)
    assert tables(engine) == before
    assert query(engine, "SELECT name FROM predictq.sources WHERE name <> 'clients'") == []


def test_other_columns_than_the_table_has_are_refused_with_words(engine: Engine, run: Import) -> None:
    """Which are missing, which are new, and what to do."""
    run("id,a,b\n1,2,3\n")
    with pytest.raises(TableRefused, match="the file lacks b and has c besides, unlike the table people"):
        run("id,a,c\n1,2,3\n")
    with pytest.raises(TableRefused, match=r"has c besides.*--ignore-extra leaves out what is new"):
        run("id,a,b,c\n1,2,3,01/02/2024\n")
    assert run("id,a,b,c\n1,2,4,01/02/2024\n", ignore_extra=True) == ImportReport(0, 1, 0)
    with pytest.raises(TableRefused, match="the key of people is id"):
        run("id,a,b\n1,2,3\n", key=["a"])
    with pytest.raises(TableRefused, match="the column a is integer in the table already"):
        run("id,a,b\n1,2,3\n", types=["a=text"])


def test_a_table_of_somebody_else_is_left_alone(engine: Engine, run: Import) -> None:
    """Only tables that an import made are written to."""
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE predictq_data.people (id integer PRIMARY KEY)"))
    try:
        with pytest.raises(TableRefused, match="was not made by an import"):
            run("id\n1\n")
        assert query(engine, "SELECT count(*) FROM predictq_data.people") == [(0,)]
    finally:
        with transaction(engine) as connection:
            connection.execute(text("DROP TABLE predictq_data.people"))
    with pytest.raises(TableRefused, match="was not made by an import"):
        run("id\n1\n", source="clients")


def test_any_names_will_do(engine: Engine, run: Import) -> None:
    """Quotes, signs with a meaning in SQL or in the driver, our own, other alphabets; and a key of two columns."""
    names = ['a"b', "100 %s", ":x", "select", "line", "c0", "名前", "It's", "a.b", "Key"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    content = f"{header}\n" + ",".join(str(n) for n in range(10)) + "\n"
    assert run(content, key=["select", "100 %s"], source="Unïted %s") == ImportReport(1, 0, 0)
    changed = f"{header}\n" + ",".join(str(n) for n in (7, 1, 2, 3, 4, 5, 6, 7, 8, 9)) + "\n"
    assert run(changed, source="Unïted %s") == ImportReport(0, 1, 0)
    with engine.connect() as connection:
        row = connection.exec_driver_sql('SELECT * FROM predictq_data."Unïted %%s"').one()
    assert tuple(row) == (7, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert list(row._mapping) == names


def test_a_workbook_and_exact_numbers(engine: Engine, tmp_path: Path) -> None:
    """An Excel file by its first sheet; what a double cannot keep is numeric."""
    book = openpyxl.Workbook()
    for line in (["id", "x", "exact"], [1, 0.1, "0.12345678901234567890"], [2, None, "1"]):
        book.active.append(line)
    book.save(tmp_path / "stock list.xlsx")
    assert import_file(engine, tmp_path / "stock list.xlsx") == ImportReport(2, 0, 0)
    assert query(engine, "SELECT * FROM predictq_data.stock_list ORDER BY id") == [
        (1, 0.1, Decimal("0.12345678901234567890")),
        (2, None, Decimal(1)),
    ]


def test_the_command_shows_what_it_understood_before_it_writes(
    engine: Engine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Columns, types, how they are written and what is empty; a refusal is one line and names what to type."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="cp1252")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["predictq", "clients", "import", str(path), *arguments])
        status = main()
        return (status, *capsys.readouterr())

    status, _, refusal = command("--key", "no")
    assert status == 1
    assert "line 1: is not UTF-8 text" in refusal
    assert "--encoding cp1252" in refusal
    status, report, shown = command("--key", "no", "--encoding", "cp1252")
    assert status == 0
    assert "2 rows for people, a new table; the key is no:" in shown
    assert "né le: date (dd/mm/yyyy), 1 empty" in shown
    assert "prime: double precision (decimal comma), 1 empty" in shown
    assert "2 clients: 2 inserted, 0 updated, 0 unchanged" in report
    status, report, _ = command("--encoding", "cp1252", "--json")
    assert (status, json.loads(report)["unchanged"]) == (0, 2)


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
def test_numbers_of_a_file_with_types_stay_what_they_are_in_each_import(
    engine: Engine, tmp_path: Path, ending: str
) -> None:
    """`--decimal` is said of the texts beside them."""
    path = tmp_path / f"people.{ending}"
    columns: dict[str, list[Any]] = {"id": [1, 2], "rate": [0.125, 12.375], "fee": ["1,5", "2,25"]}
    if ending == "parquet":
        parquet.write_table(pa.table(columns), path)
    else:
        book = openpyxl.Workbook()
        for row in (list(columns), *zip(*columns.values(), strict=True)):
            book.active.append(row)
        book.save(path)
    assert import_file(engine, path, decimal=",") == ImportReport(2, 0, 0)
    assert import_file(engine, path, decimal=",") == ImportReport(0, 0, 2)
    assert query(engine, "SELECT rate FROM predictq_data.people ORDER BY id") == [(0.125,), (12.375,)]
