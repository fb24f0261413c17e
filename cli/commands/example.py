"""`predictq example`: the data and the models of an example, beside a stack that runs."""

# ruff: noqa: PLC0415 - pandas and scikit-learn take 2 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.output.console import AsJson, plain_text, say, say_json
from shared.sentences import count_of

app = typer.Typer(no_args_is_help=True, help="Load the data of an example, or train its models.")

Name = Annotated[str, typer.Argument(help="Which example, such as hr_attrition.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same data.")]


@app.command()
def load(
    name: Name,
    rows: Annotated[int | None, typer.Option(min=1, help="How many rows; default: as the example finds right.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make the tables of an example and add generated rows."""
    from cli.connection.database import database
    from cli.example import load_example, require_example

    require_example(name)
    start = time.monotonic()
    with database() as engine:
        made = load_example(engine, name, rows, seed, quiet=as_json)
    if as_json:
        say_json(asdict(made))
        return
    rate = made.count / (time.monotonic() - start)
    say(f"{count_of(made.count, 'row')} generated, the first is {plain_text(made.first_id)} ({rate:,.0f} rows/s)")


@app.command()
def train(
    name: Name,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Where the models are written; default: nowhere for long.")
    ] = None,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="With --output: write the files, and register nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train the models of an example, register them and make them live, by commands that are shown."""
    from cli.connection.address import fill_environment
    from cli.connection.database import database
    from cli.example import require_example, run_commands, train_example

    require_example(name)
    if files_only:
        _write_files(name, output, seed, as_json=as_json)
        return
    fill_environment()
    with database():
        pass  # first, so that nobody trains for a minute to hear that there is no database
    results = []
    with tempfile.TemporaryDirectory(prefix="predictq-example-") as temporary:
        for command, result in run_commands(train_example(name, output or Path(temporary), seed, quiet=as_json)):
            results.append(result)
            if not as_json:
                say(f"predictq {plain_text(' '.join(command))}")
    if as_json:
        say_json(results)


def _write_files(name: str, output: Path | None, seed: int, *, as_json: bool) -> None:
    """The files that a user would bring, and nothing else: no stack is asked."""
    from cli.errors import UsageProblem
    from cli.example import train_example

    if output is None:
        raise UsageProblem("--files-only goes with --output DIRECTORY")
    train_example(name, output, seed, quiet=as_json)
    files = sorted(str(path) for path in output.iterdir() if path.is_file())
    if as_json:
        say_json(files)
        return
    for file in files:
        say(plain_text(file))
