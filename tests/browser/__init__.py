"""A real browser for the tests: what a person sees is tested as a person sees it.

`find` knows where one is, `python -m tests.browser` (`make browser`) installs one, `screen` opens pages in it.
"""
