"""Pages of features: the format that the worker writes and everybody reads, and the hashes by which pages are found.

What lives here is pure Python with zstandard, so that the gateway can read one row of a page.
What makes whole pages, and so needs numpy and pyarrow, is in `worker.pages`. docs/page-format.md has every byte.
"""
