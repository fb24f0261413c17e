"""Tokens are checked in threads of their own: what hangs at the identity provider holds up nobody else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from api.access.oidc.person import KeyNotKnown, Person, Persons

_THREADS = 2  # of each kind; a signature takes less than a millisecond


class TokenThreads:
    """Two kinds: for tokens that a known key has signed, and for the others, about which the provider is asked.

    Anybody can make up tokens of the second kind. While the provider hangs they wait for each other, and nobody else
    does.
    """

    def __init__(self, people: Persons) -> None:
        self._people = people
        self._quick = ThreadPoolExecutor(_THREADS, "tokens")
        self._asking = ThreadPoolExecutor(_THREADS, "tokens-asking")

    async def person(self, token: str) -> Person:
        """Who it stands for. Raises TokenRefused and ProviderAway."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._quick, lambda: self._people.person(token, asks=False))
        except KeyNotKnown:
            return await loop.run_in_executor(self._asking, self._people.person, token)

    def close(self) -> None:
        """Nothing is checked any more; threads that still ask are not waited for."""
        for threads in (self._quick, self._asking):
            threads.shutdown(wait=False, cancel_futures=True)
