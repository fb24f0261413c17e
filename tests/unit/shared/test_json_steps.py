"""JSON of megabytes is read in steps: the same values, the same refusals, and never much at a time."""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from shared.json_text import steps as json_steps
from shared.json_text.members import MemberTwiceError
from shared.json_text.steps import NotJsonError, NulInTextError, TooMuchJsonError, canonical_pieces, read_steps

MB = 1_000_000


def read(content: bytes) -> tuple[Any, int, float]:
    """The value, the number of steps, and the CPU seconds of the longest one."""
    steps = read_steps(content, most_items=100_000)
    count, longest = 0, 0.0
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count, max(longest, time.thread_time() - began)
        count += 1
        longest = max(longest, time.thread_time() - began)


def any_value(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.random()
    if depth > 3 or kind < 0.5:
        texts = ["a,b", '"},{"', 'é:"', "\\", "x" * draw.randint(0, 30)]
        return draw.choice([1, 2.5, None, True, draw.randint(-(9**9), 9**9), *texts])
    if kind < 0.75:
        return [any_value(draw, depth + 1) for _ in range(draw.randint(0, 6))]
    return {f"{draw.choice('abc,]:')}{n}": any_value(draw, depth + 1) for n in range(draw.randint(0, 6))}


@pytest.mark.parametrize("seed", range(4))
def test_values_and_refusals_are_those_of_one_reading(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any text, whole or with a byte changed, wherever the steps happen to end."""
    draw = random.Random(seed)
    for _ in range(300):
        monkeypatch.setattr(json_steps, "STEP_BYTES", draw.choice([5, 17, 64, 1000]))
        value = any_value(draw)
        content = json.dumps(value, indent=draw.choice([None, 1])).encode()
        assert read(content)[0] == value
        assert b"".join(canonical_pieces(value)) == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        place = draw.randrange(len(content))
        content = content[:place] + draw.choice([b"", b",", b'"', b"}", b"x", b"]", b":"]) + content[place + 1 :]
        assert _outcome(read, content) == _outcome(lambda text: (orjson.loads(text),), content), content


def _outcome(reader: Any, content: bytes) -> Any:
    try:
        return reader(content)[0]
    except (NotJsonError, orjson.JSONDecodeError):
        return NotJsonError
    except MemberTwiceError:
        return orjson.loads(content)


HOSTILE = {
    "numbers": b'{"client_ids":[%b]}' % b",".join([b"%d" % n for n in range(10**18, 10**18 + 100_000)]),
    "too many numbers": b"[%b]" % b",".join([b"1"] * 2 * MB),
    "empty objects": b"[%b]" % b",".join([b"{}"] * 1_300_000),
    "objects": json.dumps([{"a": n, "b": "x,]}"} for n in range(90_000)]).encode(),
    "texts that look like ends": json.dumps(["],},," + str(n) for n in range(100_000)]).encode(),
    "depth": b"[" * 4 * MB,
    "depth of objects": b'{"a":' * 90_000,
    "blanks": b" " * 4 * MB,
    "blanks in a list": b"[" + b" " * 4 * MB + b"1]",
    "one long text": json.dumps({"a": "x" * 900_000}).encode(),
    "one endless text": json.dumps({"a": "x" * 4 * MB}).encode(),
    "escapes": json.dumps({"a": '\\"' * 240_000}).encode(),
    "a text without an end": b'{"a":"' + b"\\" * 4 * MB,
    "members": json.dumps({f"k{n}": n for n in range(250_000)}).encode(),
    "the same member": b"{%b}" % b",".join([b'"a":1'] * 600_000),
    "a number of 4 MB": b'{"a":' + b"1" * 4 * MB + b"}",
    "commas": b"[" + b"," * 4 * MB,
    "lists in lists": b"[%b]" % b",".join([b"[[[[1]]]]"] * 20_000),
}


@pytest.fixture
def no_old_garbage() -> Iterator[None]:
    """As in the gateway: what was there before is no matter of the garbage collector."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("no_old_garbage")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_step_takes_long(name: str) -> None:
    """Whatever the bytes: at most 20 ms of CPU at a time, and the value is right where there is one."""
    content = HOSTILE[name]
    steps = read_steps(content, most_items=100_000)
    longest, value = 0.0, None
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as end:
            value = end.value
            break
        except (NotJsonError, TooMuchJsonError, MemberTwiceError):
            break
        finally:
            longest = max(longest, time.thread_time() - began)
    assert longest <= 0.020
    assert value is None or value == orjson.loads(content)


def test_a_member_that_stands_twice_is_named_wherever_the_steps_end() -> None:
    """In one step, in two, or deep in a list."""
    far = b'{"a": 1, "b": [%b], "a": 2}' % b",".join([b"1234567"] * 20_000)
    for content in (b'{"a": 1, "a": 2}', far, b'[%b, {"a": {"a": 1, "a": 2}}]' % far[9:-9].replace(b'"b": ', b"")):
        with pytest.raises(MemberTwiceError, match=r"^a$"):
            read(content)


def test_a_nul_in_a_text_is_refused() -> None:
    """In a value and in a name; an escaped backslash before the digits is none."""
    for content in (b'["a\\u0000"]', b'{"\\u0000": 1}', b'[{"a": ["b", "\\u0000"]}, 2]'):
        with pytest.raises(NulInTextError):
            read(content)
    assert read(b'["\\\\u0000"]')[0] == ["\\u0000"]
