"""Versions that bring code of their own: each is asked in a closed process that is kept for it alone.

No module of theirs is imported by a worker. What the process says is read as anybody's bytes: no pickle comes back.
"""
