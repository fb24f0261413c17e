"""What became of jobs: their status, waiting for it, how it looks in JSON, and downloads of results.

Nothing here accepts or changes a job.
"""
