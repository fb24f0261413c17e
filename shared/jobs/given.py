"""Whose features the rows of a job are scored with, in SQL."""

# On `predictq.jobs j`: callers wrote the rows, one by one or in a file, so what lies in `given` is theirs. A filter's
# rows may have features there, too: a plan read them along with the keys.
ROWS_WERE_WRITTEN = "(j.selection IS NULL OR j.selection ->> 'upload' IS NOT NULL)"
