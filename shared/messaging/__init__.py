"""What goes through Redis: messages with batch ids, notices, and the settings of Celery.

Nothing here reads or writes PostgreSQL.
"""
