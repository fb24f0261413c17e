"""Errands: sources and models opened for callers who wait, in a process beside the scoring ones."""
