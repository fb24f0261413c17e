"""The keys of Redis that are ours: what is of another type than ours is removed, and what grew without end.

A list that became a text stops whoever reads it, for good. What is lost with it, the sweeper puts back.
"""

from __future__ import annotations

from redis import Redis

from shared.status import SCORING_QUEUES

_REPLIES = "_kombu.binding.reply.celery.pidbox"
_MOST_REPLIES = 500  # of clients that ended without a word
_MOST_MESSAGES = 1_000_000
_TYPES = {
    **{queue.value: "list" for queue in SCORING_QUEUES},
    **{
        f"_kombu.binding{permanent}.{exchange}": "set"
        for permanent in ("", "_permanent")
        for exchange in (
            *(queue.value for queue in SCORING_QUEUES), "celery", "celery.pidbox", "reply.celery.pidbox", "celeryev"
        )
    },
}  # fmt: skip


def mend_keys(redis: Redis) -> list[str]:
    """Remove keys of ours that are not what they should be; returns their names. Raises RedisError."""
    pipe = redis.pipeline(transaction=False)
    for name in _TYPES:
        pipe.type(name)
    found = [kind.decode() if isinstance(kind, bytes) else str(kind) for kind in pipe.execute()]
    wrong = [name for (name, wanted), kind in zip(_TYPES.items(), found, strict=True) if kind not in (wanted, "none")]
    right = {name for name, kind in zip(_TYPES, found, strict=True) if kind != "none"} - set(wrong)
    if _REPLIES in right and redis.scard(_REPLIES) > _MOST_REPLIES:
        wrong.append(_REPLIES)
    wrong += [queue for queue in SCORING_QUEUES if queue.value in right and redis.llen(queue.value) > _MOST_MESSAGES]
    if wrong:
        redis.unlink(*wrong)
    return wrong
