"""A whole stack on one machine, for `predictq up` and the tests: servers, supervision, start and stop.

It knows shared, sql and model, never the code of api, worker or cli: those it starts as programs.
"""
