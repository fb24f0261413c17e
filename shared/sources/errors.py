"""What can be wrong with a source, by name."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from shared.errors import PredictqError
from shared.sentences import Sentence, retold, those_there_are


class SourceError(PredictqError):
    """Base of every error about sources."""


class KeyRefused(SourceError):
    """What was given cannot be a key of the source. `detail` says why and repeats nothing of it."""

    def __init__(self, detail: str) -> None:
        super().__init__(retold(detail, f"The client key {detail}."))
        self.detail = detail


class SourceUnknown(SourceError):
    """No source has this name or number; `others` are those that there are, for whoever may know of them."""

    def __init__(self, name: object, others: Sequence[str] = ()) -> None:
        shown = str(name)[:100]
        super().__init__(Sentence(f"There is no source {shown!r}.{those_there_are(others)}", name=shown))


class SourceExists(SourceError):
    """A source of this name is there, or was and had other keys."""

    def __init__(self, name: str, *, removed: bool) -> None:
        was = "was removed, and its pages stay readable under this name" if removed else "is there already"
        super().__init__(f"The source {name!r} {was}. Choose another name.")


class SourceRefused(SourceError):
    """What was given cannot be a source: its name, its key or its columns."""


class SourceInUse(SourceError):
    """Live model versions read the source. `models` are their names."""

    def __init__(self, name: str, models: Sequence[str]) -> None:
        which = f"{'s' if len(models) > 1 else ''} of {', '.join(models)} read{'' if len(models) > 1 else 's'} it"
        super().__init__(
            f"The source {name!r} cannot be removed: the live version{which}. First promote one that reads another, as "
            "by predictq models register MODEL FILE --source OTHER --promote, or take the model out of service: "
            f"predictq models withdraw {quote(models[0])} --reason REASON"
        )
        self.models = tuple(models)


class SourceNotNamed(SourceError):
    """A call that names no source, where there is none or more than one. `names` are those there are."""

    def __init__(self, names: Sequence[str]) -> None:
        which = f"say which as `source`: {', '.join(names)}" if names else "there is none yet"
        super().__init__(f"A client is one of a source, and {which}.")
        self.names = tuple(names)
