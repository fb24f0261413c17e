"""The pictures of the screens in docs/ are those that the tests of the screens take."""

from __future__ import annotations

import re

from tests.browser.test_look import PICTURED
from tests.support import ROOT


def test_each_picture_that_the_tests_take_is_there_and_no_other() -> None:
    """`PREDICTQ_PICTURES=1 pytest tests/browser` takes them anew; what no test takes would grow old."""
    taken = [
        name
        for module in (ROOT / "tests" / "browser").glob("test_*.py")
        for name in re.findall(r'take_picture\(\w+, f?"([^"]+)"', module.read_text(encoding="utf-8"))
    ]
    patterns = [*PICTURED, *(re.sub(r"\\\{.*?\\\}", ".*", re.escape(name)) for name in taken)]
    assert len(patterns) > 15
    files = [path.stem for path in (ROOT / "docs" / "screens").iterdir()]
    assert [name for name in files if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []
    missing = [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in files)]
    assert missing == []
