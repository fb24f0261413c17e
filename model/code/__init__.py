"""Code that a version brings: the Python files of a folder, packed as one text, and made importable out of it.

Packing reads files and runs nothing. Importing is for a process that is kept for one version alone.
"""
