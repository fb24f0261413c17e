"""Which columns of a file are the key and the features: as the caller says, else by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.models.signature import Signature
from shared.sentences import Sentence
from shared.uploads.headings import CLIENT_ID, find_columns, key_names
from shared.uploads.keys import KeyForm
from shared.uploads.refusals import LineFault, UploadRefused

_SHOWN = 400  # characters of a list of names


@dataclass(frozen=True, slots=True)
class MatchedColumns:
    """The file's columns of the key, in key order, and of each feature. `faults` say what lacks."""

    key: tuple[str, ...] | None
    features: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[LineFault, ...] = ()

    def require(self) -> None:
        """Raises UploadRefused where columns lack."""
        if self.faults:
            raise UploadRefused(self.faults)


def match_columns(
    names: Sequence[str], form: KeyForm, signature: Signature | None, said: Mapping[str, str]
) -> MatchedColumns:
    """The columns of an upload. With `signature` rows of features are wanted, and a key is at the caller's will."""
    faults = [_unknown(wanted, column, names) for wanted, column in said.items() if column not in names]
    faults += [_unwanted(wanted) for wanted in said if wanted not in _all_wanted(form, signature)]
    said = {wanted: column for wanted, column in said.items() if column in names}
    try:
        key = _key(names, form, said, features=() if signature is None else signature.names)
    except UploadRefused as refused:
        key = None
        faults += refused.faults
    if signature is None:
        if key is None and not faults:
            faults.append(_no_key(names, form, {}))
        return MatchedColumns(key, {}, tuple(faults))
    features = {name: column for name in signature.names if (column := said.get(name) or _alike(name, names))}
    lacking = [name for name in signature.names if name not in features]
    if lacking:
        detail = f"the file lacks columns for features of the model: {', '.join(lacking[:20])[:_SHOWN]}"
        text = f"{detail}; it has {', '.join(names)[:_SHOWN]}"
        faults.append(LineFault(1, "missing_column", Sentence(text, "no_feature_columns", names=lacking, has=names)))
    return MatchedColumns(key, features, tuple(faults))


def _key(
    names: Sequence[str], form: KeyForm, said: Mapping[str, str], *, features: Sequence[str]
) -> tuple[str, ...] | None:
    own = [column.name for column in form.columns]
    if len(own) == 1 and (column := said.get(own[0]) or said.get(CLIENT_ID)):
        return (column,)
    if not any(name in said for name in own) and (positions := find_columns(names, form, 1)) is not None:
        return tuple(names[position] for position in positions)
    parts = {name: said.get(name) or _alike(name, names) for name in own}
    key = tuple(column for column in parts.values() if column is not None)
    if len(key) < len(own) and any(column and (name in said or name not in features) for name, column in parts.items()):
        raise UploadRefused([_no_key(names, form, said, unused=key if features else ())])  # and not rows without a key
    return key if len(key) == len(own) else None


def _alike(name: str, names: Sequence[str]) -> str | None:
    """By its name as it is, or else in whatever case where only one has it."""
    if name in names:
        return name
    found = [other for other in names if other.lower() == name.lower()]
    return found[0] if len(found) == 1 else None


def _all_wanted(form: KeyForm, signature: Signature | None) -> set[str]:
    return {CLIENT_ID, *(column.name for column in form.columns), *(signature.names if signature else ())}


def _unknown(wanted: str, column: str, names: Sequence[str]) -> LineFault:
    detail = f"the file has no column {column[:80]!r} for {wanted[:80]}; it has {', '.join(names)[:_SHOWN]}"
    said = Sentence(detail, "no_such_column", name=column[:80], wanted=wanted[:80], has=names)
    return LineFault(1, "missing_column", said)


def _unwanted(wanted: str) -> LineFault:
    return LineFault(1, "unknown_column", f"{wanted[:80]!r} is neither a feature of the model nor a part of the key")


def _no_key(names: Sequence[str], form: KeyForm, said: Mapping[str, str], *, unused: Sequence[str] = ()) -> LineFault:
    own = key_names(form)[-1]
    lacking = [name for name in own if name not in said and _alike(name, names) is None] or list(own)
    wanted = ", ".join(lacking) if len(own) > 1 else " or ".join(group[0] for group in key_names(form))
    detail = f"no column is called {wanted}; the file has {', '.join(names)[:_SHOWN]}"
    its = "it" if len(lacking) < len(own) else "the key"
    text = f"{detail}. Say which has {its}: `columns` {lacking[0]}=NAME"
    if unused:
        text += f", or leave {', '.join(unused)} out of the file"
    return LineFault(1, "missing_column", Sentence(text, "no_key_column", name=", ".join(lacking), has=names))
