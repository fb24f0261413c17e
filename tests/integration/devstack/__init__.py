"""The embedded servers and their supervision, examples, TLS on the way."""
