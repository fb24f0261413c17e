"""Charts and calls out of figures: right places, and nothing of a caller's as markup."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from babel import Locale
from hypothesis import example, given
from hypothesis import strategies as st

from web.charts.lines import Axis, Series, line_charts
from web.charts.threshold import threshold_chart
from web.screens.last_hour import read_last_hour
from web.screens.overview import _waits
from web.words.call_texts import call_texts, in_shell
from web.words.language import choose_language
from web.words.numbers import Numbers
from web.words.values import is_same, shown_value

NUMBERS = Numbers(Locale("fr"))
START = datetime(2026, 11, 1, tzinfo=UTC)


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_answer_stands_where_it_belongs(value: float, threshold: float) -> None:
    """Between the ends of the line, in proportion, whatever the two are."""
    chart = ET.fromstring(f"<div>{threshold_chart(value, threshold, NUMBERS, ('<a>', 'b', 'c'))}</div>")
    wide = chart.find("div/svg")
    assert wide is not None
    dot, mark = wide.find("circle"), wide.find("line")
    assert dot is not None
    assert mark is not None
    assert abs(float(dot.attrib["cx"]) - (12 + 576 * value)) < 0.06
    assert abs(float(mark.attrib["x1"]) - (12 + 576 * threshold)) < 0.06
    assert wide.attrib["aria-label"] == "<a>"


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
@example([0.0, 5e-324])
@example([1.0, 1.0000000000000002])
def test_lines_stay_within_their_chart(values: list[float]) -> None:
    """Every point lies between the lowest and the highest mark; names and numbers are text."""
    points = [(START + timedelta(hours=number), value) for number, value in enumerate(values)]
    axis = Axis("<script>", lambda number: f"{number:g}<b>", lambda at: f"{at:%H}<i>")
    drawn = ET.fromstring(f"<div>{line_charts([Series('m', points)], axis)}</div>")
    for svg in drawn.iter("svg"):
        assert svg.attrib["aria-label"] == "<script>"
        circles = list(svg.iter("circle"))
        assert len(circles) == len(values)
        assert all(13.9 <= float(circle.attrib["cy"]) <= 194.1 for circle in circles)
        assert {element.tag for element in svg.iter()} <= {"svg", "line", "text", "polyline", "circle"}


def test_no_chart_without_points() -> None:
    """Rather than an empty frame."""
    assert line_charts([Series("m", [])], Axis("t", str, str)) == ""


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40))
def test_calls_are_quoted_right(text: str) -> None:
    """What the shell and Python make of them is what was typed."""
    body = json.dumps({"model": "churn", "features": {text: text, "n": 1.5, "b": True, "none": None}})
    curl, python, command = (shown for _, shown in call_texts("http://h/v1/predict_raw", body))
    assert json.loads(shlex.split(curl.replace("\\\n", " "))[-1]) == json.loads(body)
    assert (
        json.loads(shlex.split(command.partition("|\n")[0] if "|" not in text else command)[2])
        == json.loads(body)["features"]
    )
    call = next(node for node in ast.walk(ast.parse(python)) if isinstance(node, ast.keyword) and node.arg == "json")
    assert ast.literal_eval(call.value) == json.loads(body)


def test_a_shell_reads_what_was_meant() -> None:
    """A real one."""
    text = 'it\'s $HOME `id` "x" \\ <b> %s'
    assert subprocess.run(["sh", "-c", f"printf '%s' {in_shell(text)}"], capture_output=True, text=True).stdout == text


def test_values_keep_their_digits() -> None:
    """In the reader's locale; times and numbers are the same however they are written."""
    french, english = choose_language({}, "fr-FR"), choose_language({}, "en-GB")
    spec = {"kind": "number"}
    assert shown_value(english, spec, 0.1 + 0.2) == "0.30000000000000004"
    assert shown_value(french, spec, 1234.5).replace("\u202f", " ") == "1 234,5"
    assert shown_value(french, spec, None) == "–"
    assert shown_value(french, {"kind": "boolean"}, True) == "oui"
    assert shown_value(english, {"kind": "datetime"}, "2024-01-31T00:00:00") == "2024-01-31"
    assert is_same({"kind": "datetime"}, "2024-01-31T00:00:00", "2024-01-31")
    assert is_same(spec, 5, 5.0)
    assert not is_same(spec, 5, None)
    assert not is_same({"kind": "category"}, "a", "b")
    assert choose_language({"predictq_zone": "Europe%2FParis"}, "").zone.utcoffset(
        START.replace(tzinfo=None)
    ) == timedelta(hours=1)


@pytest.mark.parametrize("is_written", [True, False])
def test_the_hour_ends_with_the_newest_minute_that_is_written_down(is_written: bool) -> None:
    """For some seconds of each minute nobody has looked yet: that is no minute without answers."""
    present = datetime.now(UTC).replace(second=0, microsecond=0)
    points = [
        {"at": (present - timedelta(minutes=number)).isoformat(), "value": 2.0} for number in range(not is_written, 60)
    ]
    hour = read_last_hour({"series": [{"name": "rows_per_second", "model": "m", "queue": "bulk", "points": points}]})
    assert (hour.now, len(hour.times)) == (120, 60)


def test_a_queue_is_done_at_the_present_rate_of_workers_or_nobody_knows_when() -> None:
    """Bulk rows wait for single predictions, too; a paused queue, a plan and a service at rest have no end in sight."""
    queues = {name: {"waiting_rows": rows} for name, rows in (("bulk", 300), ("interactive", 100), ("plan", 1))}
    assert [(wait.queue, wait.seconds) for wait in _waits(queues, 100.0, [])] == [
        ("interactive", 1.0),
        ("bulk", 4.0),
        ("plan", None),
    ]
    assert [wait.seconds for wait in _waits(queues, 0.0, [])] == [None, None, None]
    held = list(_waits(queues, 100.0, [{"queue": "bulk"}]))
    assert [(wait.seconds, wait.is_paused) for wait in held] == [(1.0, False), (None, True), (None, False)]
