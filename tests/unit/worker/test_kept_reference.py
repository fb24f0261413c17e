"""Reference answers come from a process that ran a stranger's code: only numbers are kept of them."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest

from worker.models.references.kept import KeptReference, read_reference

PAGE = base64.b64encode(b"page").decode()


def test_answers_are_numbers_and_what_is_none_is_null() -> None:
    """Whole numbers become floats; NaN and the infinite have no place in JSON."""
    kept = read_reference(PAGE, [[1, 0.5], [None, math.nan], [math.inf, 2]])
    assert kept == KeptReference(b"page", [[1.0, 0.5], [None, None], [None, 2.0]])
    assert all(type(value) is float for value in kept.answers[0])


@pytest.mark.parametrize("answers", [None, "text", [1.0], [["yes"]], [[True]], [[{}]], {"a": []}])
def test_answers_that_are_none_are_refused(answers: Any) -> None:
    """Labels, objects and lists of another shape are not kept."""
    with pytest.raises(TypeError):
        read_reference(PAGE, answers)


def test_features_that_are_no_base64_are_refused() -> None:
    """They are not cut to what could be read."""
    with pytest.raises(ValueError):  # noqa: PT011 - binascii's own
        read_reference("not base64!", [])
