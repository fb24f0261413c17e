"""Keys that are wrong, and things that belong to others."""

from __future__ import annotations

import secrets
import statistics
import time

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "keys and others' things"


def _made_up() -> str:
    return f"pq_{secrets.token_urlsafe(32)}"


@attack(_KIND, "made-up keys, one after the other, over 8 connections", quick=True, at_once=True)
def made_up_keys(attacker: Attacker) -> None:
    def guess() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            answer = attacker.call("GET", "/v1/models", key=_made_up(), over=connection)
            attacker.expect(answer.status in (401, 429), f"a made-up key was answered {answer.status}")

    attacker.in_threads(8, guess)


@attack(_KIND, "made-up cookies of sessions, over 8 connections", quick=True)
def made_up_sessions(attacker: Attacker) -> None:
    def guess() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            cookie = {"Cookie": f"predictq_session={secrets.token_urlsafe(32)}"}
            answer = attacker.call("GET", "/jobs", headers=cookie, key=None, over=connection)
            attacker.expect(answer.status in (303, 429), f"a made-up session was answered {answer.status}")

    attacker.in_threads(8, guess)
    attacker.expect(attacker.answers[303] < 150, f"{attacker.answers[303]} made-up sessions were looked up")


@attack(_KIND, "made-up links that sign in, over 8 connections", quick=True)
def made_up_links(attacker: Attacker) -> None:
    def guess() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            link = f"/sign-in?link={secrets.token_urlsafe(32)}"
            answer = attacker.call("GET", link, key=None, over=connection)
            attacker.expect(answer.status in (403, 429), f"a made-up link was answered {answer.status}")

    attacker.in_threads(8, guess)
    attacker.expect(attacker.answers[403] < 150, f"{attacker.answers[403]} made-up links were looked up")


@attack(_KIND, "one made-up key again and again")
def one_wrong_key(attacker: Attacker) -> None:
    key, connection = _made_up(), attacker.connect()
    while attacker.goes_on:
        answer = attacker.call("GET", "/v1/models", key=key, over=connection)
        attacker.expect(answer.status in (401, 429), f"a made-up key was answered {answer.status}")


@attack(_KIND, "keys of 20 kB")
def long_keys(attacker: Attacker) -> None:
    while attacker.goes_on:
        answer = attacker.call("GET", "/v1/models", key=secrets.token_hex(10_000))
        attacker.expect(answer.status in (401, 429, 431), f"a long key was answered {answer.status}")


@attack(_KIND, "headers that are no Bearer")
def other_schemes(attacker: Attacker) -> None:
    connection = attacker.connect()
    while attacker.goes_on:
        for scheme in ("Basic YTpi", "Bearer", "Bearer  ", "bearer\tpq_x", "Digest x=y"):
            headers = {"Authorization": scheme}
            answer = attacker.call("GET", "/v1/models", headers=headers, key=None, over=connection)
            attacker.expect(answer.status in (401, 429), f"{scheme!r} was answered {answer.status}")


@attack(_KIND, "a wrong key and a revoked one, side by side", quick=True, seconds=2)
def wrong_and_revoked(attacker: Attacker) -> None:
    """The same answer in the same time, as far as can be told beside the noise of asking."""
    connection = attacker.connect()
    seconds: dict[str, list[float]] = {"wrong": [], "revoked": []}
    bodies: dict[str, set[tuple[int, bytes]]] = {"wrong": set(), "revoked": set()}
    wrong = _made_up()
    while attacker.goes_on:
        for name, key in (("wrong", wrong), ("revoked", attacker.target.facts["revoked"])):
            began = time.perf_counter()
            headers = {"X-Request-ID": "same"}
            answer = attacker.call("GET", "/v1/models", headers=headers, key=key, over=connection)
            seconds[name].append(time.perf_counter() - began)
            if answer.status != 429:  # whose turn it is, when the limit leaves room for one, is chance
                bodies[name].add((answer.status, answer.body))
    are_alike = bodies["wrong"] == bodies["revoked"] or not all(bodies.values())
    attacker.expect(are_alike, f"the answers differ: {bodies}")
    medians = [statistics.median(item) * 1000 for item in seconds.values()]
    attacker.expect(
        abs(medians[0] - medians[1]) < max(1, max(medians) / 2),
        f"medians of {medians} ms tell a wrong key from a revoked one",
    )


@attack(_KIND, "bodies of 4 MB without a key", at_once=True)
def large_body_without_a_key(attacker: Attacker) -> None:
    body = b"[" * 4_000_000
    while attacker.goes_on:
        for path in ("/v1/jobs", "/v1/predict", "/v1/jobs/count", "/v1/uploads"):
            answer = attacker.call("POST", path, body, key=None)
            attacker.expect(answer.status in (0, 401, 408, 413, 429), f"{path} was answered {answer.status}")


@attack(_KIND, "a neighbour's job, its results and their trace", quick=True)
def others_things(attacker: Attacker) -> None:
    job = attacker.target.facts["neighbours_job"]
    connection = attacker.connect()
    while attacker.goes_on:
        for method, path in (
            ("GET", job),
            ("GET", f"{job}/results"),
            ("GET", f"{job}/events"),
            ("POST", f"{job}/cancel"),
            ("POST", f"{job}/repeat"),
            ("POST", f"{job}/retry"),
        ):
            answer = attacker.call(method, path, b"" if method == "POST" else None, over=connection)
            attacker.expect(answer.status in (403, 404, 429), f"{method} {path} was answered {answer.status}")


@attack(_KIND, "calls that take a role which the key lacks", quick=True)
def roles(attacker: Attacker) -> None:
    connection = attacker.connect()
    while attacker.goes_on:
        for method, path, body in (
            ("POST", "/v1/models/default/promote", b"{}"),
            ("POST", "/v1/models/default/rollback", b"{}"),
            ("GET", "/v1/sources", None),
            ("GET", "/v1/erasures", None),
            ("GET", "/v1/holds", None),
            ("GET", "/v1/storage", None),
            ("POST", "/v1/retention/run", b"{}"),
        ):
            answer = attacker.call(method, path, body, over=connection)
            attacker.expect(answer.status in (403, 429), f"{method} {path} was answered {answer.status}")


@attack(_KIND, "request ids counted up")
def counted_ids(attacker: Attacker) -> None:
    connection = attacker.connect()
    number = 0
    while attacker.goes_on:
        number += 1
        answer = attacker.call("GET", f"/v1/predictions/{number}-0", over=connection)
        attacker.expect(answer.status in (200, 404, 429), f"it was answered {answer.status}")
        if answer.status == 200:
            owner = (answer.json() or {}).get("owner", "")
            attacker.expect(not owner, f"an answer names the owner {owner}")
