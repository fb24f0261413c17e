"""Child processes: started, watched, restarted, and stopped with whoever started them.

Nothing here knows what the children are.
"""
