"""Numbers at their narrowest: integers as unsigned ones above a base, doubles as decimals where that is exact.

Cells without a value are filled before (see `filled`), so that every function here sees values alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.pages.layout import TIME_UNITS, Form

Numbers = npt.NDArray[np.int64]

MOST_SCALE = 4
_EXACT = 1e15  # up to 15 digits the nearest double of number / 10**scale is the one that the decimal text means
_SAMPLE = 32

_UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32}


class Narrow(NamedTuple):
    """Stored numbers of `bits` bits each; the value of one is base + number."""

    bits: int
    base: int
    content: bytes


NOTHING = Narrow(0, 0, b"")


def filled(values: npt.NDArray[Any], present: npt.NDArray[np.bool_] | None) -> npt.NDArray[Any]:
    """The values, with the first one that is there in the place of each that is not. At least one is there."""
    return values if present is None else np.where(present, values, values[present.argmax()])


def narrow(numbers: npt.NDArray[Any]) -> Narrow:
    """Integers in as few bits as their range allows."""
    low, high = int(numbers.min()), int(numbers.max())
    bits = _bits_of(high - low)
    if bits == 0:
        return Narrow(0, low, b"")
    if bits == 64:
        return Narrow(64, 0, numbers.astype("<i8", copy=False).tobytes())
    if bits == 1:
        return Narrow(1, low, np.packbits(numbers != low, bitorder="little").tobytes())
    base = 0 if low >= 0 and high < 1 << bits else low
    steps = (numbers - base if base else numbers).astype(_UNSIGNED[bits])
    return Narrow(bits, base, steps.astype(f"<u{bits // 8}", copy=False).tobytes())


def _bits_of(span: int) -> int:
    if span < 2:
        return span
    return next(bits for bits in (8, 16, 32, 64) if span < 1 << bits or bits == 64)


def narrow_doubles(values: npt.NDArray[np.float64]) -> tuple[Form, int, Narrow]:
    """Doubles as decimals of the smallest scale that gives each back bit for bit, else as their own 64 bits."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite, or beyond what an int64 holds: not decimals
        for scale in range(MOST_SCALE + 1):
            numbers = _decimals(values[:_SAMPLE], scale)
            if numbers is None:
                continue
            if len(values) > _SAMPLE:
                numbers = _decimals(values, scale)
            if numbers is not None:
                return Form.DECIMAL, scale, narrow(numbers)
    return Form.DOUBLE, 0, narrow(values.view(np.int64))


def _decimals(values: npt.NDArray[np.float64], scale: int) -> Numbers | None:
    rounded = np.rint(values * 10.0**scale)
    if not (np.abs(rounded) < _EXACT).all():
        return None
    numbers = rounded.astype(np.int64)  # a -0.0 is lost here, and so is refused by the next line: it compares bits
    same = (numbers / 10.0**scale).view(np.int64) == values.view(np.int64)
    return numbers if same.all() else None


def narrow_times(microseconds: Numbers) -> tuple[Form, int, Narrow]:
    """Times in whole days or seconds where all are, else in microseconds; the scale is the place in TIME_UNITS."""
    for scale in reversed(range(1, len(TIME_UNITS))):
        unit = TIME_UNITS[scale]
        if (microseconds[:_SAMPLE] % unit).any():
            continue
        numbers = microseconds // unit
        if (numbers * unit == microseconds).all():
            return Form.NUMBER, scale, narrow(numbers)
    return Form.NUMBER, 0, narrow(microseconds)
