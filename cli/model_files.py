"""A file with a model on its way to the registry: sent as it is, opened by a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cli.errors import FileRefused, UsageProblem
from cli.output.progress import progress
from shared.files.model_size import size_refusal
from shared.jobs.accepting.model_choice import is_model_name
from shared.models.signature_reading import SignatureRefused, read_signature_text

if TYPE_CHECKING:  # httpx takes 0.1 s to import, which `predictq --help` must not wait for
    from cli.connection.client import ApiClient, Json
    from model.code.folder import PackedFolder

_OPENING_SECONDS = 200.0  # a worker has 170 to open a file and try the model
_CONTENT, _DESCRIPTION, _SIGNATURE = "model.joblib", "model.json", "signature.json"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file, and what is said about it beside the options of the command."""

    path: Path
    said: Mapping[str, Any]


def find_model(path: Path) -> ModelFile:
    """A file, or a directory that `predictq train --output` wrote, whose model.json says what cannot be found out.

    Raises UsageProblem, FileRefused and ArtefactCorrupt.
    """
    if path.is_file():
        return ModelFile(path, {})
    content, description, signature = path / _CONTENT, path / _DESCRIPTION, path / _SIGNATURE
    if content.is_file() and description.is_file():
        from model.artefact import read  # noqa: PLC0415 - scikit-learn takes 2 s to import

        metadata = read(path).metadata  # an edited model.json is refused here
        said = {
            "signature": metadata.signature.to_json(),
            "threshold": metadata.threshold,
            "metrics": metadata.metrics,
            "curves": metadata.curves,
            "positive": _as_text(metadata.classes[1]) if len(metadata.classes) == 2 else None,
        }
        return ModelFile(content, said)
    if content.is_file() and signature.is_file():
        return ModelFile(content, {"signature": read_signature(signature)})
    raise UsageProblem(f"{path}: no file, and no directory with {_CONTENT} and {_DESCRIPTION} or {_SIGNATURE}")


def _as_text(label: Any) -> str:
    return label if isinstance(label, str) else json.dumps(label)


def read_signature(path: Path) -> Json:
    """A signature in a file, as JSON. Raises FileRefused."""
    try:
        signature: Json = read_signature_text(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path} is not UTF-8: byte {error.start + 1} is no part of a letter") from error
    except SignatureRefused as error:
        raise FileRefused(f"{path}: {error}") from error
    return signature


def read_seal(file: Path, given: Path | None) -> Json | None:
    """The seal of a file: the one that is named, or FILE.seal beside it. Raises FileRefused."""
    place = given or file.with_name(file.name + ".seal")
    if given is None and not place.is_file():
        return None
    try:
        seal: Json = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileRefused(f"{place} cannot be read: {error}") from error
    return seal


def register(
    client: ApiClient,
    model: str,
    file: ModelFile,
    options: Mapping[str, Any],
    *,
    code: PackedFolder | None = None,
    quiet: bool,
) -> Json:
    """Send the file, and the code that it brings, and have it registered; returns the version and what was found.

    Raises FileRefused where it is too large, or the name is none of a model, before any of it is sent.
    """
    if not is_model_name(model):
        raise FileRefused(f"{model[:100]!r} is no name of a model: it begins with a letter, and has no colon or slash")
    size = file.path.stat().st_size
    refusal = size_refusal(size)
    if refusal:
        raise FileRefused(f"{file.path}: {refusal}")
    with progress("sending", size, unit="bytes", quiet=quiet) as meter:
        sent = client.send_file(file.path, meter)
    said = {name: value for name, value in file.said.items() if value is not None}
    given = {name: value for name, value in options.items() if value not in (None, [], ())}
    asked = {"upload_id": sent["id"], "file_name": file.path.name, **said, **given}
    if code is not None:
        asked["code_upload_id"] = _send_code(client, code)
    return client.call("POST", f"/v1/models/{quote(model, safe='')}/versions", asked, seconds=_OPENING_SECONDS)


def _send_code(client: ApiClient, code: PackedFolder) -> str:
    with NamedTemporaryFile() as file:
        file.write(code.content)
        file.flush()
        return str(client.send_file(Path(file.name), lambda _: None)["id"])
