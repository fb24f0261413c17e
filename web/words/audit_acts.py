"""What the audit log's codes mean: acts, kinds of actors, and the names of what changed."""

from __future__ import annotations

import re

from web.words.catalogues import N_
from web.words.language import Language
from web.words.statuses import shown_queue

ACTIONS = {
    "client.answers": N_("read all answers of a client"),
    "client.export": N_("exported a client’s data"),
    "erasure.ask": N_("asked for an erasure"),
    "erasure.done": N_("finished an erasure"),
    "erasure.failed": N_("could not finish an erasure"),
    "erasure.replay": N_("repeated an erasure after a restore"),
    "features.read": N_("looked at a client’s features"),
    "hold.add": N_("placed a legal hold"),
    "hold.release": N_("released a legal hold"),
    "job.cancel": N_("cancelled a job"),
    "job.export": N_("asked for a file of answers"),
    "key.create": N_("made a key"),
    "key.revoke": N_("revoked a key"),
    "key.rotate": N_("replaced a key"),
    "link.create": N_("made a sign-in link"),
    "model.ask": N_("sent a file to be registered"),
    "model.change": N_("changed a model"),
    "model.check": N_("checked a version on real rows"),
    "model.promote": N_("made a version live"),
    "model.register": N_("registered a version"),
    "model.retire": N_("retired a version"),
    "model.withdraw": N_("took a model out of service"),
    "pause.begin": N_("paused work"),
    "pause.end": N_("resumed work"),
    "retention.ask": N_("asked for a run of retention"),
    "retention.floor": N_("set the shortest retention"),
    "retention.run": N_("a run of retention"),
    "retention.set": N_("set a retention period"),
    "session.sign_in": N_("signed in"),
    "session.sign_out": N_("signed out"),
    "source.add": N_("added a source"),
    "source.check": N_("checked a source"),
    "source.drop": N_("deleted rows of a source that were read"),
    "source.fetch": N_("fetched rows of a source"),
    "source.read": N_("read rows of a source"),
    "source.remove": N_("removed a source"),
}

ACTORS = {
    "api key": N_("by an API key"),
    "person": N_("a person"),
    "command line": N_("command line"),
    "upkeep": N_("upkeep"),
    "nobody": N_("without a key"),
}

OBJECTS = {  # what a session was begun with stands where other acts have their object
    "jobs of a filter": N_("jobs of a filter"),
    "a link": N_("by a link"),
    "an API key": N_("by an API key"),
    "the identity provider": N_("by the identity provider"),
}

# What stands before the name of an object, by the first word of the act: elsewhere a name may begin with these words.
_KINDS = {
    "key": {"key": N_("key %(name)s")},
    "job": {"job": N_("job %(name)s")},
    "features": {"prediction": N_("prediction %(name)s"), "source": N_("source %(name)s")},
}

# As `shared.pauses` names what is paused: a queue, the work of a model, or that in a queue.
_PAUSED = re.compile(r"(?:the work of (?P<model>.+?)(?: in (?=the queue )|$))?(?:the queue (?P<queue>[a-z]+))?")


def shown_object(language: Language, action: str, written: str | None) -> str:
    """What an act was done to, as the log has it in English, in the reader's language."""
    if written in OBJECTS:
        return language.say(OBJECTS[written])
    if action.startswith("pause.") and (paused := _PAUSED.fullmatch(written or "")) is not None:
        return _shown_pause(language, paused["queue"], paused["model"])
    kind, _, name = (written or "").partition(" ")
    words = _KINDS.get(action.partition(".")[0], {}).get(kind)
    return language.say(words, name=name) if words and name else written or ""


def _shown_pause(language: Language, queue: str | None, model: str | None) -> str:
    shown = "" if queue is None else shown_queue(language, queue)
    if model is None:
        return shown
    if queue is None:
        return language.say(N_("the work of %(model)s"), model=model)
    return language.say(N_("the work of %(model)s: %(queue)s"), model=model, queue=shown)
