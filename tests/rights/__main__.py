"""Writes docs/who-may-what.md anew."""

from __future__ import annotations

from tests.rights.page import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
