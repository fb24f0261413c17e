"""`predictq seals`: whose a model's file is. All of it happens on this machine, without a gateway."""

# ruff: noqa: PLC0415 - cryptography is loaded by whoever seals

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

from cli.model_files import read_seal
from cli.output.console import plain_text, remark, say

app = typer.Typer(no_args_is_help=True, help="Say whose a model's file is: workers can demand it.")

Trusted = Annotated[Path, typer.Option(exists=True, help="A public key, or a folder of them (NAME.pub).")]
Code = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="The folder of modules that the file brings.")
]
ModelFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The model's file.")]


@app.command("create-key")
def create_key(name: Annotated[Path, typer.Argument(help="Where: NAME.key and NAME.pub are written.")]) -> None:
    """Make a key: NAME.key seals and is to be kept, NAME.pub is for the workers."""
    from model.seals import keys

    public = keys.create_key(name)
    say(plain_text(f"{name}.key and {name}.pub: key {keys.key_id(public)}"))
    remark(
        f"Keep {plain_text(str(name))}.key where no worker is. Workers: PREDICTQ_SEAL_KEYS=FOLDER with the .pub in it"
    )


@app.command()
def create(
    file: ModelFile,
    model: Annotated[str, typer.Option(help="The model that the file may be: churn.")],
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="NAME.key of `seals create-key`.")],
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Also: no other threshold.")] = None,
    positive: Annotated[str | None, typer.Option(help="Also: no other positive class.")] = None,
    code: Code = None,
) -> None:
    """Write FILE.seal: this file may be this model. `models register` finds it beside the file."""
    from model.seals.keys import read_private
    from model.seals.seal import Statement, create_seal

    seal = create_seal(Statement(model, _sha256(file), threshold, positive, _code(code)), read_private(key))
    place = file.with_name(file.name + ".seal")
    place.write_text(json.dumps(seal.to_json(), indent=2) + "\n", encoding="utf-8")
    say(plain_text(f"{place}: {file.name} may be {model}, says the key {seal.key}"))


@app.command()
def check(file: ModelFile, trusted: Trusted, code: Code = None) -> None:
    """Check FILE.seal as a worker does."""
    from model.seals.keys import read_trusted
    from model.seals.seal import Seal, check_seal

    seal = Seal.from_json(read_seal(file, file.with_name(file.name + ".seal")))
    check_seal(seal, read_trusted(trusted), model=seal.statement.model, sha256=_sha256(file), code=_code(code))
    say(plain_text(f"{file.name} may be {seal.statement.model}, says the key {seal.key}, which is trusted"))


def _code(folder: Path | None) -> str | None:
    from model.code.folder import pack_folder

    return None if folder is None else pack_folder(folder).sha256


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
