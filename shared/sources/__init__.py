"""Where features come from: the sources that are known, their keys, filters on them; and, still, the sample's clients.

Nothing here knows jobs or batches, and nothing here connects to a source.
"""
