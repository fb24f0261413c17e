"""Calls about what is stored: how long it is kept, what must stay, and how a person goes."""
