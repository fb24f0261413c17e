"""Catalogues of texts: .po files, read when a language is first asked for. There is no step that compiles them.

English texts are their own keys. Each screen has a catalogue of its own below `web/locale/fr/`; all are read as one.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LOCALES = Path(__file__).parent.parent / "locale"


def N_(text: str) -> str:  # noqa: N802 - the name that gettext's tools know
    """Mark a text for translation where it is written; it is translated where it is shown."""
    return text


@lru_cache
def translations(code: str) -> NullTranslations:
    """The texts of a language; those of English are the keys themselves."""
    files = sorted((LOCALES / code).glob("*.po"))
    if not files:
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_catalogue(code, files))
    compiled.seek(0)
    return Translations(compiled)


def read_catalogue(code: str, files: list[Path]) -> Catalog:
    """All texts of these files as one catalogue."""
    whole = Catalog(locale=code)
    for file in files:
        with file.open("rb") as source:
            for message in read_po(source, locale=code):
                if message.id:
                    whole[message.id] = message
    return whole
