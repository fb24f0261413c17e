"""What a worker does beside scoring: publishing again what was lost or left.

Nothing here scores or claims.
"""
