"""Charts and calls out of figures: right places, and nothing of a caller's as markup."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from babel import Locale
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from web.charts.histogram import Words, histogram
from web.charts.lines import Axis, Series, line_charts
from web.charts.strip import strip
from web.charts.threshold import threshold_chart
from web.charts.times import round_times
from web.frame.screen import Screen
from web.screens.clients import charts_of
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
    chart = ET.fromstring(threshold_chart(value, threshold, ("<a>", "b", "c")))
    dot, mark = chart.find("circle"), chart.find("line")
    assert dot is not None
    assert mark is not None
    assert abs(across(dot.attrib["cx"]) - 100 * value) < 0.001
    assert abs(across(mark.attrib["x1"]) - 100 * threshold) < 0.001
    assert chart.attrib["aria-label"] == "<a>"


def across(place: str) -> float:
    """A place across in per cent, as it is written."""
    assert place.endswith("%")
    return float(place[:-1])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
@example([0.0, 5e-324])
@example([1.0, 1.0000000000000002])
@example([1e300, -1.7e308, 1.7e308])
@example([1.7e308])
def test_lines_stay_within_their_chart(values: list[float]) -> None:
    """Every point lies between the lowest and the highest mark; names and numbers are text."""
    points = [(START + timedelta(hours=number), value) for number, value in enumerate(values)]
    axis = Axis("<script>", lambda number: f"{number:g}<b>", lambda at, _, __: f"{at:%H}<i>")
    drawn = ET.fromstring(f"<div>{line_charts([Series('m', points)], axis)}</div>")
    for svg in drawn.findall("div/svg"):
        assert svg.attrib["aria-label"] == "<script>"
        circles = list(svg.iter("circle"))
        assert len(circles) == len(values)
        assert all(13.9 <= float(circle.attrib["cy"]) <= 194.1 for circle in circles)
        assert {element.tag for element in svg.iter()} <= {"svg", "line", "text", "polyline", "circle"}


@given(st.integers(0, 4_000_000_000), st.floats(0.01, 1e10), st.integers(2, 8))
def test_marks_of_time_are_round(start: int, seconds: float, most: int) -> None:
    """Never more than fit, all within the span, one step apart, on whole minutes, hours or days of the zone."""
    first = datetime.fromtimestamp(start + 0.25, timezone(timedelta(hours=5, minutes=30)))
    step, times = round_times(first, first + timedelta(seconds=seconds), most)
    assert len(times) <= most + 1
    assert all(first <= at <= first + timedelta(seconds=seconds) for at in times)
    assert {(after - before).total_seconds() for before, after in pairwise(times)} <= {step}
    for whole in (60, 3600, 86400):
        if step % whole == 0:
            assert all((at.hour * 3600 + at.minute * 60 + at.second) % whole == 0 for at in times)


def test_a_mark_of_time_says_no_more_than_tells_it_apart() -> None:
    """The first says the day where it is not today, and so does midnight; seconds only where they differ."""
    moments = choose_language({}, "en-GB").moments
    assert moments.mark(START + timedelta(hours=7), 3600, is_first=True, now=START + timedelta(hours=9)) == "07:00"
    assert moments.mark(START + timedelta(hours=7), 3600, is_first=True, now=START + timedelta(9)) == "1 Nov, 07:00"
    assert moments.mark(START, 3600, now=START) == "1 Nov"
    assert moments.mark(START + timedelta(seconds=5), 5, now=START) == "00:00:05"
    assert moments.mark(START + timedelta(hours=7), 7 * 86400, now=START + timedelta(400)) == "1 Nov 2026"


def test_the_threshold_of_a_client_is_a_line_of_its_colour() -> None:
    """At its height, from end to end."""
    points = [(START, 0.2), (START + timedelta(hours=1), 0.9)]
    axis = Axis("t", str, lambda at, _, __: str(at), 0.0, 1.0)
    drawn = ET.fromstring(f"<div>{line_charts([Series('m', points), Series('n', points, 0.75)], axis)}</div>")
    limits = [line for line in drawn.iter("line") if line.attrib["class"].startswith("limit")]
    assert [(line.attrib["class"], line.attrib["y1"]) for line in limits] == 2 * [("limit series-1", "59.0")]


def test_a_histogram_says_what_is_counted_and_over_what() -> None:
    """With round whole numbers beside it, and no long sentence at the threshold, which would leave the card."""
    bins = [{"low": n / 4, "high": (n + 1) / 4, "count": count} for n, count in enumerate((900, 400, 0, 37))]
    words = Words("whole", "probability", "answers", "threshold")
    drawn = ET.fromstring(histogram(bins, words, write=str, count=lambda number: f"{number:g}", threshold=0.7))
    texts = [text.text for text in drawn.iter("text")]
    assert texts[:4] == ["0", "250", "500", "750"]
    assert {"probability", "answers"} <= set(texts)
    assert texts[-1] == "threshold"
    few = ET.fromstring(histogram([{"low": 0, "high": 1, "count": 1}], words, write=str, count=str))
    assert [text.text for text in few.iter("text")][:2] == ["0.0", "1.0"]  # and no half of an answer


@pytest.mark.parametrize(
    ("failed_rows", "waiting", "foot"),
    [(0, 0, None), (1, 0, 3), (5000, 0, 7), (9999, 0, 11), (10000, 0, 14), (10000, 1, 11)],
)
def test_only_a_part_without_an_answer_is_all_red(failed_rows: int, waiting: int, foot: float | None) -> None:
    """Another has a foot as tall as its share of rows with errors, which is seen however small that is."""
    part = {"done": 1, "failed": 1, "running": 0, "waiting": waiting, "rows": 10000, "failed_rows": failed_rows}
    cell, *feet = ET.fromstring(strip([part], ["batch <7>"])).iter("rect")
    assert cell.attrib["class"] == ("begun" if waiting else "succeeded")
    assert [float(rect.attrib["height"]) for rect in feet] == ([] if foot is None else [foot])


def test_no_chart_without_points() -> None:
    """Rather than an empty frame."""
    assert line_charts([Series("m", [])], Axis("t", str, lambda at, _, __: str(at))) == ""


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
    assert [shown_value(french, spec, year) for year in (1999, 2021.0, -300, 0)] == ["1999", "2021", "-300", "0"]
    assert [shown_value(english, spec, count) for count in (10_000, 12345.0)] == ["10,000", "12,345"]
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


def test_a_threshold_stands_in_no_chart_of_probabilities_of_another_kind() -> None:
    """Of three classes the probability of the likeliest is drawn, of two that of the second one."""
    screen = Screen(Request({"type": "http"}), choose_language({}, "en"), None, "")
    answers = [
        {"model": model, "answered_at": f"2026-11-27T0{hour}:00:00+00:00", "probability": 0.6, "value": None}
        | {"threshold": threshold}
        for hour in (1, 2)
        for model, threshold in (("churn", 0.5), ("grade", None))
    ]
    drawn = charts_of(screen, answers)
    assert [[name for name, _ in chart["lines"]] for chart in drawn] == [["churn"], ["grade"]]
    assert len({chart["title"] for chart in drawn}) == 2
    assert "limit" not in drawn[1]["chart"]
