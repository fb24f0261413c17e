"""On whose behalf a call is made: an API key, or a person whom an identity provider knows."""

from __future__ import annotations

from dataclasses import dataclass

from api.access.oidc.groups import GroupRights
from api.access.oidc.person import Person
from api.http.problems import FORBIDDEN, Problem
from shared.access.api_keys import ApiKey
from shared.sentences import Sentence


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made, and what it may do.

    Jobs belong to `owner`. Where `models` is not None the caller sees and does nothing of other models: whatever reads
    jobs passes `models` on, and whatever names a model asks `need_model`.
    """

    owner: str
    roles: tuple[str, ...]  # API roles; `admin` stands for all
    max_waiting_rows: int | None = None  # the quota of the key; None: the service's default
    models: frozenset[str] | None = None  # None: all
    key_id: int | None = None  # of the API key; None: none was used
    person: str | None = None  # who, as an identity provider knows them (`sub`)

    @property
    def key(self) -> str:
        """What the caller's open calls are counted under: one API key, or one person."""
        return f"person {self.person}" if self.person else f"key {self.key_id}"

    @property
    def is_admin(self) -> bool:
        """Whether the caller may do everything."""
        return "admin" in self.roles

    @property
    def actor(self) -> str:
        """Who the audit log names."""
        return self.person or self.owner

    @property
    def actor_kind(self) -> str:
        """How the audit log knows the actor."""
        return "person" if self.person else "nobody" if self.key_id is None else "api key"

    def may(self, *roles: str) -> bool:
        """Whether the caller has one of these API roles."""
        mine = self.roles
        for role in roles:
            if role in mine:
                return True
        return "admin" in mine

    def need(self, *roles: str) -> None:
        """Raise Problem 403 unless the caller has one of these API roles."""
        if not self.may(*roles):
            wanted, has = " or ".join(map(repr, roles)), ", ".join(self.roles) or "none"
            if self.person:
                raise Problem(FORBIDDEN, f"This call needs the role {wanted}. {self._right} has {has}.")
            text = f"This call needs a key with the role {wanted}; yours has {has}."
            raise Problem(FORBIDDEN, Sentence(text, "role-needed", roles=list(roles), has=list(self.roles)))

    def may_use(self, model: str) -> bool:
        """Whether the caller may see and do something of this model."""
        return self.models is None or model in self.models

    def need_model(self, model: str) -> None:
        """Raise Problem 403 unless the caller may use this model. Said before it is asked whether there is one."""
        if not self.may_use(model):
            text = f"{self._right} is for {self._for}, not for {model[:100]!r}."
            raise Problem(FORBIDDEN, Sentence(text, "other-models", name=model[:100], models=sorted(self.models or ())))

    def need_all_models(self) -> None:
        """Raise Problem 403 where the caller is limited to some models."""
        if self.models is not None:
            raise Problem(FORBIDDEN, f"This concerns all models. {self._right} is for {self._for} alone.")

    @property
    def _right(self) -> str:
        """What lets the caller in."""
        return "Your group at the identity provider" if self.person else "Your API key"

    @property
    def _for(self) -> str:
        names = sorted(self.models or ())
        return f"the model{'s' if len(names) > 1 else ''} {', '.join(names)}"


def caller_of(found: ApiKey) -> Caller:
    """Who calls with this API key."""
    models = None if found.models is None else frozenset(found.models)
    return Caller(found.owner, found.roles, found.max_waiting_rows, models, found.id)


def person_caller(person: Person) -> Caller:
    """Who calls with a token of the identity provider."""
    return member_caller(person.subject, person.rights)


def member_caller(subject: str, rights: GroupRights) -> Caller:
    """Who somebody is that has these rights by a group of the identity provider."""
    models = None if rights.models is None else frozenset(rights.models)
    return Caller(rights.owner, rights.roles, models=models, person=subject)
