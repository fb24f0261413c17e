"""Which model a call means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model by name, and one of its versions. Without a version the live one, without a name the default model."""

    model: str | None = None
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> ModelChoice | None:
        """Read `churn` or `churn:3`; None where the text is neither."""
        name, colon, number = text.partition(":")
        if not is_model_name(name):
            return None
        if not colon:
            return cls(name)
        if not (number.isascii() and number.isdigit() and number[0] != "0" and len(number) < 10):
            return None
        return cls(name, int(number))

    def __str__(self) -> str:
        if self.model is None:
            return ""
        return self.model if self.version is None else f"{self.model}:{self.version}"


DEFAULT = ModelChoice()


def is_model_name(text: str) -> bool:
    """Whether a model may have this name: a letter first, 100 printable characters at most, no colon, no slash."""
    return 0 < len(text) <= 100 and text[0].isalpha() and text.isprintable() and not {":", "/"} & set(text)
