"""Client keys of models that have no source: what a caller calls her rows, a text or a whole number."""

from __future__ import annotations

from dataclasses import dataclass

from shared.sources.key_types import INTEGER_RANGES
from shared.sources.keys import ClientKey, KeyColumn, KeyForm, KeyRefused

_LEAST, _MOST = INTEGER_RANGES["bigint"]


@dataclass(frozen=True)
class ReferenceForm(KeyForm):
    """Texts, and whole numbers that come back as such. Readers of JSON and of files keep 64 bits of these."""

    def parse(self, value: object) -> ClientKey:
        """See KeyForm."""
        if type(value) is not int:
            return super().parse(value)
        if not _LEAST <= value <= _MOST:
            raise KeyRefused(f"must be a whole number from {_LEAST} to {_MOST}, or a string: send its digits as one")
        return ClientKey(str(value), value)


REFERENCES = ReferenceForm((KeyColumn("client_id", "text"),))
