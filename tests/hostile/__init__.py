"""What hostile callers and neighbours may try, on a real gateway, worker and Valkey: `make hostile`.

An attack is a function in `tests.hostile.attacks` with a name and a sentence. It runs in a process of its own, against
a gateway in another, whose event loop is watched from inside. Beside it a well-behaved neighbour goes on calling. Each
attack leaves figures; those of the last whole run are docs/hostile.md.
"""
