"""The reader's language: its texts, and numbers, times and sizes as its readers write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.support import NullTranslations
from markupsafe import Markup, escape

from web.words.catalogues import translations
from web.words.moments import Moments
from web.words.numbers import Numbers

LANGUAGES = {"en": "English", "fr": "Français"}
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Language:
    """One reader's language, locale and time zone."""

    code: str  # one of LANGUAGES
    locale: Locale
    zone: tzinfo
    is_own_zone: bool = True  # the reader's; else nobody knows hers, and times say that they are of this one

    @property
    def texts(self) -> NullTranslations:
        """The catalogue."""
        return translations(self.code)

    @property
    def numbers(self) -> Numbers:
        """How numbers are written."""
        return Numbers(self.locale)

    @property
    def moments(self) -> Moments:
        """How times are written."""
        return Moments(self.locale, self.zone, self.is_own_zone)

    def say(self, text: str, /, **values: Any) -> str:
        """`text` in this language, with `values` at its %(name)s; markup where one of them is markup."""
        said = self.texts.gettext(text) if text else ""
        return _filled(said, values) if values else said

    def say_count(self, one: str, many: str, count: int, /, **values: Any) -> str:
        """The same of a text that depends on a count, which it shows as %(count)s."""
        return _filled(self.texts.ngettext(one, many, count), {"count": self.numbers.whole(count), **values})


def in_english(text: str) -> Markup:
    """What somebody else wrote, in English: marked, so that no French voice reads it out."""
    return Markup('<span lang="en">{}</span>').format(text) if text else Markup("")


def _filled(said: str, values: Mapping[str, Any]) -> str:
    has_markup = any(isinstance(value, Markup) for value in values.values())
    return escape(said) % values if has_markup else said % values


def choose_language(cookies: Mapping[str, str], accept: str) -> Language:
    """What the reader chose, else what the browser prefers, else English; times in the browser's zone, else in UTC."""
    tags = _by_preference(accept)
    code = cookies.get("predictq_language", "")
    if code not in LANGUAGES:
        code = next((known for tag in tags if (known := tag[:2].lower()) in LANGUAGES), "en")
    region = next((tag for tag in tags if tag.lower().startswith(f"{code}-")), code)
    zone = _zone(cookies.get("predictq_zone", ""))
    return Language(code, _locale(region, code), zone or _UTC, is_own_zone=zone is not None)


def _by_preference(accept: str) -> Sequence[str]:
    weighted = []
    for item in accept[:200].split(","):
        tag, _, weight = item.strip().partition(";q=")
        weighted.append((-_number(weight), tag.strip()))
    return [tag for weight, tag in sorted(weighted, key=lambda pair: pair[0]) if tag and weight < 0]


def _number(weight: str) -> float:
    try:
        return float(weight) if weight else 1.0
    except ValueError:
        return 0.0


def _locale(tag: str, code: str) -> Locale:
    try:
        return Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale(code)


def _zone(name: str) -> tzinfo | None:
    """The zone of the browser, as the script writes it: Europe%2FParis. None where there is no script to do so."""
    try:
        return ZoneInfo(unquote(name)) if name else None
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None
