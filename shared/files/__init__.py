"""Tables in files: what a CSV of any dress says, which types its columns have, and a table of PostgreSQL made of it.

Neither pandas nor pyarrow is needed here. Files that need a library are opened in `model/files`. HTTP has no place in
either. How large a file of a model may be is said here, too.
"""
