"""Rows that are drawn to try a model on: they are of nobody."""
