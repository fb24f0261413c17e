"""Calls about jobs: asking for many predictions, and what became of them. Single ones are asked for in `predict`."""
