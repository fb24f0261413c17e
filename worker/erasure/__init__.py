"""Erasure carried out: pages of answers and features built anew without a person, step by step, resumable.

Runs in the upkeep process. What needs no numpy is in `shared.erasure`.
"""
