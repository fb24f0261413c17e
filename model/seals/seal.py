"""A seal: what somebody says of a model's file, signed. Its JSON stands beside the file and with the version."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from model.errors import SealRefused
from model.seals.keys import key_id

_PURPOSE = b"predictq seal 1\n"  # so that no signature over anything else is ever taken for a seal


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed: the file (its SHA-256 in hex), the model that it may be, and what else is wanted to be so.

    `code` is the digest of the code that it brings. None: it brings none.
    """

    model: str
    sha256: str
    threshold: float | None = None  # None: not said
    positive: str | None = None
    code: str | None = None

    def to_bytes(self) -> bytes:
        """What the signature is over."""
        return _PURPOSE + json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()

    def to_json(self) -> dict[str, Any]:
        """For people and files."""
        said = {"model": self.model, "sha256": self.sha256, "threshold": self.threshold, "positive": self.positive}
        return said if self.code is None else {**said, "code": self.code}


@dataclass(frozen=True, slots=True)
class Seal:
    """A statement, whose key signed it, and the 64 bytes of the signature."""

    statement: Statement
    key: str
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """The form that is kept: a JSON object that `from_json` reads."""
        return {
            "says": self.statement.to_json(),
            "key": self.key,
            "signature": base64.b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, given: Any) -> Seal:
        """Read the form of `to_json`. Raises SealRefused."""
        try:
            says = given["says"]
            threshold = says["threshold"]
            statement = Statement(
                str(says["model"]),
                str(says["sha256"]),
                None if threshold is None else float(threshold),
                None if says["positive"] is None else str(says["positive"]),
                None if says.get("code") is None else str(says["code"]),
            )
            return cls(statement, str(given["key"]), base64.b64decode(given["signature"], validate=True))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise SealRefused("The seal is not as `predictq seals create` wrote it.") from error


def create_seal(statement: Statement, key: Ed25519PrivateKey) -> Seal:
    """Sign a statement."""
    return Seal(statement, key_id(key.public_key()), key.sign(statement.to_bytes()))


def check_seal(
    seal: Seal, trusted: Mapping[str, Ed25519PublicKey], *, model: str, sha256: str, code: str | None = None
) -> None:
    """Raise SealRefused unless a trusted key says that these bytes, with this code, may be this model."""
    if seal.key not in trusted:
        raise SealRefused(
            f"The seal is by the key {seal.key}, which is not trusted here. Trusted are {', '.join(sorted(trusted))}."
        )
    try:
        trusted[seal.key].verify(seal.signature, seal.statement.to_bytes())
    except InvalidSignature:
        raise SealRefused("The seal is broken: it was altered, or was not made by the key that it names.") from None
    if seal.statement.sha256 != sha256:
        raise SealRefused(f"The seal is of another file: of {seal.statement.sha256[:12]}…, not of {sha256[:12]}….")
    if seal.statement.code != code:
        raise SealRefused(f"The seal is of {_code(seal.statement.code)}, and not of {_code(code)}.")
    if seal.statement.model != model:
        raise SealRefused(f"The seal is for the model {seal.statement.model!r}, not for {model!r}.")


def _code(digest: str | None) -> str:
    return "a file without code" if digest is None else f"the code {digest[:12]}…"


def check_said(seal: Seal, *, threshold: float | None, positive: object) -> None:
    """Raise SealRefused where a version is not as its seal says that it should be."""
    said = seal.statement
    if said.threshold is not None and said.threshold != threshold:
        raise SealRefused(f"The seal says threshold {said.threshold:g}; the version has {threshold}.")
    if said.positive is not None and said.positive != str(positive):
        raise SealRefused(f"The seal says that {said.positive!r} is the positive class; the version has {positive!r}.")
