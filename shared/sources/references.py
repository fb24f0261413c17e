"""Client keys of models that have no source: what a caller calls her rows, a text or a whole number."""

from __future__ import annotations

from dataclasses import dataclass

from shared.sources.keys import ClientKey, KeyColumn, KeyForm


@dataclass(frozen=True)
class ReferenceForm(KeyForm):
    """Texts, and whole numbers that come back as such."""

    def parse(self, value: object) -> ClientKey:
        """See KeyForm."""
        return ClientKey(str(value), value) if type(value) is int else super().parse(value)


REFERENCES = ReferenceForm((KeyColumn("client_id", "text"),))
