"""From labelled rows to a fitted pipeline with honest figures: any columns, three tasks, and no column known by name.

What lives here takes a DataFrame and the name of its target. Where the rows come from is the caller's affair: a file, a
source, an example.
"""
