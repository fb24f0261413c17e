"""Numbers as readers of a locale write them, never with more digits than they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from babel import Locale
from babel.numbers import format_compact_decimal, format_decimal, format_percent, format_scientific

_UNITS = ("B", "kB", "MB", "GB", "TB")
_UNITS_OF = {"fr": ("o", "ko", "Mo", "Go", "To")}
_STEP = 1000
_DECIMALS = 4  # of probabilities
_LEAST_SHARE = 0.001  # that is written
_NARROW, _WIDE = 0.02, 100  # intervals for which two decimals are too few, and too many
_LARGE, _SMALL = 1e15, 1e-6  # from the one on, and below the other, nobody counts the zeros
_MOST_DIGITS = 400  # before the point: more than a float has; Babel rounds in the context, whose default is 28


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers in one locale. Any number can be written: very large and very small ones as 1.5E29, and nan and inf."""

    locale: Locale

    def whole(self, number: int | None) -> str:
        """A count, grouped, to its last digit however large it is; a dash where there is none."""
        return "–" if number is None else self._grouped(Decimal(number), 0)

    def plain(self, number: float | None, digits: int = 4) -> str:
        """A measured number, with at most `digits` significant digits."""
        if number is None or not math.isfinite(number):
            return "–" if number is None else str(number)
        if _is_scientific(number):
            return self._scientific(Decimal(f"{number:.{digits - 1}e}"))
        places = max(0, digits - 1 - (math.floor(math.log10(abs(number))) if number else 0))
        return format_decimal(round(number, places), format=f"#,##0.{'#' * min(places, 12)}", locale=self.locale)

    def exact(self, number: float) -> str:
        """A number with all its digits, as it was scored."""
        whole = Decimal(repr(number))
        if not whole.is_finite():
            return str(number)
        if _is_scientific(number):
            return self._scientific(whole)
        return self._grouped(whole, len(format(whole, "f").partition(".")[2].rstrip("0")))

    def probability(self, number: float | None, threshold: float | None = None) -> str:
        """Four decimals, so that they stand one below the other; more where four are on the other side of `threshold`.

        A dash where there is none.
        """
        if number is None:
            return "–"
        if not abs(number) < _LARGE:  # which is no probability
            return self.exact(number)
        whole = Decimal(repr(number))
        places = _DECIMALS
        if threshold is not None and math.isfinite(threshold):
            limit = Decimal(repr(threshold))
            while (_rounded(whole, places) >= limit) != (whole >= limit):
                if _is_scientific(number):
                    return self._scientific(whole)
                places += 1
        return self._fixed(_rounded(whole, places), places, "0")

    def share(self, part: float, of: float) -> str:
        """A part in per cent, with a decimal below ten; what is not nothing is never 0 %."""
        share = part / of if of else 0.0
        if not abs(share) < _LARGE:
            return f"{self.plain(share * 100)} %"
        if 0 < share < _LEAST_SHARE / 2:
            return f"< {format_percent(_LEAST_SHARE, format='#,##0.# %', locale=self.locale)}"
        return format_percent(share, format="#,##0.# %" if 0 < share < 0.1 else "#,##0 %", locale=self.locale)

    def short(self, number: float) -> str:
        """For axes: 12k."""
        if not math.isfinite(number) or _is_scientific(number):
            return self.plain(number, 2)
        return format_compact_decimal(number, locale=self.locale, fraction_digits=1)

    def size(self, count: float) -> str:
        """Bytes, in the unit that fits."""
        power, shown = 0, float(count)
        while float(f"{shown:.3g}") >= _STEP and power < len(_UNITS) - 1:  # 999,999 B are 1 MB, and not 1,000 kB
            power, shown = power + 1, shown / _STEP
        return f"{self.plain(shown, 3)} {_UNITS_OF.get(self.locale.language, _UNITS)[power]}"

    def with_interval(self, mean: float, low: float | None = None, high: float | None = None) -> tuple[str, str]:
        """A figure and its interval, with as many decimals as the interval lets them mean something; "" for none.

        Two, as a rule; more where the interval is so narrow that they would hide it, as of 0.001 to 0.003.
        """
        if low is None or high is None or not all(map(math.isfinite, (mean, low, high))):
            return self.plain(mean, 3), ""
        if any(map(_is_scientific, (mean, low, high))):
            return self.plain(mean, 3), f"{self.plain(low, 3)} – {self.plain(high, 3)}"
        width = high - low
        places = min(6, 1 - math.floor(math.log10(width))) if 0 < width < _NARROW else 0 if width >= _WIDE else 2
        mean_text, low_text, high_text = (self._fixed(number, places, "#,##0") for number in (mean, low, high))
        return mean_text, f"{low_text} – {high_text}"

    def _grouped(self, number: Decimal, places: int) -> str:
        with localcontext(prec=_MOST_DIGITS):
            return self._fixed(number, places, "#,##0")

    def _fixed(self, number: float | Decimal, places: int, whole: str) -> str:
        return format_decimal(number, format=f"{whole}.{'0' * places}" if places else whole, locale=self.locale)

    def _scientific(self, number: Decimal) -> str:
        digits = number.normalize(Context(prec=_MOST_DIGITS)).as_tuple().digits
        with localcontext(prec=_MOST_DIGITS):
            return format_scientific(number, format=f"0.{'#' * (len(digits) - 1)}E0", locale=self.locale)


def _is_scientific(number: float) -> bool:
    """Whether so many zeros would stand before or behind its digits that nobody counts them."""
    return number != 0 and not _SMALL <= abs(number) < _LARGE


def _rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), context=Context(prec=_MOST_DIGITS))
