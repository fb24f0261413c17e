"""A process that opens a model's file closed in: no network, no secrets, its libraries to read, nothing to write to.

Opening a pickle runs a program. What that program says is read as anybody's bytes: no pickle comes back.
"""
