"""Bytes of callers on real sockets."""
