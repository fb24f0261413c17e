"""The screens for people: what runs, what failed and why, what a client got and why, which model is live.

Everything shown is asked of the public API, in this process and as whoever is signed in (`web.frame.api_calls`). So
there is nothing here that a caller of the API could not have. How to add a screen: docs/web.md.
"""
