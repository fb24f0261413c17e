"""Numbers as readers of a locale write them, never with more digits than they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from babel import Locale
from babel.numbers import format_compact_decimal, format_decimal, format_percent

_UNITS = ("B", "kB", "MB", "GB", "TB")
_UNITS_OF = {"fr": ("o", "ko", "Mo", "Go", "To")}
_STEP = 1000
_DECIMALS = 4  # of probabilities
_LEAST_SHARE = 0.001  # that is written
_NARROW, _WIDE = 0.02, 100  # intervals for which two decimals are too few, and too many


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers in one locale."""

    locale: Locale

    def whole(self, number: int | None) -> str:
        """A count, grouped; a dash where there is none."""
        return "–" if number is None else format_decimal(number, locale=self.locale)

    def plain(self, number: float | None, digits: int = 4) -> str:
        """A measured number, with at most `digits` significant digits."""
        if number is None or not math.isfinite(number):
            return "–" if number is None else str(number)
        places = max(0, digits - 1 - (math.floor(math.log10(abs(number))) if number else 0))
        return format_decimal(round(number, places), format=f"#,##0.{'#' * min(places, 12)}", locale=self.locale)

    def exact(self, number: float) -> str:
        """A number with all its digits, as it was scored."""
        if not math.isfinite(number):
            return str(number)
        text = format(Decimal(repr(number)), "f")
        places = len(text.partition(".")[2].rstrip("0"))
        return format_decimal(Decimal(text), format=f"#,##0.{'0' * places}" if places else "#,##0", locale=self.locale)

    def probability(self, number: float | None, threshold: float | None = None) -> str:
        """Four decimals, so that they stand one below the other; more where four are on the other side of `threshold`.

        A dash where there is none.
        """
        if number is None:
            return "–"
        whole = Decimal(repr(number))
        places = _DECIMALS
        if threshold is not None:
            limit = Decimal(repr(threshold))
            while (round(whole, places) >= limit) != (whole >= limit):
                places += 1
        return format_decimal(round(whole, places), format=f"0.{'0' * places}", locale=self.locale)

    def share(self, part: float, of: float) -> str:
        """A part in per cent, with a decimal below ten; what is not nothing is never 0 %."""
        share = part / of if of else 0.0
        if 0 < share < _LEAST_SHARE / 2:
            return f"< {format_percent(_LEAST_SHARE, format='#,##0.# %', locale=self.locale)}"
        return format_percent(share, format="#,##0.# %" if 0 < share < 0.1 else "#,##0 %", locale=self.locale)

    def short(self, number: float) -> str:
        """For axes: 12k."""
        return format_compact_decimal(number, locale=self.locale, fraction_digits=1)

    def size(self, count: int) -> str:
        """Bytes, in the unit that fits."""
        power = min(len(_UNITS) - 1, int(math.log(count, _STEP))) if count else 0
        unit = _UNITS_OF.get(self.locale.language, _UNITS)[power]
        return f"{self.plain(count / _STEP**power, 3)} {unit}"

    def with_interval(self, mean: float, low: float | None = None, high: float | None = None) -> tuple[str, str]:
        """A figure and its interval, with as many decimals as the interval lets them mean something; "" for none.

        Two, as a rule; more where the interval is so narrow that they would hide it, as of 0.001 to 0.003.
        """
        if low is None or high is None or not all(map(math.isfinite, (mean, low, high))):
            return self.plain(mean, 3), ""
        width = high - low
        places = min(6, 1 - math.floor(math.log10(width))) if 0 < width < _NARROW else 0 if width >= _WIDE else 2
        mean_text, low_text, high_text = (self._fixed(number, places) for number in (mean, low, high))
        return mean_text, f"{low_text} – {high_text}"

    def _fixed(self, number: float, places: int) -> str:
        return format_decimal(number, format=f"#,##0.{'0' * places}" if places else "#,##0", locale=self.locale)
