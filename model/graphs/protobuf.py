"""The fields of a protobuf message, one after the other: enough of the format to look a few names up in a graph."""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview  # a number, or the bytes of a text, a message, packed numbers or a number of fixed width

_LENGTHS = {1: 8, 5: 4}  # of numbers of fixed width, by wire type


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The number and the value of each field, in the order of the bytes. Raises ValueError where they are cut off.

    See https://protobuf.dev/programming-guides/encoding. Nothing is copied: a value is a part of `message`.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            number, place = _varint(message, place)
            yield key >> 3, number
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in _LENGTHS:
            length = _LENGTHS[kind]
        else:
            raise ValueError(f"a field of wire type {kind}")
        if place + length > len(message):
            raise ValueError("a message is cut off")
        yield key >> 3, message[place : place + length]
        place += length


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The values of one field that are texts, messages or packed numbers."""
    return (value for found, value in fields(message) if found == number and isinstance(value, memoryview))


def texts(message: memoryview, number: int) -> list[str]:
    """The values of a field of texts. Raises ValueError where they are not UTF-8."""
    return [str(value, "utf-8") for value in messages(message, number)]


def first_text(message: memoryview, number: int) -> str:
    """The first value of a field of texts, empty without one; what follows it is not read."""
    return next((str(value, "utf-8") for value in messages(message, number)), "")


def first_number(message: memoryview, number: int) -> int:
    """The first value of a field of whole numbers of any size, 0 without one."""
    return next((value for found, value in fields(message) if found == number and isinstance(value, int)), 0)


def whole_numbers(message: memoryview, number: int) -> list[int]:
    """The values of a field of int64, packed or not."""
    found: list[int] = []
    for key, value in fields(message):
        if key != number:
            continue
        if isinstance(value, int):
            found.append(_signed(value))
            continue
        place = 0
        while place < len(value):
            one, place = _varint(value, place)
            found.append(_signed(one))
    return found


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("a message is cut off")
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number of more than 64 bits")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
