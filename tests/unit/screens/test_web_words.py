"""Every text of the screens is there in every language, and says its values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from babel.messages.extract import extract_from_dir

from shared.status import JobError, RowError
from tests.support import ROOT
from web.words.api_refusals import told_refusal
from web.words.audit_acts import ACTIONS
from web.words.catalogues import LOCALES, read_catalogue
from web.words.codes import meaning_of, meaning_of_job
from web.words.conditions import filter_words
from web.words.language import LANGUAGES, choose_language
from web.words.statuses import state_of

METHODS = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")]
KEYWORDS = {
    "_": None,
    "N_": None,
    "gettext": None,
    "say": None,
    "ngettext": (1, 2),
    "say_count": (1, 2),
    "pgettext": (2,),
}
OPTIONS = {"**.html": {"trimmed": "true", "silent": "false", "encoding": "utf-8", "trim_blocks": "true"}}
_RECORDS = re.compile(r"\brecord(_act)?\(")  # what writes a line of the audit log
_ACTION = re.compile(r"[a-z]+\.[a-z_]+")
_VALUES = re.compile(r"%\(\w+\)s|%%|</?\w+>")


def written() -> Iterator[str | tuple[str, ...]]:
    """Every text that is marked for translation, wherever it stands."""
    found = extract_from_dir(ROOT / "web", method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS)
    yield from (message for _, _, message, _, _ in found if message)


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_text_is_translated(code: str) -> None:
    """No screen falls back to English, and no catalogue keeps what nobody says any more."""
    catalogue = read_catalogue(code, sorted((LOCALES / code).glob("*.po")))
    known = {message.id: message for message in catalogue if message.id}
    texts = set(written())
    lacking = sorted(str(text) for text in texts if text not in known or not known[text].string)
    assert lacking == [], "\n\n".join(f'msgid "{text}"\nmsgstr ""' for text in lacking)
    assert [text for text in known if text not in texts] == []
    for message in known.values():
        wanted = message.id if isinstance(message.id, str) else message.id[1]
        said = message.string if isinstance(message.string, str) else message.string[1]
        assert sorted(_VALUES.findall(said)) == sorted(_VALUES.findall(wanted)), said


def test_every_code_of_a_row_and_of_a_job_has_words_of_its_own() -> None:
    """Those of a row name the row; those of a job are never the row's."""
    of_rows = [meaning_of(code) for code in RowError]
    of_jobs = [meaning_of_job(code) for code in JobError]
    unknown = (meaning_of("no_such_code"), meaning_of_job("no_such_code"))
    said = [meaning.what for meaning in (*of_rows, *of_jobs, *unknown)]
    assert len(set(said)) == len(said)


def test_a_text_that_stands_in_two_catalogues_is_the_same_in_both() -> None:
    """One text, one translation, whichever catalogue is read last."""
    for directory in (path for path in LOCALES.iterdir() if path.is_dir()):
        said: dict[object, set[object]] = {}
        for file in sorted(directory.glob("*.po")):
            for message in read_catalogue(directory.name, [file]):
                said.setdefault(message.id, set()).add(message.string)
        assert {text: strings for text, strings in said.items() if text and len(strings) > 1} == {}


@pytest.mark.parametrize(
    ("accept", "cookies", "expected"),
    [
        ("fr-CH, en;q=0.8", {}, ("fr", "fr_CH")),
        ("de, en-GB;q=0.7, fr;q=0.9", {}, ("fr", "fr")),
        ("en-GB, fr;q=0.1", {}, ("en", "en_GB")),
        ("fr", {"predictq_language": "en"}, ("en", "en")),
        ("fr", {"predictq_language": "../../etc"}, ("fr", "fr")),
        ("xx-!!;q=zz, ,;", {}, ("en", "en")),
        ("fr-ZZZZZZ", {"predictq_zone": "../../etc/passwd"}, ("fr", "fr")),
        ("", {}, ("en", "en")),
    ],
)
def test_the_language_is_what_was_chosen_or_what_the_browser_likes_best(
    accept: str, cookies: dict[str, str], expected: tuple[str, str]
) -> None:
    """By q-values; what nobody speaks here, or what is no language at all, is English."""
    language = choose_language(cookies, accept)
    assert (language.code, str(language.locale)) == expected


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"age": {"gte": 30, "lt": 40}}, "age at least 30; age less than 40"),
        ({"department": ["Sales", None], "left": None}, "department is Sales, is empty; left is empty"),
        ({"id": list(range(11))}, "id is 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"),
        ({"is_new": True}, "is_new is yes"),
    ],
)
def test_a_filter_is_said_in_the_words_of_its_form(where: dict[str, object], words: str) -> None:
    """Every condition of it; of a long list the first values."""
    assert filter_words(choose_language({}, "en"), where) == words


def test_a_job_that_failed_in_part_says_how_many_errors_it_has() -> None:
    """So that one error in a thousand does not look like half of them."""
    job = {"status": "succeeded", "request_counts": {"total": 9, "succeeded": 7, "failed": 2, "cancelled": 0}}
    assert (state_of(job).word, state_of(job).errors) == ("partly failed", 2)


def recorded() -> Iterator[str]:
    """Every action that the audit log may name: texts with a dot in the modules that write lines of it."""
    for room in ("api", "worker", "shared", "cli"):
        sources = (path.read_text() for path in (ROOT / room).rglob("*.py"))
        trees = (ast.parse(source) for source in sources if _RECORDS.search(source))
        texts = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
        yield from (text for text in texts if isinstance(text, str) and _ACTION.fullmatch(text))


def test_every_act_of_the_audit_log_has_words() -> None:
    """And no words are kept for what nobody does."""
    assert set(recorded()) == set(ACTIONS)


def test_a_semicolon_in_french_has_its_space() -> None:
    """Between the conditions of a filter, as between the flaws of a form; it does not begin a line."""
    assert "\N{NO-BREAK SPACE}; " in filter_words(choose_language({}, "fr"), {"age": {"gte": 30, "lt": 40}})
    flaws = [{"reason": "missing", "about": {"name": name}, "detail": ""} for name in ("a", "b")]
    assert "\N{NO-BREAK SPACE}; b" in told_refusal(choose_language({}, "fr"), {"errors": flaws})
