"""From a checked call to committed jobs and batches that workers are told of, single and bulk, uploads included.

What becomes of a job after its 202 belongs in `api.jobs`.
"""
