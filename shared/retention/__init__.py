"""Retention: how long answers are kept, what must stay, and how what is due goes.

SQL and settings only. When it runs, and what is exported before, is the upkeep process's affair (`worker.upkeep`).
"""
