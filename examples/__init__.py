"""Whole examples: a table, its data, and models trained on it, each in a room of its own.

Product code knows none of them. `predictq up --example NAME` and `predictq example` look one up by its name; a room has
`load` and `train`, and what they import.
"""
