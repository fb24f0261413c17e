"""What templates may not do, wherever in them it stands."""

from __future__ import annotations

import re

from web.frame.templates import ROOM

_PARAGRAPH = re.compile(r"<p\b[^>]*>(?:(?!</p>).)*</p>", re.DOTALL)
# The line break behind a tag of the template is not written, and neither are the blanks that the next line begins with.
_JOINED = re.compile(r"\S\{% end\w+ %\}\n[ \t]*(?:\{% if [^%]+%\})?(?:\{\{ (?:_|n?gettext|say_count)\(|\w).*")


def test_no_two_sentences_of_a_paragraph_are_written_without_a_blank_between_them() -> None:
    """Text behind a tag that ends a line stands on the same line, behind a blank."""
    found = [
        f"{file.name}: {joined.strip()}"
        for file in sorted((ROOM / "templates").glob("*.html"))
        for paragraph in _PARAGRAPH.findall(file.read_text(encoding="utf-8"))
        for joined in _JOINED.findall(paragraph)
    ]
    assert found == []


def test_no_template_writes_a_colon_that_french_has_a_blank_before() -> None:
    """Behind what was said in words it is said in words, too."""
    colon = re.compile(r"(?:%\}|\}\}|</\w+>):[ <{].*")
    said = re.compile(r"\{% trans .*?\{% endtrans %\}")  # in the catalogue as a whole
    texts = {file.name: said.sub("", file.read_text("utf-8")) for file in (ROOM / "templates").glob("*.html")}
    assert [f"{name}: {found}" for name, text in texts.items() for found in colon.findall(text)] == []
