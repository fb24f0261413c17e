"""`predictq doctor`: is everything in order, and if not, what is to be done."""

# ruff: noqa: PLC0415 - SQLAlchemy and Celery take 0.5 s to import, which `predictq --help` must not wait for

from __future__ import annotations

from dataclasses import asdict

import typer

from cli.errors import ExitStatus
from cli.output.console import AsJson, plain_text, say, say_json

SIGNS = {True: "[green]✓[/]", False: "[red]✗[/]"}


def doctor(as_json: AsJson = False) -> None:
    """Check database, schema, Redis, model, clients, workers, and that every accepted row is accounted for."""
    from cli.doctor.examinations import examine

    findings = examine()
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            advice = f" [yellow]→ {plain_text(finding.advice)}[/]" if finding.advice else ""
            say(f"{SIGNS[finding.ok]} {finding.name:<10} {plain_text(finding.detail)}{advice}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitStatus.FAILED)
