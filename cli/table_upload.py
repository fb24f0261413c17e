"""`predictq bulk --file`: a table of whatever kind is sent, looked at by a worker, and made a job of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.arguments.quoted import QUOTED, unquoted
from cli.connection.client import ApiClient
from cli.errors import FileRefused, UsageProblem
from cli.output.console import plain_text, remark
from cli.output.progress import progress
from cli.output.words import as_commands
from shared.sentences import count_of, listed_words

TABLE_ENDINGS = (".xlsx", ".xlsm", ".xls", ".parquet", ".pq", ".arrow", ".feather", ".ipc")
_FORMATS = {"xlsx": "workbook of Excel", "parquet": "Parquet", "arrow": "Arrow", "csv": "CSV"}
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ENCODINGS = {"cp1252": "Windows-1252", "utf-16": "UTF-16"}
_SHOWN = 20
_PAIR = re.compile(rf"\s*({QUOTED}|[^=]*?)\s*=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the user says of the file; None where it is to be seen from it."""

    with_features: bool = False
    columns: Sequence[str] = ()
    sheet: str | None = None
    separator: str | None = None
    decimal: str | None = None
    dates: str | None = None
    encoding: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the gateway takes it. Raises UsageProblem."""
        given = {
            "sheet": self.sheet,
            "separator": self.separator,
            "decimal": self.decimal,
            "dates": self.dates,
            "encoding": self.encoding,
        }
        for name, choices in (("decimal", (".", ",")), ("dates", ("dmy", "mdy"))):
            if given[name] not in (None, *choices):
                raise UsageProblem(f"--{name} {given[name]}: {' or '.join(choices)}")
        said = {name: value for name, value in given.items() if value is not None}
        columns = dict(map(_pair, self.columns))
        return {"features": self.with_features, **said, **({"columns": columns} if columns else {})}


def _pair(text: str) -> tuple[str, str]:
    found = _PAIR.fullmatch(text)
    if found is None:
        raise UsageProblem(f"--column {text}: write it as NAME=COLUMN, where COLUMN is the file's")
    return unquoted(found[1].strip()), unquoted(found[2].strip())


def submit_table(
    client: ApiClient, path: Path, options: TableOptions, *, key: str | None, said: dict[str, Any], quiet: bool
) -> dict[str, Any]:
    """Send a file, say what a worker understood of it, and accept the job. Raises FileRefused where it does not fit."""
    order = options.to_json()
    with progress("sending", path.stat().st_size, unit="bytes", quiet=quiet) as meter:
        sent = client.send_file(path, meter)
    look = client.call("POST", f"/v1/uploads/{sent['id']}/look", {"model": said.get("model"), **order})
    if look["problems"]:
        raise FileRefused(_refusal(path, look["problems"]))
    if not quiet:
        remark(understood(look))
        for column in look["columns"]:
            if column.get("null_words"):
                remark(kept_words(column))
    return client.submit({"upload": sent["id"], **order, **said}, key=key)


def kept_words(column: dict[str, Any]) -> str:
    """That a feature holds words which pandas reads as missing, and what to do where nothing is meant."""
    count, words = sum(column["null_words"].values()), listed_words(column["null_words"])
    said = f"{column['name']}: {words} in {count_of(count, 'row')} is kept as a word, which pandas reads as missing"
    return plain_text(f"{said}; where nothing is known, leave the field empty")


def understood(look: dict[str, Any]) -> str:
    """What a worker made of a file, in one line."""
    words = [_FORMATS[look["format"]]]
    if look["sheet"]:
        words.append(f"sheet {look['sheet']}")
    if look["format"] == "csv":
        words.append(f"separated by {_SEPARATORS.get(look['separator'], look['separator'])}")
    if look["encoding"] in _ENCODINGS:
        words.append(_ENCODINGS[look["encoding"]])
    words += sorted({column["written"] for column in look["columns"] if column["written"]})
    rows = count_of(look["rows"], "row") if look["is_whole"] else f"more than {look['rows']:,} rows"
    keys = [column["name"] for column in look["columns"] if column["use"] == "key"]
    features = sum(column["use"] == "feature" for column in look["columns"])
    uses = [f"key {', '.join(keys)}"] if keys else []
    uses += [count_of(features, "feature")] if features else []
    ignored = [column["name"] for column in look["columns"] if column["use"] == "ignored"]
    uses += [f"not used: {', '.join(ignored)[:200]}"] if ignored else []
    return plain_text(f"{', '.join(words)}: {rows}; {'; '.join(uses)}")


def _refusal(path: Path, problems: Sequence[dict[str, Any]]) -> str:
    lines = [f"line {problem['line']}: {as_commands(problem['detail'])}" for problem in problems[:_SHOWN]]
    return plain_text(f"{path}: nothing was sent to be scored. {'; '.join(lines)}")
