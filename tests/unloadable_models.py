"""Models that cannot be loaded; in a module of their own, which takes no time to import where they are unpickled."""

from __future__ import annotations

import time

from tests.models import TestModel


class BrokenWhenLoaded(TestModel):
    """Opens nowhere."""

    def __setstate__(self, _: object) -> None:
        raise RuntimeError("a part of this model is not here")


class EndlessWhenLoaded(TestModel):
    """Opening it never comes to an end."""

    def __setstate__(self, _: object) -> None:
        time.sleep(600)
