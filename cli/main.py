"""The command `predictq`: puts the commands together, and turns every error into one line and an honest status."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Any

import typer

from cli.arguments.directory_option import add_directory_option
from cli.arguments.flags import show_flags_as_flags
from cli.arguments.version_option import add_version_option
from cli.commands import again, clients, example, jobs, sources, submit
from cli.commands.models import comparing as model_versions
from cli.commands.models import going_live, seals, train
from cli.commands.models import registry as models
from cli.commands.operating import audit, doctor, keys, pauses, screens, shell, stack, workers
from cli.commands.stored import erasures, holds, retention, storage
from cli.errors import ExitStatus, UsageProblem
from cli.output.console import plain_text, remarks
from cli.output.terminal import make_output_safe
from cli.output.words import as_commands, database_advice
from devstack.errors import EmbeddedError
from shared.errors import DatabaseUnavailable, PredictqError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Asynchronous, traceable predictions from your models and your tables in PostgreSQL.",
)

RUNNING, ASKING, KEEPING = "Run it", "Ask for predictions", "Look after it"

app.command(rich_help_panel=RUNNING)(stack.up)
app.command(rich_help_panel=RUNNING)(stack.demo)
app.command(rich_help_panel=RUNNING)(stack.worker)
app.command(rich_help_panel=RUNNING)(stack.api)
app.command(rich_help_panel=RUNNING)(stack.upkeep)
app.command(rich_help_panel=RUNNING)(stack.migrate)
app.command(rich_help_panel=RUNNING)(doctor.doctor)
app.command("open", rich_help_panel=RUNNING)(screens.open_screens)
app.command(rich_help_panel=RUNNING)(workers.workers)
app.command(rich_help_panel=RUNNING)(shell.url)
app.command(rich_help_panel=RUNNING, context_settings=shell.PASSED_ON)(shell.psql)
app.command(rich_help_panel=ASKING)(submit.predict)
app.command("predict-raw", rich_help_panel=ASKING)(submit.predict_raw)
app.command(rich_help_panel=ASKING)(submit.bulk)
app.command(rich_help_panel=ASKING)(again.count)
app.command(rich_help_panel=ASKING)(jobs.jobs)
app.command(rich_help_panel=ASKING)(jobs.job)
app.command(rich_help_panel=ASKING)(jobs.results)
app.command(rich_help_panel=ASKING)(jobs.cancel)
app.command(rich_help_panel=ASKING)(again.repeat)
app.command(rich_help_panel=ASKING)(again.retry)
app.command(rich_help_panel=ASKING)(jobs.trace)
clients.app.command("erase")(erasures.erase)
clients.app.command("answers")(clients.answers)
clients.app.command("export")(erasures.export)
app.add_typer(clients.app, name="clients", rich_help_panel=KEEPING)
app.command(rich_help_panel=KEEPING)(train.train)
app.add_typer(example.app, name="example", rich_help_panel=KEEPING)
models.app.command("diff")(model_versions.diff)
models.app.command("environment")(model_versions.environment)
models.app.command("withdraw")(going_live.withdraw)
models.app.command("retire")(going_live.retire)
app.add_typer(models.app, name="models", rich_help_panel=KEEPING)
app.command(rich_help_panel=KEEPING)(going_live.promote)
app.command(rich_help_panel=KEEPING)(going_live.rollback)
app.add_typer(sources.app, name="sources", rich_help_panel=KEEPING)
app.add_typer(seals.app, name="seals", rich_help_panel=KEEPING)
app.add_typer(keys.app, name="keys", rich_help_panel=KEEPING)
app.command(rich_help_panel=KEEPING)(pauses.pause)
app.command(rich_help_panel=KEEPING)(pauses.resume)
app.command(rich_help_panel=KEEPING)(pauses.pauses)
app.add_typer(audit.app, name="audit", rich_help_panel=KEEPING)
app.add_typer(retention.app, name="retention", rich_help_panel=KEEPING)
app.add_typer(holds.app, name="holds", rich_help_panel=KEEPING)
app.add_typer(erasures.app, name="erasures", rich_help_panel=KEEPING)
app.command(rich_help_panel=KEEPING)(erasures.compact)
app.command(rich_help_panel=KEEPING)(storage.storage)


def main() -> int:
    """Run the command line; returns the exit status."""
    make_output_safe()
    try:
        status = _command()(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except typer.TyperException as error:
        return _fail(error.format_message() or "see predictq --help", error.exit_code)
    except UsageProblem as error:
        return _fail(str(error), ExitStatus.USAGE)
    except DatabaseUnavailable as error:
        return _fail(f"{error}: {database_advice(str(error))}", ExitStatus.FAILED)
    except (PredictqError, EmbeddedError) as error:
        return _fail(as_commands(str(error)), ExitStatus.FAILED)
    except OSError as error:
        return _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", ExitStatus.FAILED)
    except Exception as error:  # noqa: BLE001 - nobody foresaw it, and a traceback is no answer
        return _fail(_unforeseen(error), ExitStatus.FAILED)
    return status if isinstance(status, int) else ExitStatus.DONE


def _command() -> Any:
    command = typer.main.get_command(app)
    add_directory_option(command)
    add_version_option(command)
    show_flags_as_flags(command)
    return command


def _unforeseen(error: Exception) -> str:
    """One line; the traceback, which may hold values, goes to a file of its owner alone."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="predictq-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as kept:
        traceback.print_exception(error, file=kept)
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return f"this should not happen ({said}). Please report it with {kept.name}, which tells where"


def _fail(text: str, status: int) -> int:
    remarks.print(f"[red]predictq:[/] {plain_text(text)}", soft_wrap=True)
    return status
