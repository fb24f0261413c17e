"""Whole pages of features: columns to bytes and back, a page anew without some rows, key hashes and filters of a page.

What needs numpy or pyarrow lives here. Nothing here knows PostgreSQL. The numbers of the format are in
`shared.pages.layout`.
"""
