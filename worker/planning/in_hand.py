"""What the lanes of one planner have in hand, so that none of them takes what would hold up the others."""

from __future__ import annotations

import threading

from shared.jobs.planning import Selection


class PlansInHand:
    """Of each owner one plan at most, and one file at most in all: who opens a table may take 768 MB for it.

    So the plans of one owner go one after the other, and a source or a file that takes minutes delays its owner alone.
    """

    def __init__(self) -> None:
        self.seeking = threading.Lock()  # held by the lane that looks for a plan: the others need not look, too
        self._lock = threading.Lock()
        self._owners = set[str]()
        self._has_file = False
        self._has_refused = False

    def take(self, selection: Selection) -> bool:
        """Take the plan in hand, if it may be now."""
        is_file = selection.upload is not None
        with self._lock:
            if selection.owner in self._owners or (is_file and self._has_file):
                self._has_refused = True
                return False
            self._owners.add(selection.owner)
            self._has_file = self._has_file or is_file
            return True

    def leave(self, selection: Selection) -> bool:
        """The plan is done with, or given back. Returns whether a plan was refused since the last one was left."""
        with self._lock:
            self._owners.discard(selection.owner)
            if selection.upload is not None:
                self._has_file = False
            has_refused, self._has_refused = self._has_refused, False
            return has_refused
