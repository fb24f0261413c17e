"""Finding what is wrong: the oracle, the ledger, and what is held against them."""
