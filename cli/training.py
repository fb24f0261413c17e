"""Training from the command line: rows of a file or of a source in, a directory and an artefact out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from cli.connection.client import ApiClient, Json
from cli.errors import GatewayRefused, SourceNotRead, UsageProblem
from cli.output.progress import progress
from model.training.csv_file import read_rows
from model.training.run import TrainingResult, Wish, train
from model.training.source_rows import SourceRows, choose_source_columns, read_source_rows


def train_on_file(path: Path, wish: Wish, *, quiet: bool, source: Json | None = None) -> TrainingResult:
    """Train on a labelled CSV file; `source` is where the model shall find its features.

    Raises DataRefused; and UsageProblem for words of what the source has as true and false.
    """
    rows = read_rows(path, wish.target, drop=wish.drop)
    if source is not None:
        _refuse_words_of_flags(rows, path.name, wish, source)
    with progress(f"training on {path.name}", wish.splits + 1, unit="steps", quiet=quiet) as meter:
        return train(rows, wish, source=path.name, progress=lambda done, _total: meter(done))


def _refuse_words_of_flags(rows: pd.DataFrame, file: str, wish: Wish, source: Json) -> None:
    """The registry would refuse the model (`otherwise_learnt`), after a minute of training."""
    for column in source["columns"]:
        name = str(column["name"])
        if column["type"] != "boolean" or name not in rows or name in (wish.target, *wish.drop):
            continue
        values = rows[name].dropna().unique()
        if len(values) and all(isinstance(value, str) for value in values) and not {"true", "false"} & set(values):
            raise UsageProblem(
                f"{name} is boolean in the source {source['name']}, and in {file} it has words "
                f"({', '.join(map(repr, sorted(values)[:2]))}): no row of the source could match. Write true and false "
                f"into the file, leave the column out with --drop {name}, or let the source have the words: predictq "
                f"clients import FILE --types {name}=text, or a view."
            )


def train_on_source(client: ApiClient, name: str, wish: Wish, *, rows: int | None, quiet: bool) -> TrainingResult:
    """Train on rows of a source, which a worker reads: all of them, or `rows` drawn ones.

    Raises UsageProblem for a column that the source does not offer, DataRefused, GatewayRefused.
    """
    source = client.call("GET", f"/v1/sources/{quote(name, safe='')}")
    wanted = {"columns": wanted_columns(source, wish), "rows": rows, "seed": wish.seed}
    found = _fetch(client, name, wanted, quiet=quiet)
    left_out = dict.fromkeys(wish.drop, "left out as asked")
    columns = choose_source_columns(found, wish.target, left_out=left_out)
    with progress(f"training on {name}", wish.splits + 1, unit="steps", quiet=quiet) as meter:
        return train(
            found.frame,
            replace(wish, drop=()),
            source=f"the source {name}",
            columns=columns,
            unfit=found.unfit,
            progress=lambda done, _total: meter(done),
        )


def wanted_columns(source: Json, wish: Wish) -> list[str]:
    """What is read of a source: all that can be features but those in `wish.drop`, and the target."""
    keys, features, filters = (_names(source[part]) for part in ("key", "columns", "filters"))
    if wish.target in keys:
        raise UsageProblem(f"{wish.target} is the key of {source['name']}: it names a client, and is nothing to learn.")
    if wish.target in wish.drop:
        raise UsageProblem(f"{wish.target} is the target: it cannot be left out with --drop.")
    for name in (wish.target, *wish.drop):
        if name not in (*features, *filters, *keys):
            raise UsageProblem(_unknown(name, str(source["name"]), [*features, *filters]))
    learnt = [name for name in features if name not in wish.drop]
    return learnt if wish.target in learnt else [*learnt, wish.target]


def _unknown(column: str, source: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
    return (
        f"the source {source} has no column {column!r}. It has: {shown}. Was it added to the table since? Then type: "
        f"predictq sources check {source}"
    )


def _fetch(client: ApiClient, name: str, wanted: Mapping[str, Any], *, quiet: bool) -> SourceRows:
    with tempfile.TemporaryDirectory(prefix="predictq-rows-") as directory:
        path = Path(directory) / "rows.arrow"
        with progress(f"reading {name}", None, unit="bytes", quiet=quiet) as meter, path.open("wb") as file:
            try:
                client.source_rows(name, dict(wanted), file, meter)
            except GatewayRefused as refused:
                if refused.codes & {"source_unavailable", "source_failed"}:  # away, locked, slow, or another one now
                    raise SourceNotRead(name, refused) from refused
                raise
        return read_source_rows(path)


def _names(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(column["name"]) for column in columns]
