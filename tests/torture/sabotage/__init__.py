"""Protections taken out, one at a time: each must be seen to be necessary."""
