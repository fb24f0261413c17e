"""The two halves of a seal's key, as files: NAME.key, which seals, and NAME.pub, which workers trust."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from model.errors import SealRefused

PUBLIC_SUFFIX, PRIVATE_SUFFIX = ".pub", ".key"


def key_id(key: Ed25519PublicKey) -> str:
    """What people tell keys apart by: the first half of the SHA-256 of its 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def create_key(place: Path) -> Ed25519PublicKey:
    """Write `place`.key (mode 0600) and `place`.pub. Raises SealRefused where one is there already."""
    private, public = place.with_name(place.name + PRIVATE_SUFFIX), place.with_name(place.name + PUBLIC_SUFFIX)
    made = Ed25519PrivateKey.generate()
    text = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    shown = made.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    for path, content, mode in ((private, text, 0o600), (public, shown, 0o644)):
        try:
            place_of = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise SealRefused(f"{path} cannot be written: {error.strerror}. A key is never written over.") from error
        with os.fdopen(place_of, "wb") as file:
            file.write(content)
    return made.public_key()


def read_private(path: Path) -> Ed25519PrivateKey:
    """The half that seals. Raises SealRefused."""
    try:
        found = form.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SealRefused(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SealRefused(f"{path} is no key that seals. `predictq seals create-key NAME` makes one.") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise SealRefused(f"{path} is a key of another kind: seals take Ed25519.")
    return found


def read_trusted(place: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys in a file, or in all files NAME.pub of a folder, by id. Raises SealRefused, also for none."""
    files = sorted(place.glob(f"*{PUBLIC_SUFFIX}")) if place.is_dir() else [place]
    found = {key_id(key): key for key in map(_read_public, files)}
    if not found:
        raise SealRefused(f"{place} has no file NAME{PUBLIC_SUFFIX}: no seal would be trusted.")
    return found


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        found = form.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise SealRefused(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SealRefused(f"{path} is no public key in PEM.") from error
    if not isinstance(found, Ed25519PublicKey):
        raise SealRefused(f"{path} is a key of another kind: seals take Ed25519.")
    return found
