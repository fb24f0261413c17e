"""From a checked call to committed jobs and published batches, single and bulk, uploads included.

Nothing here reads what became of a job.
"""
