"""Seals by themselves: what they hold for, and what is no seal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from model.errors import SealRefused
from model.seals.keys import create_key, key_id, read_private, read_trusted
from model.seals.seal import Seal, Statement, check_said, check_seal, create_seal

FILE = b"a model"
SHA256 = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Seal, dict[str, Any]]:
    create_key(tmp_path / "team")
    return create_seal(Statement("churn", SHA256), read_private(tmp_path / "team.key")), read_trusted(tmp_path)


def test_a_seal_holds_for_its_file_its_model_and_its_key_alone(
    sealed: tuple[Seal, dict[str, Any]], tmp_path: Path
) -> None:
    """Another file, another model, another key, an altered statement or signature: each is refused in its own words."""
    seal, trusted = sealed
    again = Seal.from_json(json.loads(json.dumps(seal.to_json())))
    assert again == seal
    check_seal(again, trusted, model="churn", sha256=SHA256)
    with pytest.raises(SealRefused, match="of another file"):
        check_seal(seal, trusted, model="churn", sha256=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(SealRefused, match="for the model 'churn'"):
        check_seal(seal, trusted, model="fraud", sha256=SHA256)
    create_key(tmp_path / "other")
    stranger = create_seal(seal.statement, read_private(tmp_path / "other.key"))
    with pytest.raises(SealRefused, match="not trusted here"):
        check_seal(stranger, trusted, model="churn", sha256=SHA256)
    forged = [
        replace(stranger, key=seal.key),
        replace(seal, statement=replace(seal.statement, threshold=0.1)),
        replace(seal, signature=bytes(64)),
        replace(seal, signature=b""),
    ]
    for seal_of_nobody in forged:
        with pytest.raises(SealRefused, match="broken"):
            check_seal(seal_of_nobody, trusted, model="churn", sha256=SHA256)


def test_what_a_seal_says_of_a_version_must_be_so(sealed: tuple[Seal, dict[str, Any]]) -> None:
    """A threshold or a positive class that it names, and no more."""
    seal, _ = sealed
    check_said(seal, threshold=0.9, positive="No")
    said = replace(seal, statement=Statement("churn", SHA256, 0.4, "Yes"))
    check_said(said, threshold=0.4, positive="Yes")
    with pytest.raises(SealRefused, match=r"threshold 0\.4"):
        check_said(said, threshold=0.5, positive="Yes")
    with pytest.raises(SealRefused, match="'Yes' is the positive class"):
        check_said(said, threshold=0.4, positive="No")


@pytest.mark.parametrize("given", [{}, [], "x", None, {"says": 5}, {"says": {"model": "m"}}, {"says": {}, "key": ""}])
def test_what_is_no_seal_is_refused(given: Any) -> None:
    """Whatever JSON somebody sends."""
    with pytest.raises(SealRefused, match="not as `predictq seals create` wrote it"):
        Seal.from_json(given)


def test_a_key_is_private_and_never_written_over(tmp_path: Path) -> None:
    """Mode 0600; a folder without keys, a file that is none and one of another kind are refused."""
    public = create_key(tmp_path / "team")
    assert (tmp_path / "team.key").stat().st_mode & 0o777 == 0o600
    assert list(read_trusted(tmp_path / "team.pub")) == [key_id(public)]
    with pytest.raises(SealRefused, match="never written over"):
        create_key(tmp_path / "team")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SealRefused, match="no seal would be trusted"):
        read_trusted(tmp_path / "empty")
    with pytest.raises(SealRefused, match="no public key"):
        read_trusted(tmp_path / "team.key")
    with pytest.raises(SealRefused, match="no key that seals"):
        read_private(tmp_path / "team.pub")


def test_the_commands_seal_and_check(tmp_path: Path) -> None:
    """From a key to a seal that holds, without a gateway."""
    model = tmp_path / "churn.joblib"
    model.write_bytes(FILE)
    run = CliRunner().invoke
    made = run(app, ["seals", "create-key", str(tmp_path / "team")])
    assert made.exit_code == 0, made.output
    made = run(app, ["seals", "create", str(model), "--model", "churn", "--key", str(tmp_path / "team.key")])
    assert made.exit_code == 0, made.output
    checked = run(app, ["seals", "check", str(model), "--trusted", str(tmp_path / "team.pub")])
    assert (checked.exit_code, "which is trusted" in checked.output) == (0, True)
    model.write_bytes(b"another")
    refused = run(app, ["seals", "check", str(model), "--trusted", str(tmp_path)])
    assert refused.exit_code != 0
