"""`predictq clients import`: any table in a file becomes a managed table, or brings one up to date."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from cli.output.progress import progress
from shared.files.column_types import Dress
from shared.files.csv_table import CsvTable
from shared.files.managed_table import KEY_TYPES, ImportReport, ManagedTable, import_rows, read_managed, require_name
from shared.files.refusals import TableRefused
from shared.files.table import MOST_NAME_BYTES, Column, TableFile, converted_rows, infer, parse_types
from shared.postgres.engine import transaction

EXCEL = (".xlsx", ".xlsm")
ARROW = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
_USUAL_KEYS = ("client_id", "id")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says of the file; None and nothing where it is to be seen from the file."""

    source: str | None = None
    key: Sequence[str] = ()
    types: Sequence[str] = ()
    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    ignore_extra: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import is about to do."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: int
    is_new: bool


def open_table(path: Path, options: ImportOptions) -> TableFile:
    """The file as a table, by its ending. Raises TableRefused."""
    ending = path.suffix.lower()
    if ending in EXCEL:
        from model.files.excel_table import ExcelTable  # noqa: PLC0415 - openpyxl is not needed for CSV

        return ExcelTable(path, sheet=options.sheet)
    if ending in ARROW:
        from model.files.arrow_table import ArrowTable  # noqa: PLC0415 - nor is pyarrow

        table = ArrowTable(path)
        for name in table.names:
            table.type_of(name)  # here all columns are taken
        return table
    if ending == ".xls":
        raise TableRefused(f"{path}: workbooks of the old format .xls cannot be read; save it as .xlsx or as CSV")
    return CsvTable(path, separator=options.separator, encoding=options.encoding)


def import_table(
    engine: Engine, path: Path, options: ImportOptions, *, on_plan: Callable[[Plan], None], quiet: bool
) -> tuple[Plan, ImportReport]:
    """Read the whole file, tell `on_plan` what was understood, then write it in one transaction.

    Raises TableRefused, CellsRefused, OpenTypes, DuplicateKeys, with nothing written.
    """
    if options.decimal not in {None, ".", ","}:
        raise TableRefused(f"--decimal {options.decimal}: . or ,")
    name = options.source or default_name(path)
    require_name(name)
    table = open_table(path, options)
    with transaction(engine) as connection:
        present = read_managed(connection, name)
    if present is not None:
        _require_same(table.names, present, options)
    with progress("reading", None, quiet=quiet) as meter:
        types = _types(table, present, options)
        columns, rows = infer(table, types, decimal=options.decimal, most_name_bytes=MOST_NAME_BYTES, on_row=meter)
    if not rows:
        raise TableRefused(f"{path} has a header and no row")
    plan = _planned(name, columns, rows, present, options)
    on_plan(plan)
    with progress("writing", rows, quiet=quiet) as meter:
        found = converted_rows(table, plan.columns, on_row=meter)
        return plan, import_rows(engine, name, plan.columns, plan.key, found)


def default_name(path: Path) -> str:
    """The source's name where none is given: that of the file, in letters, digits and underscores."""
    return re.sub(r"[^\w]+", "_", path.stem).strip("_").lower()


def _types(
    table: TableFile, present: ManagedTable | None, options: ImportOptions
) -> dict[str, tuple[str, Dress | None]]:
    """What the types are in any case: the table's, where there is one, else the user's."""
    given = parse_types(options.types)
    if present is None:
        return given
    changed = [name for name, (kind, _) in given.items() if present.types.get(name, kind) != kind]
    if changed:
        name = changed[0]
        raise TableRefused(
            f"the column {name} is {present.types[name]} in the table already and cannot become {given[name][0]}; "
            "import under another name: --source"
        )
    known = {name: given.get(name, (kind, None)) for name, kind in present.types.items() if name in table.names}
    extra = [name for name in table.names if name not in present.types] if options.ignore_extra else []
    return {**dict.fromkeys(extra, ("text", None)), **known}


def _planned(
    name: str, columns: Sequence[Column], rows: int, present: ManagedTable | None, options: ImportOptions
) -> Plan:
    if present is None:
        return Plan(name, _key(columns, options.key), tuple(columns), rows, is_new=True)
    return Plan(name, present.key, tuple(c for c in columns if c.name in present.types), rows, is_new=False)


def _require_same(names: Sequence[str], present: ManagedTable, options: ImportOptions) -> None:
    """Raises TableRefused where a file has other columns than the table, or another key is asked for."""
    if options.key and tuple(options.key) != present.key:
        key = ", ".join(present.key)
        raise TableRefused(f"the key of {present.name} is {key}; another key needs another name: --source")
    extra = [name for name in names if name not in present.types]
    missing = [name for name in present.types if name not in names]
    if missing or (extra and not options.ignore_extra):
        words = [f"lacks {', '.join(missing)}"] if missing else []
        words += [f"has {', '.join(extra)} besides"] if extra else []
        hint = "; --ignore-extra leaves out what is new" if extra and not missing else ""
        raise TableRefused(
            f"nothing was imported: the file {' and '.join(words)}, unlike the table {present.name}. "
            f"Change the file, or import it under another name: --source{hint}"
        )


def _key(columns: Sequence[Column], given: Sequence[str]) -> tuple[str, ...]:
    """The columns of the key. Raises TableRefused."""
    by_name = {column.name: column for column in columns}
    key = tuple(given) or tuple(name for name in by_name if name.lower() in _USUAL_KEYS)[:1]
    names = ", ".join(by_name)[:500]
    if not key:
        raise TableRefused(f"which column names the client? Say it by --key COLUMN; the file has {names}")
    for name in key:
        if name not in by_name:
            raise TableRefused(f"--key {name}: the file has no such column; it has {names}")
        if by_name[name].type not in KEY_TYPES:
            kind = by_name[name].type
            raise TableRefused(f"--key {name}: a column of type {kind} cannot be a key; add --types '{name}=text'")
    return key
