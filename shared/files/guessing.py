"""Which type a column has: seen over the whole file, so that no later line disproves it, or over what a look reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shared.files import moments, numbers
from shared.files.column_types import INTEGER_LIMITS, NULL_WORDS, WORDS_LIKE_NULL, Dress
from shared.files.flag_words import FLAG_PAIRS
from shared.files.refusals import CellFault
from shared.files.typed_text import TypedText
from shared.sentences import Sentence

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BLANKS = " \t\u00a0\u202f"
_KNOWN_TEXTS = 10_000  # per column: what most rows share is looked at once
_EXACT_DIGITS = 15  # that a double keeps
_NUMBER = frozenset({"number"})
_FORMS_OF_KINDS = (
    (frozenset({*INTEGER_LIMITS, "numeric", "double precision"}), _NUMBER),
    (frozenset({"date", "timestamp", "timestamptz"}), frozenset({"date", "moment"})),
)


@dataclass
class ColumnGuess:
    """What all values of a column together may be. `decimal` is fixed where the user gave one.

    `kind` is the column's type where that is settled: then only how its values are written is looked for, and a value
    that does not fit says nothing of the others.
    """

    name: str
    decimal: str | None = None
    kind: str | None = None
    unit: str = ""  # the sign beside each number, where the user gave one
    values: int = 0
    empty: int = 0
    null_words: int = 0
    like_null: dict[str, int] = field(default_factory=dict)  # how often each of them stands there
    blank_ends: int = 0  # values that begin or end with a blank
    odd: tuple[int, str] | None = None  # the value that made a text of what had been, or looks like, numbers or days
    _known: set[str] = field(default_factory=set)
    _typed: set[str] = field(default_factory=set)  # a text `1.234` may be another number than a cell 1.234
    _forms: set[str] = field(default_factory=lambda: {"number", "uuid", "boolean", "date", "moment"})
    _styles: set[str] = field(default_factory=lambda: {numbers.POINT, numbers.COMMA})
    _orders: set[str] = field(default_factory=lambda: {moments.ISO, moments.DAY_FIRST, moments.MONTH_FIRST})
    _zoned: set[bool] = field(default_factory=set)
    _has_day: bool = False
    _words: set[str] = field(default_factory=set)
    _ambiguous: tuple[int, str] | None = None
    _torn: tuple[int, str] | None = None  # a number in the other style than those before
    _has_fraction: bool = False
    _most_digits: int = 0
    _lowest: int = 0
    _highest: int = 0

    def __post_init__(self) -> None:
        if self.decimal is not None:
            self._styles = {self.decimal}
        if self._reads is not None:
            self._forms = set(self._reads)

    @property
    def _reads(self) -> frozenset[str] | None:
        """The forms of a settled type whose values may be written in several ways; None for all others."""
        return next((forms for kinds, forms in _FORMS_OF_KINDS if self.kind in kinds), None)

    def _fits_its_kind(self, text: str, *, is_typed: bool) -> bool:
        if self._reads == _NUMBER:
            styles = (numbers.POINT, numbers.COMMA) if self.decimal is None else (self.decimal,)
            styles = (numbers.POINT,) if is_typed else styles
            return any(numbers.fits(text, style) for style in styles)
        orders = (moments.ISO, moments.DAY_FIRST, moments.MONTH_FIRST)
        return any(moments.read_date(text, order) or moments.read_moment(text, order) for order in orders)

    def see(self, line: int, text: str) -> None:
        """One more value."""
        self.values += 1
        if text and (text[0].isspace() or text[-1].isspace()):
            self.blank_ends += 1
        if text in WORDS_LIKE_NULL:
            self.like_null[text] = self.like_null.get(text, 0) + 1
        if not self._forms:  # a text, whatever else may come
            self.empty += not text
            return
        is_typed = isinstance(text, TypedText)
        known = self._typed if is_typed else self._known
        if text in known:
            return
        stripped = text.strip(_BLANKS)
        if not stripped or stripped in NULL_WORDS:
            self.empty += not stripped
            self.null_words += bool(stripped)
            return
        if self.unit:
            stripped = numbers.without_unit(stripped, self.unit)
        if self._reads is not None and not self._fits_its_kind(stripped, is_typed=is_typed):
            return
        if len(known) < _KNOWN_TEXTS:
            known.add(text)
        had_others = len(self._known) + len(self._typed) > 1
        self._narrow(line, stripped, is_typed=is_typed)
        if not self._forms and (had_others or numbers.looks_like_one(stripped)):
            self.odd = (line, stripped)

    def _narrow(self, line: int, text: str, *, is_typed: bool) -> None:
        if "number" in self._forms and is_typed:
            self._see_typed_number(text)
        elif "number" in self._forms:
            self._see_number(line, text)
        if "uuid" in self._forms and not _UUID.fullmatch(text):
            self._forms.discard("uuid")
        if "boolean" in self._forms:
            self._words.add(text.casefold())
            if not any(self._words <= set(pair) for pair in FLAG_PAIRS):
                self._forms.discard("boolean")
        if self._forms & {"date", "moment"}:
            self._see_day(text)

    def _see_number(self, line: int, text: str) -> None:
        fitting = {style for style in self._styles if numbers.fits(text, style)}
        if not fitting:
            if any(numbers.fits(text, style) for style in (numbers.POINT, numbers.COMMA)) and self.decimal is None:
                self._torn = self._torn or (line, text)
            else:
                self._forms.discard("number")
            return
        if len(self._styles) == 2 and numbers.is_ambiguous(text):
            self._ambiguous = self._ambiguous or (line, text)
        self._styles = fitting
        for style in fitting:
            self._measure(numbers.plain(text, style))

    def _see_typed_number(self, text: str) -> None:
        if numbers.fits(text, numbers.POINT):
            self._measure(text)
        else:
            self._forms.discard("number")

    def _measure(self, number: str) -> None:
        self._most_digits = max(self._most_digits, numbers.significant_digits(number))
        if re.fullmatch(r"[+-]?[0-9]+", number):
            self._lowest, self._highest = min(self._lowest, int(number)), max(self._highest, int(number))
        else:
            self._has_fraction = True

    def _see_day(self, text: str) -> None:
        days = {order for order in self._orders if moments.read_date(text, order)}
        if "date" in self._forms and not days:
            self._forms.discard("date")
        found = {order: moment for order in self._orders if (moment := moments.read_moment(text, order))}
        self._zoned |= {has_zone for _, has_zone in found.values()}
        self._has_day = self._has_day or bool(days)
        # A day among moments is its midnight, as Excel writes one; in what zone nobody knows.
        is_moment = bool(days or found) and not (self._has_day and True in self._zoned)
        if not is_moment:
            self._forms.discard("moment")
        if days or found:
            self._orders = days | set(found)

    @property
    def needs_comma(self) -> bool:
        """Whether these can only be numbers with a decimal comma."""
        return "number" in self._forms and self._styles == {numbers.COMMA} and bool(self._known)

    @property
    def needs_point(self) -> bool:
        """Whether these can only be numbers with a decimal point."""
        return "number" in self._forms and self._styles == {numbers.POINT} and bool(self._known)

    def decide(self, file_uses_comma: bool) -> tuple[str, Dress] | CellFault:
        """The type and how it is written; or the value that leaves it open, with what to type."""
        if not (self._known or self._typed) or not self._forms:
            return "text", Dress(self.decimal or numbers.POINT)
        if "number" in self._forms:
            return self._decide_number(file_uses_comma)
        if self._forms & {"date", "moment"}:
            return self._decide_day()
        if "boolean" in self._forms and any(self._words == set(pair) for pair in FLAG_PAIRS):
            return "boolean", Dress()
        if "boolean" in self._forms and self._words <= {"true", "false"}:
            return "boolean", Dress()
        return ("uuid" if "uuid" in self._forms else "text"), Dress()

    def _decide_number(self, file_uses_comma: bool) -> tuple[str, Dress] | CellFault:
        name = self.name
        if self._torn:
            line, text = self._torn
            reason = f"{text[:80]!r} is written with another decimal mark than the values before"
            words = f"{reason}. Correct it, or keep the column as text: --types '{name}=text'"
            return CellFault(line, name, Sentence(words, "other_decimal_mark", value=text[:80]))
        style = next(iter(self._styles)) if self._known and len(self._styles) == 1 else numbers.POINT
        if len(self._styles) == 2 and self._ambiguous and ("," in self._ambiguous[1] or file_uses_comma):
            line, text = self._ambiguous
            words = "say which it is: --decimal , or --decimal ."
            words = f"{text[:80]!r} may be a fraction or thousands; {words}"
            return CellFault(line, name, Sentence(words, "open_decimal_mark", value=text[:80]))
        if not self._has_fraction or (style == numbers.POINT and self._is_whole(style)):
            for kind in ("integer", "bigint"):
                if -INTEGER_LIMITS[kind] <= self._lowest and self._highest < INTEGER_LIMITS[kind]:
                    return kind, Dress(style)
            return "numeric", Dress(style)
        return ("double precision" if self._most_digits <= _EXACT_DIGITS else "numeric"), Dress(style)

    def _is_whole(self, style: str) -> bool:
        """Whether all are whole numbers in this style; in the other one some were not."""
        if max(len(self._known), len(self._typed)) == _KNOWN_TEXTS:
            return False
        plain = (numbers.plain(self._bare(text), style) for text in self._known)
        return all("." not in number and "e" not in number.lower() for number in (*plain, *self._typed))

    def _bare(self, text: str) -> str:
        return numbers.without_unit(text.strip(_BLANKS), self.unit) if self.unit else text.strip(_BLANKS)

    def _decide_day(self) -> tuple[str, Dress] | CellFault:
        order = moments.ISO if moments.ISO in self._orders else next(iter(self._orders))
        if {moments.DAY_FIRST, moments.MONTH_FIRST} <= self._orders:
            words = f"say which comes first: --types '{self.name}=date:dmy' or --types '{self.name}=date:mdy'"
            if self._forms == {"moment"}:
                words = words.replace("=date:", "=timestamp:")
            words = f"every value can be read day first and month first; {words}"
            return CellFault(0, self.name, Sentence(words, "open_day_order"))
        if "date" in self._forms:
            return "date", Dress(order=order)
        if self._zoned == {True, False}:
            words = f"keep it as text: --types '{self.name}=text'"
            return CellFault(
                0, self.name, f"some moments have a time zone and some have none; correct them, or {words}"
            )
        return ("timestamptz" if self._zoned == {True} else "timestamp"), Dress(order=order)
