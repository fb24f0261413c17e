"""Where a form or a link may lead: to a path of ours, whatever was written in its place."""

from __future__ import annotations

import pytest

from web.frame.screen import own_path


@pytest.mark.parametrize(
    "given",
    [
        "",
        "jobs",
        "https://stranger.example/",
        "//stranger.example",
        "/\\stranger.example",
        "/jobs\\",
        "javascript:1",
        "/\t/stranger.example",
        "/jobs\r\nSet-Cookie: a=b",
        "/\u202ejobs",
        "//[",  # what cannot be read as an address at all
        "//[x",
        "//\u2100",
        "https://[::1",
    ],
)
def test_what_is_no_path_of_ours_leads_to_the_first_screen(given: str) -> None:
    """It is no error: anybody can type an address."""
    assert own_path(given) == "/"


@pytest.mark.parametrize("given", ["/", "/jobs/1?cursor=a%2Fb&n=//c", "/models/é"])
def test_a_path_of_ours_is_followed(given: str) -> None:
    """With its parameters."""
    assert own_path(given) == given
