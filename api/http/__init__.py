"""How calls are read and answers written: bodies, headers, cursors, problems, and the description of the API.

No SQL, and nothing that depends on what a job is doing.
"""
