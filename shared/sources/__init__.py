"""Where features come from: the table of clients, filters on it, and the list of the sample features.

Nothing here knows jobs or batches.
"""
