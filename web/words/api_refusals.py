"""What the API refuses, in the reader's language: by the reason or the type of the problem, with the figures it gives.

What has no words here is told as the API says it, in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from web.words.catalogues import N_
from web.words.conditions import SEMICOLON
from web.words.language import Language, in_english

_MOST = 5  # flaws of one answer that are told

_REASONS = {
    "missing": N_("%(name)s is missing"),
    "unknown_feature": N_("the model has no feature “%(name)s”"),
    "not_whole": N_("%(name)s must be a whole number"),
    "not_number": N_("%(name)s must be a number"),
    "too_near_zero": N_("%(name)s is too near to 0 for its column: compare it with 0"),
    "not_boolean": N_("%(name)s must be yes or no"),
    "not_text": N_("%(name)s must be a text"),
    "not_of_list": N_("%(name)s must be one of: %(values)s"),
    "not_a_time": N_("%(name)s must be a date and a time"),
    "not_a_date": N_("%(name)s must be a date, with a time of day or without"),
    "not_a_day": N_("%(name)s must be a day that exists, such as 2025-01-31"),
    "not_a_uuid": N_("%(name)s must be a UUID"),
    "too_low": N_("%(name)s must be at least %(minimum)s"),
    "too_high": N_("%(name)s must be at most %(maximum)s"),
    "too_long": N_("%(name)s is too long: %(most)s bytes are the most"),
    "empty_key": N_("%(name)s is empty"),
    "one_value": N_("%(name)s must be one value: the key is the column %(column)s"),
    "key_columns": N_("%(name)s must have the columns %(columns)s, and no other"),
    "no_filter_column": N_("the source %(source)s has no column “%(name)s” that can be filtered by"),
    "not_comparable": N_("%(name)s cannot be compared: its type is %(type)s"),
    "no_order": N_("%(name)s has no order, for its type is %(type)s: compare it with a value"),
    "empty_file": N_("the file is empty; its first line must name the columns"),
    "no_rows": N_("the file has a header and no row"),
    "other_width": N_("%(fields)s fields, where the header has %(wanted)s: correct the line, or choose the separator"),
    "other_encoding": N_("this is no %(encoding)s text: save the file as UTF-8, or choose its encoding"),
    "open_separator": N_("the columns may be separated in more than one way: choose the separator (%(marks)s)"),
    "column_without_name": N_("column %(position)s has no name: give it one, or delete the column"),
    "column_twice": N_("the column “%(name)s” stands twice"),
    "excel_error": N_("%(name)s: the cell holds an error of Excel, %(value)s"),
    "no_such_sheet": N_("the workbook has no sheet “%(sheet)s”; it has: %(sheets)s"),
    "several_sheets": N_("the workbook has several sheets: %(sheets)s. Choose one"),
    "no_workbook": N_("the file is no workbook of Excel (.xlsx): save it as one, or as CSV"),
    "old_workbook": N_("workbooks of the old format .xls cannot be read: save it as .xlsx, or as CSV"),
    "other_decimal_mark": N_("%(name)s: “%(value)s” has another decimal mark than the values before: correct it"),
    "open_decimal_mark": N_("%(name)s: “%(value)s” may be a fraction or thousands: choose the decimal mark"),
    "open_day_order": N_("%(name)s: every value can be read day first and month first: choose which it is"),
    "text_for_number": N_(
        "%(name)s: the cell is the text “%(value)s”: choose the decimal mark, or make it a number in the file"
    ),
    "text_for_date": N_(
        "%(name)s: the cell is the text “%(value)s”: choose how dates are written, or make it a date in the file"
    ),
    "no_feature_columns": N_("the file lacks columns for features of the model: %(names)s; it has: %(has)s"),
    "no_such_column": N_("the file has no column “%(name)s” for %(wanted)s; it has: %(has)s"),
    "no_key_column": N_("no column is called %(name)s; the file has: %(has)s"),
    "invalid_model": N_("A model’s name begins with a letter, and has no colon and no slash."),
    "job-unknown": N_("There is no job %(id)s."),
    "prediction-unknown": N_("There is no prediction %(id)s. A request id looks like 1042-7."),
    "model-unknown": N_("There is no model “%(name)s”."),
    "model-version-unknown": N_("There is no model version %(version)s."),
    "source-unknown": N_("There is no source “%(name)s”."),
    "file-unknown": N_("There is no file %(id)s. Files are kept for a day: send it again."),
    "backlogged": N_("%(waiting)s rows are waiting; more are accepted when fewer than %(limit)s are."),
    "quota-exceeded": N_("%(owner)s has %(waiting)s rows waiting and a quota of %(limit)s. Wait until some are done."),
    "no-live-model": N_("No model is live: register one and promote it."),
    "no-live-version": N_("No version of the model “%(name)s” is live: promote one."),
    "model-required": N_("Choose a model: none is the default."),
    "default-of-others": N_("Choose a model, as none of yours is the default: %(models)s."),
    "version-retired": N_("%(version)s was retired and its file is gone: register the file again."),
    "nothing-to-roll-back": N_("No other version of %(name)s was live before."),
    "nothing-selected": N_("There is no client in it: give at least one."),
    "idempotency-key-reused": N_("This form was sent before with other values: load its page again."),
    "job-asked-for-erased": N_("This form was sent before, and led to the job %(job_id)s. Load its page again."),
    "job-too-large": N_(
        "The job has %(rows)s rows, and at most %(limit)s may wait: split it, or ask for a higher limit."
    ),
    "role-needed": N_("This takes one of the roles %(roles)s; you have %(has)s."),
    "other-models": N_("Your key is for the models %(models)s, not for %(name)s."),
    "too-many-at-once": N_("No more than %(limit)s of this kind may be open at a time: let one end, then try again."),
    "no-worker": N_("No worker has done this in time: it may be that none is running, or that all are busy."),
    "key-without-role": N_("A key needs a role: %(roles)s."),
    "key-without-owner": N_("A key belongs to an owner: give a name."),
    "admin-of-some-models": N_("A key with the role admin is for all models: leave out the models, or the role."),
    "key-ended": N_("The last day is past: the key would be expired at once."),
    "nothing-to-pause": N_("Say what to pause: a queue, a model, or both."),
    "pause-without-reason": N_("Say why: whoever waits will ask."),
    "column-gone": N_("%(name)s is gone, or may not be read any more."),
    "filter-column-gone": N_("%(name)s, which filters may name, is gone, or may not be read any more."),
    "column-of-another-type": N_("%(name)s was %(before)s and is %(now)s."),
    "column-may-be-null": N_("%(name)s may be null now."),
    "column-never-null": N_("%(name)s is never null now."),
    "column-new": N_("%(name)s is new."),
    "labels-came": N_("%(name)s has new labels: %(values)s. A model may not have learnt them."),
    "labels-went": N_("%(name)s has these labels no longer: %(values)s."),
    "too-slow-by-key": N_("It is too slow to be read by key now."),
    "quick-by-key": N_("It is quick enough to be read by key now."),
}
_RANGED = ("not_whole", "not_number")
_VALUED = (
    *_RANGED,
    *("not_boolean", "not_text", "not_of_list", "not_a_time", "not_a_date", "not_a_day", "too_low", "too_high"),
)


def told_refusal(language: Language, problem: Mapping[str, Any]) -> Markup:
    """What a problem says: each of its flaws that has words, else the sentence of the whole."""
    flaws = problem.get("errors") or ()
    if any("about" in flaw for flaw in flaws):
        rest = len(flaws) - _MOST
        more = [Markup("…")] if rest > 0 else []
        return escape(language.say(SEMICOLON)).join([*(told_flaw(language, flaw) for flaw in flaws[:_MOST]), *more])
    code = str(problem.get("type", "")).rpartition("/")[2]
    return told_flaw(language, {"code": code, "detail": "", **problem})


def told_flaw(language: Language, flaw: Mapping[str, Any]) -> Markup:
    """What one flaw says: its line, and why; marked as English where there are no other words for it."""
    about = flaw.get("about") or {}
    text = _text(language, flaw.get("reason") or flaw.get("code", ""), about) if "about" in flaw else None
    if text is None:
        return in_english(str(flaw["detail"]))
    if "line" in about:
        text = language.say(N_("line %(line)s: %(text)s"), line=language.numbers.whole(about["line"]), text=text)
    return Markup("{}").format(text)


def _text(language: Language, reason: str, about: Mapping[str, Any]) -> str | None:
    if reason not in _REASONS:
        return None
    values = {"name": language.say(N_("the value")), **{name: _shown(language, one) for name, one in about.items()}}
    try:
        text = language.say(_REASONS[reason], **values)
    except KeyError:  # of another release of the API
        return None
    limits = {"minimum", "maximum"} & set(about)
    if reason in _RANGED and limits:
        text = f"{text} {_range(language, limits, values)}"
    if reason in _VALUED and "value" in about:
        text = language.say(N_("%(text)s; it is “%(value)s”"), text=text, value=values["value"])
    return text


def _range(language: Language, limits: set[str], values: Mapping[str, str]) -> str:
    if len(limits) == 2:
        return language.say(N_("from %(minimum)s to %(maximum)s"), minimum=values["minimum"], maximum=values["maximum"])
    if "minimum" in limits:
        return language.say(N_("of at least %(minimum)s"), minimum=values["minimum"])
    return language.say(N_("of at most %(maximum)s"), maximum=values["maximum"])


def _shown(language: Language, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return language.numbers.exact(value)
